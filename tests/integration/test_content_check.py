"""The product's check of contents accepts, corrects and rejects; its own faults lose nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.model import ModelThrottledError
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.aws.team_function import Fault, NoAnswerError
from roadmap_content.platform.runtime.settings import Settings
from tests.support.erasing import rows_with
from tests.support.factories import TYPES, bundle_of, concept_ids
from tests.support.pipeline import S3, SETTINGS, Pipeline, log_of

IDS = concept_ids(3)
ACCEPT = {"verdict": "accept"}
REJECT = {"verdict": "reject", "code": "WrongKey", "reason": "question 2: the key is option 3"}

SECONDS = 60

Judge = Callable[[dict[str, Any]], Any]


class Check:
    """A check in the same process: judges each item."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.asked: list[Any] = []

    def call(self, document: Any, seconds_left: float) -> Any:
        assert seconds_left > SECONDS
        self.asked.append(document)
        return {"verdicts": [self.judge(item) for item in document["items"]]}


class Noting(OfflineGenerator):
    """Notes the reasons of refusals that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        self.refused += [] if request.refused is None else [request.refused]
        return super().generate(request, allowance)


def checked(pipeline: Pipeline, judge: Judge, scope: str = "generated", failure: str = "wait") -> Check:
    settings = {"CONTENT_CHECK_SCOPE": scope, "CONTENT_CHECK_FAILURE": failure}
    pipeline.services.settings = Settings(SETTINGS | settings)
    check = Check(judge)
    pipeline.services.__dict__["content_check"] = check
    return check


def load_missing(pipeline: Pipeline) -> None:
    """Three concepts, of which the product has staged only the first one's items."""
    bundle = bundle_of(IDS)
    bundle["content"] = bundle["content"][:1]
    pipeline.load(bundle)


def quizzes(pipeline: Pipeline) -> dict[str, Any]:
    rows = pipeline.rows("SELECT concept_id, questions FROM quiz_metadata")
    return {row["concept_id"]: row["questions"] for row in rows}


def is_bad(item: dict[str, Any]) -> bool:
    return (item["content_type"], item["concept_id"]) == ("quiz", IDS[1])


@pytest.mark.parametrize(("scope", "items"), [("generated", 2 * TYPES), ("all", 3 * TYPES)])
def test_one_batch_is_one_call_with_what_the_scope_names(pipeline: Pipeline, scope: str, items: int) -> None:
    load_missing(pipeline)
    check = checked(pipeline, lambda _: ACCEPT, scope)
    assert pipeline.run().complete
    (asked,) = check.asked
    assert len(asked["items"]) == items
    quiz = next(item for item in asked["items"] if is_bad(item))
    assert (asked["task_id"], quiz["origin"]["generator"]) == ("t-1", "offline")
    assert quiz["content"]["questions"] == quizzes(pipeline)[IDS[1]]


