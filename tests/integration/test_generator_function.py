"""A function of the team generates: through boto3 and HTTP, with PostgreSQL and S3."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from local_stack.builds import REPOSITORY
from roadmap_content.content.generation import model
from roadmap_content.content.generation.generator import GenerationRequest, generator_named
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.kind import MAX_INTEGER
from roadmap_content.content.roadmaps.framework import concept_from
from roadmap_content.contracts.documents import MAX_STAGED, storable_json, storable_text
from roadmap_content.contracts.generation import GeneratorAnswer, GeneratorError, GeneratorUsage
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import MAX_NAME, BatchRequest, Payload
from roadmap_content.platform.postgres.transactions import TIME_FOR_ANOTHER
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.keys import staged_key
from tests.integration.test_external_texts import HOSTILE
from tests.support.courses import COURSES
from tests.support.erasing import rows_with
from tests.support.factories import bundle_of, concept_ids
from tests.support.http_server import Reply
from tests.support.lambda_server import ARN, Event, LambdaServer, answers, fails, is_late, refuses
from tests.support.pipeline import SETTINGS, Pipeline, log_of

IDS = concept_ids(2)
BAD, GOOD = IDS
SECONDS = 2
USAGE = {"tokens_in": 900, "tokens_out": 400, "model_id": "litellm/any", "prompt_version": "ours@7"}
SCHEMA = json.loads((REPOSITORY / "docs/schemas/generator.json").read_text())
REASON = "the search found nothing about this"


def content_of(event: Event) -> dict[str, Any]:
    """A valid draft, with a field that this system does not know."""
    request = GenerationRequest(concept_from(event["concept"]), ContentType(event["content_type"]))
    return OfflineGenerator().generate(request) | {"confidence_score": 0.75}


def good(event: Event) -> Reply:
    return answers({"content": content_of(event), "usage": USAGE})


@pytest.fixture
def server(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaServer]:
    """The function, and a roadmap of two concepts without content. Each event matches its schema."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setattr(model, "FIRST_PAUSE", 0.0)
    bundle = bundle_of(IDS)
    bundle["content"] = []
    pipeline.load(bundle)
    framework = pipeline.framework()
    for stage in framework["stages"]:
        for module in stage["modules"]:
            for concept in module["concepts"]:
                concept["mood"] = ["our own field", "huge", {HOSTILE: HOSTILE}]
    text = json.dumps(framework).replace('"huge"', "1e999")  # for Python an infinite number, which is no JSON
    pipeline.execute("UPDATE roadmap_metadata SET framework_data = CAST(:text AS json)", text=text)
    asked = json.dumps({"preferences": {"primary_language": "en", "goal": HOSTILE}})
    pipeline.execute("UPDATE roadmap_tasks SET user_request = CAST(:asked AS json)", asked=asked)
    with LambdaServer(good) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        use(pipeline)
        yield server
    check = Draft202012Validator({"$ref": "#/$defs/GenerationEvent", "$defs": SCHEMA["$defs"]})
    for event in server.events:
        check.validate(event)


def use(pipeline: Pipeline, **changes: str) -> None:
    settings = SETTINGS | {
        "GENERATOR": "function",
        "GENERATOR_FUNCTION": ARN,
        "MODEL_TIMEOUT": str(SECONDS),
        "MODEL_MAX_OUTPUT_TOKENS": "10000",
        "MODEL_OUTPUT_BURNDOWN": "1",
        "TASK_TOKEN_BUDGET": "1000000",
    }
    pipeline.services.settings = Settings(settings | changes)
    pipeline.services.generator = generator_named("function", pipeline.services.settings)


def only_bad(behaviour: Callable[[Event], Reply], kind: str = "quiz") -> Callable[[Event], Reply]:
    """The behaviour for one item; the others are answered."""
    return lambda event: behaviour(event) if is_bad(event, kind) else good(event)


def is_bad(event: Event, kind: str = "quiz") -> bool:
    return (event["concept"]["concept_id"], event["content_type"]) == (BAD, kind)


