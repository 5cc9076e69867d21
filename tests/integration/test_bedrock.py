"""Generation through boto3 and HTTP against a fake Converse server, with PostgreSQL and S3."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import ceil
from typing import Any

import pytest

from roadmap_content.content.generation import model
from roadmap_content.content.generation.generator import (
    Allowance,
    GenerationRequest,
    Learner,
    generator_named,
)
from roadmap_content.content.generation.model import (
    ModelBusyError,
)
from roadmap_content.content.generation.quota import TaskBudget, Usage
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import (
    ContentError,
    ModelDeclinedError,
    ModelRefusedRequestError,
    TokenBudgetExhaustedError,
)
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from tests.support.converse_server import (
    Behaviour,
    Call,
    ConverseServer,
    Reply,
    answers,
    fails,
    fills_in,
    is_cut_off,
    says,
    valid_output,
)
from tests.support.factories import TYPES, bundle_of, concept_ids
from tests.support.pipeline import SETTINGS, Pipeline, services_for

IDS = concept_ids(24)
ITEMS = len(IDS) * TYPES
ENGLISH = Concept("c-1", "Retries", "A retry repeats what may heal.", keywords=("backoff", "jitter"))
MOST_OUTPUT = {each: ceil(8_000 * kind.output_share) for each, kind in CONTENT_KINDS.items()} | {
    ContentType.TUTORIAL: 8_000,
    ContentType.RESOURCES: 2_400,
    ContentType.QUIZ: 3_600,
}
CHINESE = Concept("c-1", "传感器", "传感器测量周围的世界。", keywords=("温度", "湿度"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConverseServer]:
    """A Converse server that boto3 uses. Pauses between calls take no time."""
    for pause in ("FIRST_PAUSE", "FIRST_INTERVAL", "SHORTEST_INTERVAL"):
        monkeypatch.setattr(model, pause, 0.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with ConverseServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
        yield server
    assert server.faults == []


def ask(
    server: ConverseServer,
    content_type: ContentType = ContentType.QUIZ,
    *,
    concept: Concept = ENGLISH,
    language: str = "en",
    seconds: float = 600,
    allowance: Allowance | None = None,
    **changes: str,
) -> Document:
    generator = generator_named("bedrock", Settings(server.settings(**changes)))
    allowance = allowance or Allowance(Deadline.after(seconds))
    return generator.generate(GenerationRequest(concept, content_type, Learner(language)), allowance)


def total_tokens(server: ConverseServer) -> int:
    """The tokens of all answers, according to the server."""
    return sum(usage["totalTokens"] for usage in server.usages)


def first(reply: Behaviour) -> Behaviour:
    """A behaviour that is `reply` for the first call of each item and a valid answer afterwards."""
    return lambda call: reply(call) if call.number == 1 else answers(call)


@pytest.mark.parametrize("content_type", ContentType)
@pytest.mark.parametrize(("language", "concept"), [("en", ENGLISH), ("zh", CHINESE)])
def test_an_item_is_generated_with_one_call(
    server: ConverseServer, content_type: ContentType, language: str, concept: Concept
) -> None:
    allowance = Allowance(Deadline.after(600))
    draft = ask(server, content_type, concept=concept, language=language, allowance=allowance)
    (call,) = server.calls
    assert draft == valid_output(call)
    assert (call.concept, call.content_type) == (concept.name, content_type)
    assert call.request["inferenceConfig"] == {"maxTokens": MOST_OUTPUT[content_type], "temperature": 0.5}
    assert ("English" if language == "en" else "简体中文") in call.request["system"][0]["text"]
    assert 0 < allowance.usage.total == total_tokens(server)
    assert bool(re.search("[\u4e00-\u9fff]", json.dumps(draft, ensure_ascii=False))) is (language == "zh")


def test_the_temperature_is_omitted_if_the_setting_is_none(server: ConverseServer) -> None:
    assert ask(server, MODEL_TEMPERATURE="none")
    assert server.calls[0].request["inferenceConfig"] == {"maxTokens": MOST_OUTPUT[ContentType.QUIZ]}


@pytest.mark.parametrize(
    "error",
    [
        "ThrottlingException",
        "ModelNotReadyException",
        "ModelTimeoutException",
        "ModelErrorException",
        "ServiceUnavailableException",
        "InternalServerException",
    ],
)
def test_transient_errors_are_retried(server: ConverseServer, error: str) -> None:
    server.behaviour = lambda call: fails(error) if call.number < 3 else answers(call)
    assert ask(server)
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("behaviour", "error", "message"),
    [
        *(
            (lambda call, why=why: says(call, "Sorry.", why), ModelDeclinedError, "stopped the answer")
            for why in ("content_filtered", "guardrail_intervened")
        ),
        *(
            (lambda _, why=why: fails(why, "No access."), ModelRefusedRequestError, f"{why}: No access")
            for why in ("AccessDeniedException", "ResourceNotFoundException", "ValidationException")
        ),
    ],
)
def test_permanent_errors_are_raised_at_once(
    server: ConverseServer, behaviour: Behaviour, error: type[Exception], message: str
) -> None:
    server.behaviour = behaviour
    with pytest.raises(error, match=message):
        ask(server)
    assert len(server.calls) == 1


def malformed(call: Call) -> Reply:
    """An invalid draft; for a quiz, one with a correct answer that is no option."""
    output = valid_output(call)
    if call.content_type is ContentType.QUIZ:
        output["questions"][0]["correct_answer"] = [len(output["questions"][0]["options"])]
        return fills_in(call, output)
    return fills_in(call, {"title": "and nothing else"})


NOT_ACCEPTED: dict[str, tuple[Behaviour, str]] = {
    "malformed": (malformed, r"correct_answer 3 is not an index of the 3 options"),
    "cut off": (is_cut_off, r"cut off after \d+ tokens \(max_tokens\): it must be shorter"),
    "in words": (
        lambda call: says(call, "I can't help with that."),
        r"hand_in_quiz was not called \(end_turn\): I can't help with that\.",
    ),
    "empty": (lambda call: says(call, "", "malformed_tool_use"), r"not called \(malformed_tool_use\)"),
    "as text": (lambda call: fills_in(call, json.dumps(valid_output(call))), "value: Input should be"),
    "stringified": (
        lambda call: fills_in(call, {"questions": json.dumps(valid_output(call)["questions"])}),
        "questions: Input should be a valid list",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_ACCEPTED)
def test_an_invalid_answer_is_sent_back_once_and_corrected(server: ConverseServer, name: str) -> None:
    reply, fault = NOT_ACCEPTED[name]
    server.behaviour = first(reply)
    allowance = Allowance(Deadline.after(600))
    assert ask(server, allowance=allowance)
    _, second = server.calls
    assert second.fault is not None
    assert re.search(fault, second.fault)
    assert len(second.request["messages"]) == 3
    assert allowance.usage.total == total_tokens(server)


@pytest.mark.slow
def test_a_call_that_times_out_is_retried(server: ConverseServer) -> None:
    server.behaviour = lambda call: replace(answers(call), late=call.number == 1)
    assert ask(server, MODEL_TIMEOUT="1")
    assert len(server.calls) == 2


def test_a_response_that_is_not_json_counts_as_a_lost_answer(server: ConverseServer) -> None:
    server.behaviour = first(lambda _: Reply(b"<html>"))
    assert ask(server)
    assert len(server.calls) == 2


def test_an_unreachable_server_is_transient(server: ConverseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "http://127.0.0.1:9")
    with pytest.raises(ModelBusyError):
        ask(server)


@pytest.fixture
def roadmap(pipeline: Pipeline, server: ConverseServer) -> Pipeline:
    """A roadmap without staged content. The server generates its content."""
    pipeline.load(bundle_of(IDS) | {"content": []})
    use(pipeline, server)
    return pipeline


def use(pipeline: Pipeline, server: ConverseServer, **changes: str) -> None:
    """Let the pipeline generate content with the server, with changed settings."""
    given = {"BATCH_SIZE": "24", "MAX_CONCURRENCY": "5", **server.settings(**changes)}
    pipeline.services.settings = Settings(SETTINGS | given)
    vars(pipeline.services).pop("generator", None)


def failures(pipeline: Pipeline) -> list[dict[str, Any]]:
    return pipeline.rows("SELECT * FROM content_failures ORDER BY attempt, concept_id, content_type")


def counted(pipeline: Pipeline) -> int:
    """The tokens that are counted against the budget."""
    return sum(row["tokens"] for row in pipeline.rows("SELECT tokens FROM generation_tokens"))


@pytest.mark.slow
def test_generation_stops_at_the_budget_and_continues_after_it_is_raised(
    roadmap: Pipeline, server: ConverseServer
) -> None:
    budget = 60_000
    use(roadmap, server, TASK_TOKEN_BUDGET=str(budget))
    assert roadmap.run().status == "partial_failure"
    made = sum(server.accepted.values())
    assert 0 < made < ITEMS
    assert counted(roadmap) == total_tokens(server) <= budget
    reasons = {(row["error_code"], row["transient"]) for row in failures(roadmap)}
    assert reasons == {("TokenBudgetExhausted", False)}
    assert f"of the task's {budget} tokens are spent or reserved" in failures(roadmap)[0]["reason"]

    use(roadmap, server)
    assert roadmap.run().status == "completed"
    assert set(server.accepted.values()) == {1}
    assert len(server.calls) == ITEMS


def test_concurrent_invocations_share_the_budget(
    database_url: str, bucket_name: str, server: ConverseServer
) -> None:
    settings = SETTINGS | server.settings(TASK_TOKEN_BUDGET="1000")
    invocations = [services_for(database_url, settings) for _ in range(6)]
    budgets = [
        TaskBudget(each.engine, each.settings, "t-1", Deadline.after(600))
        for each in invocations
        for _ in "ab"
    ]

    def take_all(budget: TaskBudget) -> int:
        taken = 0
        try:
            while True:
                budget.reserve(70)
                budget.release(60)
                taken += 10
        except TokenBudgetExhaustedError:
            return taken

    with ThreadPoolExecutor(len(budgets)) as pool:
        taken = sum(pool.map(take_all, budgets))
    pipeline = Pipeline(invocations[0])
    assert taken == counted(pipeline)
    # Each thread stops when the other reservations leave no room; the last one, when 70 tokens no longer fit.
    assert 1000 - 70 < taken <= 1000
    for each in invocations:
        each.engine.dispose()


def test_a_generator_without_its_settings_names_the_missing_one(
    roadmap: Pipeline, server: ConverseServer
) -> None:
    use(roadmap, server, MODEL_ID="")
    with pytest.raises(ContentError, match="MODEL_ID is not set"):
        roadmap.generate(roadmap.requests(roadmap.plan())[0])


@pytest.mark.slow
def test_tokens_are_counted_per_item(
    roadmap: Pipeline,
    server: ConverseServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "roadmap-content")
    server.behaviour = first(malformed)
    roadmap.generate(roadmap.requests(roadmap.plan())[0])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "TokensIn" in line]
    assert Counter(line["content_type"] for line in lines) == dict.fromkeys(ContentType, 24)
    spent = [Usage(int(line["TokensIn"][0]), int(line["TokensOut"][0])) for line in lines]
    assert sum(usage.total for usage in spent) == total_tokens(server)