def test_a_rejection_is_listed_and_the_next_attempt_gives_its_reason_to_the_model(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    load_missing(pipeline)
    checked(pipeline, lambda item: REJECT if is_bad(item) else ACCEPT)
    noting = Noting()
    pipeline.services.__dict__["generator"] = noting
    assert not pipeline.run().complete
    status = pipeline.status()
    (failed,) = status.failed_items
    assert (failed.concept_id, failed.error_code) == (IDS[1], "Check.WrongKey")
    assert failed.reason == REJECT["reason"]
    (listed,) = pipeline.task()["failed_concepts"]["items"]
    assert listed["reason"] == REJECT["reason"]
    assert pipeline.rows("SELECT error_code, transient FROM content_task_failures") == [
        {"error_code": "Check.WrongKey", "transient": False}
    ]
    named = rows_with(pipeline.engine, REJECT["reason"])
    assert named.keys() == {"content_failures", "roadmap_tasks"}, "the reason is content of the user"
    assert REJECT["code"] in log_of(caplog)
    assert REJECT["reason"] not in log_of(caplog)
    assert noting.refused == []
    (refused,) = pipeline.rows("SELECT concept_id FROM content_origins WHERE refused_code = 'Check.WrongKey'")
    assert refused["concept_id"] == IDS[1]

    checked(pipeline, lambda _: ACCEPT)
    assert pipeline.run().complete
    assert noting.refused == [REJECT["reason"]]
    rejected = S3.client.list_objects_v2(Bucket="content", Prefix="rejected/")
    assert rejected["KeyCount"] == 1


def test_the_reason_is_given_again_if_the_model_was_not_reached(pipeline: Pipeline) -> None:
    """Regression: the content was rejected before the call, and the next attempt did not know its reason."""
    load_missing(pipeline)
    checked(pipeline, lambda item: REJECT if is_bad(item) else ACCEPT)
    assert not pipeline.run().complete

    class Unreachable(OfflineGenerator):
        def generate(self, *_: object) -> Document:
            raise ModelThrottledError("too many requests")

    pipeline.services.__dict__["generator"] = Unreachable()
    assert not pipeline.run().complete
    noting = pipeline.services.__dict__["generator"] = Noting()
    checked(pipeline, lambda _: ACCEPT)
    assert pipeline.run().complete
    assert noting.refused == [REJECT["reason"]]


@pytest.mark.parametrize("kind", ["tutorial", "quiz"])
def test_corrected_content_is_saved_with_its_id_and_version(pipeline: Pipeline, kind: str) -> None:
    load_missing(pipeline)

    def correct(item: dict[str, Any]) -> Any:
        if item["content_type"] != kind:
            return ACCEPT
        content = dict(item["content"])
        if kind == "quiz":
            content["questions"] = [content["questions"][0] | {"question": "corrected"}]
            content |= {"total_questions": 1, "quiz_id": "of the check"}
        else:
            content |= {"markdown": "# corrected", "content_version": 9}
        return ACCEPT | {"content": content}

    check = checked(pipeline, correct)
    assert pipeline.run().complete
    of_kind = [item for item in check.asked[0]["items"] if item["content_type"] == kind]
    ids = {item["concept_id"]: item["content"] for item in of_kind}
    if kind == "quiz":
        saved = {row["concept_id"]: row for row in pipeline.rows("SELECT * FROM quiz_metadata")}
        for concept_id, content in ids.items():
            assert saved[concept_id]["quiz_id"] == content["quiz_id"]
            assert [each["question"] for each in saved[concept_id]["questions"]] == ["corrected"]
    else:
        saved = {row["concept_id"]: row for row in pipeline.rows("SELECT * FROM tutorial_metadata")}
        for concept_id in ids:
            assert saved[concept_id]["content_version"] == 1
            text = pipeline.bucket.get(saved[concept_id]["content_url"])
            assert text is not None
            assert text.body == b"# corrected"


UNUSABLE: dict[str, dict[str, Any]] = {
    "unknown": {"verdict": "maybe"},
    "a rejection without a reason": {"verdict": "reject", "code": "X"},
    "a rejection with a malformed code": REJECT | {"code": "wrong-key"},
    "an invalid correction": ACCEPT | {"content": {"questions": 1}},
    "a reason that ends in half an emoji": REJECT | {"reason": "question 2 \ud83d"},
}


@pytest.mark.parametrize("failure", ["wait", "pass"])
def test_an_unusable_verdict_fails_its_item_and_the_others_are_saved(
    pipeline: Pipeline, failure: str
) -> None:
    load_missing(pipeline)
    items = [(concept_id, content_type) for concept_id in IDS[1:] for content_type in ContentType]
    judged = dict(zip(items, UNUSABLE.values(), strict=False))
    assert len(UNUSABLE) == len(judged) < len(items)
    checked(
        pipeline, lambda item: judged.get((item["concept_id"], item["content_type"]), ACCEPT), failure=failure
    )
    pipeline.run()
    failed = {(each.concept_id, each.content_type): each for each in pipeline.status().failed_items}
    assert failed.keys() == judged.keys()
    for item, verdict in judged.items():
        code, reason = failed[item].error_code, failed[item].reason
        if verdict == UNUSABLE["a reason that ends in half an emoji"]:
            assert (code, reason) == ("Check.WrongKey", "question 2 \ufffd")
        else:
            assert (code, reason[:15]) == ("ContentCheckFailed", "wrong verdict: "), verdict


WRONG_ANSWERS = {
    "too few verdicts": lambda items: {"verdicts": [ACCEPT] * (len(items) - 1)},
    "not an object": lambda _: "accept",
    "none": lambda _: no_answer(),
}


def no_answer() -> Any:
    raise NoAnswerError(Fault.FAILED, "the function failed: KeyError")


@pytest.mark.parametrize("failure", ["wait", "pass"])
@pytest.mark.parametrize("answer", WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_content_waits_or_passes_if_the_answer_is_wrong(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, answer: Any, failure: str
) -> None:
    load_missing(pipeline)
    check = checked(pipeline, lambda _: ACCEPT, failure=failure)
    monkeypatch.setattr(check, "call", lambda document, _: answer(document["items"]))
    generated = Noting()
    pipeline.services.__dict__["generator"] = generated
    assert pipeline.run().complete == (failure == "pass")
    if failure == "wait":
        groups = pipeline.rows("SELECT error_code, transient, items FROM content_task_failures")
        found = {(group["error_code"], group["transient"]) for group in groups}
        assert found == {("ContentCheckFailed", True)}
        assert sum(group["items"] for group in groups) == 2 * TYPES
        before = pipeline.rows("SELECT generated FROM content_attempts")
        checked(pipeline, lambda _: ACCEPT)
        assert pipeline.run().complete
        again = pipeline.rows("SELECT generated FROM content_attempts ORDER BY attempt")
        assert again[0] == before[0]
        assert sum(again[1]["generated"].values()) == 0  # nothing is paid for again


def test_a_batch_that_is_too_large_for_one_call_is_checked_in_parts(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_missing(pipeline)
    check = checked(pipeline, lambda item: REJECT if is_bad(item) else ACCEPT)
    call = check.call
    sizes: list[int] = []

    def at_most_two(document: Any, seconds: float) -> Any:
        sizes.append(len(document["items"]))
        if sizes[-1] > 2:
            raise NoAnswerError(Fault.ANSWER_TOO_LARGE, "the request is too large")
        return call(document, seconds)

    monkeypatch.setattr(check, "call", at_most_two)
    assert not pipeline.run().complete
    (failed,) = pipeline.status().failed_items
    assert (failed.concept_id, failed.error_code) == (IDS[1], "Check.WrongKey")

    def halved(size: int) -> list[int]:
        return [size] + (halved(size // 2) + halved(size - size // 2) if size > 2 else [])

    assert sorted(sizes) == sorted(halved(2 * TYPES))