def test_every_item_is_one_call_and_its_content_is_kept(pipeline: Pipeline, server: LambdaServer) -> None:
    server.behaviour = lambda event: answers(
        {"content": content_of(event) | {"quiz_id": "theirs", "content_version": 9}, "usage": USAGE}
    )
    result = pipeline.run()
    assert result.complete
    assert len(server.events) == len(IDS) * len(ContentType)
    event = next(event for event in server.events if is_bad(event))
    sendable = json.loads(storable_json(HOSTILE))
    assert event["concept"]["mood"] == ["our own field", None, {sendable: sendable}]
    assert event["learner"] == {"language": "en", "preferences": {"goal": sendable}, "course": {}}
    assert {"stage", "module", "concept_id", "name"} <= event["concept"].keys()
    assert (event["task_id"], event["attempt"], event["refused"]) == ("t-1", 1, None)
    staged = pipeline.staging().read(Item(BAD, ContentType.QUIZ))
    assert staged is None or json.loads(staged)["confidence_score"] == 0.75
    (quiz,) = pipeline.rows("SELECT quiz_id FROM quiz_metadata WHERE concept_id = :c", c=BAD)
    assert quiz["quiz_id"] != "theirs"
    (tutorial,) = pipeline.rows("SELECT content_version FROM tutorial_metadata WHERE concept_id = :c", c=BAD)
    assert tutorial["content_version"] == 1
    origins = pipeline.rows(
        "SELECT generator, model_id, prompt_version, tokens_in, tokens_out FROM content_origins"
    )
    assert [{**origin} for origin in origins] == [USAGE | {"generator": "function"}] * len(server.events)


def test_the_longest_names_of_an_answer_are_staged(pipeline: Pipeline, server: LambdaServer) -> None:
    """Regression: S3 refused more than 2 kB of metadata, and the paid content was lost with each attempt."""
    longest = MAX_NAME
    names = {"model_id": '"' * longest, "prompt_version": "\\" * longest}
    server.behaviour = lambda event: answers({"content": content_of(event), "usage": USAGE | names})
    assert pipeline.run().complete


@pytest.mark.parametrize("lines", [*COURSES.values(), HOSTILE], ids=[*COURSES, "hostile"])
def test_without_a_language_the_event_has_texts_of_the_course(
    pipeline: Pipeline, server: LambdaServer, lines: str
) -> None:
    storable = storable_text(lines)
    pipeline.execute("UPDATE roadmap_tasks SET user_request = NULL")
    pipeline.execute("UPDATE roadmap_metadata SET title = :title", title=storable[:100])
    assert pipeline.run().complete
    assert all(event["learner"]["course"] == {"title": storable[:100]} for event in server.events)
    # The content of this system, in a perhaps wrong language, is not the example while there is another.
    pipeline.execute("DELETE FROM quiz_metadata WHERE concept_id = :c", c=BAD)
    pipeline.bucket.delete(staged_key(pipeline.roadmap_id, Item(BAD, ContentType.QUIZ)))
    pipeline.execute("UPDATE content_origins SET generator = 'product' WHERE concept_id = :c", c=GOOD)
    pipeline.execute(
        "UPDATE tutorial_metadata SET title = 'T', summary = :lines WHERE concept_id = :c",
        c=GOOD, lines=storable,
    )  # fmt: skip
    server.events.clear()
    assert pipeline.run().complete
    (event,) = server.events
    assert event["learner"]["course"] == {"title": storable[:100], "lines": storable[:300]}


def test_unknown_fields_of_a_nested_content_are_saved(pipeline: Pipeline, server: LambdaServer) -> None:
    def dated(event: Event) -> Reply:
        content = content_of(event)
        for resource in content.get("resources", ()):
            resource |= {"published_date": "2026-05-01", "confidence_score": 0.5}
        return answers({"content": content})

    server.behaviour = dated
    assert pipeline.run().complete
    for row in pipeline.rows("SELECT resources FROM resource_recommendation_metadata"):
        assert {each["published_date"] for each in row["resources"]} == {"2026-05-01"}


ENDINGS: dict[str, tuple[Callable[[Event], Reply], str, str, bool, int]] = {
    "no JSON": (lambda _: Reply(200, b"<html>"), "GeneratorFailed", "not JSON", True, 1),
    "neither": (lambda _: answers({}), "GeneratorFailed", "not either a content or an error", True, 1),
    "a list": (lambda _: answers([]), "GeneratorFailed", "wrong answer: value", True, 1),
    "a crash": (lambda _: fails("KeyError"), "GeneratorFailed", "the function failed: KeyError", True, 1),
    "its own timeout": (lambda _: fails("Sandbox.Timedout"), "GeneratorFailed", "Sandbox.Timedout", True, 1),
    "wrong usage": (
        lambda event: answers({"content": content_of(event), "usage": USAGE | {"tokens_in": MAX_INTEGER}}),
        "GeneratorFailed",
        "wrong answer: usage.tokens_in",
        True,
        1,
    ),
    "the wrong type": (
        lambda event: answers({"content": content_of(event | {"content_type": "resources"})}),
        "InvalidContent",
        "questions: Field required",
        False,
        2,
    ),
    "another concept's": (
        lambda event: answers({"content": content_of(event) | {"concept_id": GOOD}}),
        "InvalidContent",
        f"the content is not that of the concept '{BAD}'",
        False,
        2,
    ),
    "half an emoji": (
        lambda event: answers({"content": content_of(event) | {"note": {"\ud83d": "\ud83d"}}}),
        "InvalidContent",
        "a key of note holds a lone surrogate",
        False,
        2,
    ),
    "above 512 KB": (
        lambda event: answers({"content": content_of(event) | {"note": "x" * MAX_STAGED}}),
        "InvalidContent",
        "524288 are accepted",
        False,
        2,
    ),
    "above 6 MB": (
        lambda _: fails("Function.ResponseSizeTooLarge"),
        "InvalidContent",
        "the answer is too large",
        False,
        2,
    ),
    "a refusal": (
        lambda _: answers({"error": {"code": "NoSource", "reason": REASON}}),
        "Generator.NoSource",
        REASON,
        False,
        1,
    ),
    "a delay": (
        lambda _: answers({"error": {"code": "SearchIsDown", "reason": REASON, "transient": True}}),
        "Generator.SearchIsDown",
        REASON,
        True,
        1,
    ),
    "a code that is none": (
        lambda _: answers({"error": {"code": "no-code", "reason": REASON}}),
        "GeneratorFailed",
        "wrong answer: error.code",
        True,
        1,
    ),
    "no permission": (
        lambda _: refuses(403),
        "ModelRefusedRequest",
        "allow this role to invoke GeneratorFunctionArn",
        False,
        1,
    ),
    "no function": (
        lambda _: refuses(404),
        "ModelRefusedRequest",
        "GeneratorFunctionArn does not exist",
        False,
        1,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_what_goes_wrong_ends_its_own_item_with_a_reason(
    pipeline: Pipeline, server: LambdaServer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    behaviour, code, reason, is_transient, calls = ENDINGS[name]
    server.behaviour = only_bad(behaviour)
    assert not pipeline.run().complete
    (failed,) = pipeline.status().failed_items
    assert (failed.concept_id, failed.content_type, failed.error_code) == (BAD, "quiz", code)
    assert reason in failed.reason
    assert pipeline.rows("SELECT transient FROM content_failures") == [{"transient": is_transient}]
    asked = [event for event in server.events if is_bad(event)]
    assert len(asked) == calls
    assert [event["refused"] is not None for event in asked] == [False, True][:calls]
    assert len({event["idempotency_token"] for event in asked}) == calls, "a correction is another question"
    saved = [row["concept_id"] for row in pipeline.rows("SELECT concept_id FROM quiz_metadata")]
    assert saved == [GOOD]
    log = log_of(caplog)
    assert code in log
    assert REASON not in log, "a reason of the team is content of a user"
    assert "the learner's own words" not in log + failed.reason
    if reason == REASON:
        assert rows_with(pipeline.engine, REASON).keys() == {"content_failures", "roadmap_tasks"}

    server.behaviour = good
    assert pipeline.run().complete


def request_of(pipeline: Pipeline) -> BatchRequest:
    (request,) = pipeline.requests(pipeline.plan())
    return request


@pytest.mark.parametrize(
    ("behaviour", "code", "reason"),
    [
        (lambda _: is_late(SECONDS + 1), "AnswerLost", "Read timeout"),
        (lambda _: refuses(500), "ModelBusy", "ServiceException"),
        (lambda _: refuses(429), "ModelThrottled", "TooManyRequestsException"),
        (lambda _: refuses(429, Retry_After="60"), "ModelThrottled", "TooManyRequestsException"),
        (
            lambda _: answers(
                {"error": {"code": "Quota", "reason": REASON, "transient": True, "retry_after": 60}}
            ),
            "Generator.Quota",
            REASON,
        ),
    ],
    ids=["late", "busy", "throttled", "throttled for long", "delayed for long"],
)
def test_no_answer_in_time_is_transient(
    pipeline: Pipeline, server: LambdaServer, behaviour: Any, code: str, reason: str
) -> None:
    server.behaviour = only_bad(behaviour, "resources")  # its item is asked for last
    report = pipeline.generate(request_of(pipeline), TIME_FOR_ANOTHER + SECONDS + 3)
    assert report.failed >= 1
    failures = pipeline.rows(
        "SELECT concept_id, content_type, error_code, reason, transient FROM content_failures"
    )
    (failed,) = [row for row in failures if (row["concept_id"], row["content_type"]) == (BAD, "resources")]
    assert (failed["error_code"], failed["transient"]) == (code, True)
    assert reason in failed["reason"]


def test_the_seconds_that_the_function_names_are_waited(pipeline: Pipeline, server: LambdaServer) -> None:
    asked_at: list[float] = []

    def once(event: Event) -> Reply:
        asked_at.append(time.monotonic())
        return refuses(429, Retry_After="1") if len(asked_at) == 1 else good(event)

    server.behaviour = only_bad(once)
    assert pipeline.run().complete
    assert asked_at[1] - asked_at[0] >= 1


def test_usage_replaces_the_reservation_and_without_it_that_counts(
    pipeline: Pipeline, server: LambdaServer
) -> None:
    most = {"tutorial": 10_000, "resources": 3_000, "quiz": 4_500}

    def quizzes_tell(event: Event) -> Reply:
        usage = {"usage": USAGE} if event["content_type"] == "quiz" else {}
        return answers({"content": content_of(event)} | usage)

    server.behaviour = quizzes_tell
    assert pipeline.run().complete
    (counted,) = pipeline.rows("SELECT tokens FROM generation_tokens")
    unknown = sum(tokens for kind, tokens in most.items() if kind != "quiz")
    assert counted["tokens"] == len(IDS) * (unknown + 900 + 400)
    told = pipeline.rows("SELECT DISTINCT content_type = 'quiz' AS tells, tokens_in FROM content_origins")
    assert {row["tells"]: row["tokens_in"] for row in told} == {True: 900, False: None}


ERROR = {"code": "NoSource", "reason": REASON}
PARTS: tuple[type[Payload], ...] = (GeneratorAnswer, GeneratorError, GeneratorUsage)


@pytest.mark.parametrize(("part", "field"), [(part, name) for part in PARTS for name in part.model_fields])
def test_any_text_in_a_field_of_an_answer_ends_its_own_item(
    pipeline: Pipeline, server: LambdaServer, part: type[Payload], field: str
) -> None:
    def hostile(event: Event) -> Reply:
        if part is GeneratorError:
            return answers({"error": ERROR | {field: HOSTILE}})
        changed = {"usage": USAGE | {field: HOSTILE}} if part is GeneratorUsage else {field: HOSTILE}
        return answers({"content": content_of(event), "usage": USAGE} | changed)

    server.behaviour = only_bad(hostile)
    assert not pipeline.run().complete
    (failed,) = pipeline.status().failed_items
    assert (failed.concept_id, failed.content_type) == (BAD, "quiz")
    is_reason = (part, field) == (GeneratorError, "reason")
    assert failed.error_code == ("Generator.NoSource" if is_reason else "GeneratorFailed")
