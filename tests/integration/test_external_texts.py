"""Any text in any field that comes from outside costs at most its own item, and its outcome is recorded.

The fields are derived from the framework's model, the columns of the product's tables, the events of the
steps, and the verdicts of the product's check: a new field is covered on the day it is added.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest

from roadmap_content.content.content_check import Accepted, Rejection
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.errors import ContentIncomplete, TokenBudgetExhaustedError
from roadmap_content.contracts.items import MAX_REASON, ContentType
from roadmap_content.contracts.payloads import BatchRequest, Payload
from roadmap_content.platform.runtime.log import logger
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, await_redrive
from roadmap_content.runs.steps.finalize import FinalizeRequest, record_run_end
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.handler import Handler, step_handler
from roadmap_content.runs.steps.plan import PlanRequest, plan_batches
from roadmap_content.runs.steps.save import save_batch
from tests.integration.test_content_check import ACCEPT, REJECT, checked
from tests.support.factories import CONTENT_TABLES, TYPES, bundle_of, concept_ids
from tests.support.generators import FakeModel
from tests.support.openapi import DOCUMENT, resolved, value_of
from tests.support.pipeline import Pipeline
from tests.support.product_schema import EXECUTION_LOGS
from tests.support.requests_to_api import OPERATOR, Ask
from tests.support.requests_to_api import Context as ApiContext

IDS = concept_ids(3)
CONTROLS = "".join(map(chr, (*range(1, 32), *range(127, 160))))
STORABLE = f"a{CONTROLS}\u202e\u2066\u2069\u200e\u2028\ufeff\uffff'\"\\u0000</script>{'x' * 2**18}"
"""Longer than an event or a log line may be, with controls, marks of direction and escapes: what a column of
type `text` can hold.
"""

HOSTILE = f"a\x00\ud83d\udc4d\udfff{STORABLE}\ud83d"
"""Also with characters that PostgreSQL refuses and JSON can hold."""

Path = tuple[str, ...]


def text_fields(document: Mapping[str, Any], part: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """The paths of the free texts in a model's JSON schema. `*` is each entry of a list."""
    match part:
        case {"$ref": str(target)}:
            models = document.get("$defs") or document["components"]["schemas"]
            yield from text_fields(document, models[target.rsplit("/", 1)[1]], path)
        case {"anyOf": [*parts]}:
            for each in parts:
                yield from text_fields(document, each, path)
        case {"properties": dict(properties)}:
            for name, each in properties.items():
                yield from text_fields(document, each, (*path, name))
        case {"type": "array", "items": dict(each)}:
            yield from text_fields(document, each, (*path, "*"))
        case {"type": "string"} if not part.keys() & {"enum", "const", "format"}:
            yield path


def texts_of(model: type[Payload]) -> list[Path]:
    schema = model.model_json_schema()
    return list(dict.fromkeys(text_fields(schema, schema)))


def changed(document: Any, path: Path, value: object) -> Any:
    """A copy of a JSON value, with another value at the path."""
    if not path:
        return value
    first, *rest = path
    if first == "*":
        return [changed(each, tuple(rest), value) for each in document]
    return document | {first: changed(document.get(first), tuple(rest), value)}


OURS = ("task_id", "roadmap_id", "manifest", "execution_arn", "Id", "executionArn")
"""The ids that our own steps write into events."""


class Context(ApiContext):
    """An invocation with time for the product's check."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 600_000


class Steps:
    """The functions of a run, with their events as JSON."""

    def __init__(self, pipeline: Pipeline) -> None:
        services = pipeline.services
        self._plan = step_handler(PlanRequest, plan_batches, services)
        self._generate = step_handler(BatchRequest, generate_content, services)
        self._handlers: dict[type[Payload], Handler] = {
            BatchRequest: step_handler(BatchRequest, save_batch, services),
            FinalizeRequest: step_handler(FinalizeRequest, record_run_end, services),
            AwaitRedriveRequest: step_handler(AwaitRedriveRequest, await_redrive, services),
            ReconcileRequest: step_handler(ReconcileRequest, reconcile, services),
        }
        self.execution = {"Id": "arn:run-1", "StartTime": "2026-11-24T22:05:00Z"}
        self.input = {"task_id": pipeline.task_id}
        self.plan: dict[str, Any] = {}
        self.batches: list[dict[str, Any]] = []

    def start(self) -> None:
        planned = _answer(self._plan, {"input": self.input, "execution": self.execution})
        self.plan, self.batches = planned["plan"], planned["batches"]

    def run(self, model: type[Payload], text: str | None = None) -> None:
        """Run the rest of the state machine, with a text in each field of the events of a function. Batches
        are lost, unless the function is theirs.
        """
        error = {"Error": "States.TaskFailed", "Cause": '{"errorMessage": "why \\\\ud83d \\\\u0000"}'}
        for batch in self.batches:
            request = {"plan": self.plan, "batch": batch, "execution_arn": self.execution["Id"]}
            if model is BatchRequest:
                _answer(self._generate, request)
                self._ask(BatchRequest, request | {"generate_error": error}, model, text)
        lost = [{"batch": batch, "error": error} for batch in self.batches]
        end = {"input": self.input, "execution": self.execution, "plan": self.plan, "lost": lost}
        if model is ReconcileRequest:
            detail = {"executionArn": self.execution["Id"], "input": json.dumps(self.input)}
            detail |= {"status": "FAILED", "error": "States.Runtime", "cause": "why"}
            self._ask(ReconcileRequest, {"detail": detail}, model, text)
            return
        outcome = self._ask(FinalizeRequest, end | {"error": error}, model, text)
        if not outcome["complete"]:
            outcome |= {"planned_redrive_count": 0, "error": error}
            request = {"outcome": outcome, "execution": self.execution}
            self._ask(AwaitRedriveRequest, request, model, text)

    def _ask(
        self, function: type[Payload], event: dict[str, Any], model: type[Payload], text: str | None
    ) -> Any:
        if function is model and text is not None:
            for path in texts_of(model):
                event = event if path[-1] in OURS else changed(event, path, text)
        try:
            return _answer(self._handlers[function], event)
        except ContentIncomplete as incomplete:
            return str(incomplete)


def _answer(handler: Handler, event: dict[str, Any]) -> Any:
    """The answer of a function. Lambda's runtime encodes it as UTF-8."""
    answer = handler(json.loads(json.dumps(event)), Context())
    return json.loads(json.dumps(answer, ensure_ascii=False).encode())


@pytest.fixture
def steps(pipeline: Pipeline) -> Steps:
    """A task with two concepts that are staged and one that is not; the product's tables are complete."""
    bundle = bundle_of(IDS)
    del bundle["content"][2]
    pipeline.load(bundle)
    pipeline.execute(f"{EXECUTION_LOGS}; GRANT ALL ON execution_logs TO PUBLIC")
    return Steps(pipeline)


def require_recorded(
    pipeline: Pipeline, ask: Ask, caplog: pytest.LogCaptureFixture, missing: int = 0
) -> None:
    """The outcome of the run is recorded everywhere, with the reasons of the missing items."""
    saved = sum(
        row["saved"]
        for table in CONTENT_TABLES
        for row in pipeline.rows(f"SELECT count(DISTINCT concept_id) AS saved FROM {table}")
    )
    assert saved == TYPES * len(IDS) - missing
    task = pipeline.task()
    assert task["completed_at"] is not None
    assert task["status"] == ("completed" if not missing else "partial_failure" if saved else "failed")
    failures = pipeline.rows("SELECT * FROM content_failures")
    assert len(failures) == missing == len((task["failed_concepts"] or {"items": []})["items"])
    assert all(row["reason"] and len(row["reason"]) <= MAX_REASON for row in failures)
    (attempt,) = pipeline.rows("SELECT * FROM content_attempts")
    assert sum(attempt["saved"].values()) == saved
    assert pipeline.rows("SELECT 1 FROM content_events WHERE detail_type = 'Task Finalized'")
    logged = pipeline.rows("SELECT details ->> 'log_type' AS log_type FROM execution_logs")
    assert {"log_type": "task_completed"} in logged
    # Each value of ours is one that PostgreSQL can read: `jsonb` is stricter than `json`.
    columns = pipeline.rows(
        "SELECT table_name, column_name FROM information_schema.columns WHERE data_type = 'json' AND"
        " (table_name ~ '^content_' OR column_name IN ('failed_concepts', 'execution_summary', 'details'))"
    )
    for column in columns:
        pipeline.rows("SELECT CAST({column_name} AS jsonb) FROM {table_name}".format_map(column))
    for path in (
        "/tasks",
        "/failures",
        *(f"/tasks/t-1{end}" for end in ("", "/items", "/attempts", "/changes")),
    ):
        assert ask("GET", path, **OPERATOR).status == 200, path
    assert not pipeline.sweep().repairs
    for record in caplog.records:
        assert len(logger.registered_formatter.format(record).encode()) < 2**18


def test_each_field_of_a_concept(
    pipeline: Pipeline, steps: Steps, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    framework = pipeline.framework() | {HOSTILE: HOSTILE, "title": HOSTILE}
    for stage in framework["stages"]:
        for module in stage["modules"]:
            stage["name"] = module["name"] = HOSTILE
            for concept in module["concepts"]:
                for field in {*Concept._fields} - {"concept_id", "stage", "module", "fields"}:
                    concept[field] = [HOSTILE] if isinstance(concept[field], list) else HOSTILE
    pipeline.execute("UPDATE roadmap_metadata SET framework_data = :f", f=json.dumps(framework))
    steps.start()
    steps.run(BatchRequest)
    require_recorded(pipeline, ask, caplog)
    assert list(pipeline.concepts()) == IDS


@pytest.mark.parametrize("model", [BatchRequest, FinalizeRequest, AwaitRedriveRequest, ReconcileRequest])
def test_each_text_of_an_event(
    pipeline: Pipeline, steps: Steps, ask: Ask, caplog: pytest.LogCaptureFixture, model: type[Payload]
) -> None:
    steps.start()
    steps.run(model, HOSTILE)
    require_recorded(pipeline, ask, caplog, 0 if model is BatchRequest else TYPES * len(IDS))


def test_each_field_of_a_verdict(
    pipeline: Pipeline, steps: Steps, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    """Each item has another field of a refusal, or of a correction, with such a text."""
    fields = [(REJECT, name) for name in Rejection.model_fields]
    fields += [(ACCEPT, name) for name in Accepted.model_fields]
    items = [(concept_id, content_type) for concept_id in IDS for content_type in ContentType]
    judged = dict(zip(items, fields, strict=False))
    assert len(judged) == len(fields)

    def judge(item: dict[str, Any]) -> dict[str, Any]:
        verdict, name = judged.get((item["concept_id"], item["content_type"]), (ACCEPT, None))
        document = {"title": HOSTILE, HOSTILE: HOSTILE}
        return verdict | {name: document if name == "content" else HOSTILE} if name else verdict

    checked(pipeline, judge, scope="all")
    steps.start()
    steps.run(BatchRequest)
    require_recorded(pipeline, ask, caplog, len(fields))


COLUMNS = """
SELECT column_name, data_type, coalesce(character_maximum_length, :longest) AS longest
FROM information_schema.columns AS c
WHERE table_name = :table AND data_type IN ('text', 'character varying', 'json')
    AND column_name NOT IN ('framework_data', 'content_status', 'execution_arn')
    AND column_name NOT IN ('user_id', 'roadmap_id', 'concept_id') AND NOT EXISTS (
        SELECT FROM information_schema.key_column_usage AS k
        WHERE (k.table_name, k.column_name) = (c.table_name, c.column_name))
"""


@pytest.mark.parametrize("table", ["roadmap_tasks", "roadmap_metadata", *CONTENT_TABLES])
def test_each_column_of_the_product(
    pipeline: Pipeline, steps: Steps, ask: Ask, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    """All columns except ids. Without its status, a tutorial would be missing."""
    document = json.dumps([{"title": HOSTILE, HOSTILE: HOSTILE}])
    values = {
        row["column_name"]: document if row["data_type"] == "json" else STORABLE[: row["longest"]]
        for row in pipeline.rows(COLUMNS, table=table, longest=len(STORABLE))
    }
    poison = f"UPDATE {table} SET {', '.join(f'{name} = :{name}' for name in values)}"
    if table not in CONTENT_TABLES:
        pipeline.execute(poison, **values)
    steps.start()
    steps.run(BatchRequest)
    if table in CONTENT_TABLES:
        pipeline.execute(f"{poison} WHERE concept_id = '{IDS[0]}'", **values)
        pipeline.sweep()
    require_recorded(pipeline, ask, caplog)
    for content_type, end in product(ContentType, ("items/{}", "content/{}", "items/{}/revisions")):
        path = f"/tasks/t-1/{end.format(content_type)}"
        assert ask("GET", path, {"concept_id": IDS[0]}, **OPERATOR).status < 500, path


@pytest.mark.parametrize(
    "table", ["content_events", "content_failures", "content_failure_groups", "execution_logs"]
)
def test_what_is_reported_fails_no_row(pipeline: Pipeline, steps: Steps, table: str) -> None:
    """The table refuses every row from the first batch on."""
    steps.start()
    pipeline.execute(f"ALTER TABLE {table} ADD CHECK (false) NOT VALID")
    checked(pipeline, lambda item: REJECT if item["concept_id"] == IDS[0] else ACCEPT, scope="all")
    steps.run(BatchRequest)
    saved = [pipeline.rows(f"SELECT concept_id FROM {name}") for name in CONTENT_TABLES]
    assert [len(rows) for rows in saved] == [len(IDS) - 1] * TYPES
    task = pipeline.task()
    assert (task["status"], task["failed_concepts"]["concept_ids"]) == ("partial_failure", IDS[:1])
    assert [fields["quiz_status"] for fields in pipeline.concepts().values()] == [
        "failed",
        "completed",
        "completed",
    ]


def test_the_error_of_a_generator(
    pipeline: Pipeline, steps: Steps, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    generator = pipeline.services.generator = FakeModel(TokenBudgetExhaustedError(HOSTILE))
    generator.fails = lambda item: item.content_type is ContentType.QUIZ
    steps.start()
    steps.run(BatchRequest)
    require_recorded(pipeline, ask, caplog, 1)


REFUSED = ("a\x00b", "a\ud800")
TEXTS = (*REFUSED, CONTROLS, "\u202e\u2066\ufeff\u2028%00'\"\\", "\x01" * 2**20)
"""Each alone, because the first two are refused in every field."""

PATH = {"task_id": "t-1", "content_type": "quiz", "revision_id": "r", "recovery_id": "r", "group_id": "a"}


def texts_of_requests() -> Iterator[tuple[str, str, Path]]:
    """The texts of all requests in docs/openapi.json: method, path, and place in the request."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                parameter = resolved(DOCUMENT, parameter)
                yield method, path, (parameter["in"], parameter["name"])
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                for place in text_fields(DOCUMENT, schema):
                    yield method, path, ("body", *place)


REQUESTS = list(texts_of_requests())


@pytest.mark.parametrize("text", TEXTS, ids=map(ascii, (text[:9] for text in TEXTS)))
def test_each_text_of_a_request(pipeline: Pipeline, ask: Ask, text: str) -> None:
    """A text that cannot be stored is refused with the name of its field, and without its value. No answer is
    larger than Lambda permits, whatever the request quotes.
    """
    pipeline.load(bundle_of(IDS))
    for method, path, (part, *place) in REQUESTS:
        operation = DOCUMENT["paths"][path][method]
        request: dict[str, Any] = {"query": {"concept_id": IDS[0]}, "body": None}
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            request["body"] = value_of(DOCUMENT, schema)
        names = PATH | {"user_id": "nobody"}
        if part == "body":
            request["body"] = changed(request["body"], tuple(place), text)
        elif part == "query":
            request["query"] |= {place[0]: [text]}
        else:
            names |= {place[0]: text[:8_000]}  # more is refused by API Gateway
        answer = ask(method.upper(), path.removeprefix("/api/v1").format_map(names), **request, **OPERATOR)
        assert answer.status < 500, (method, path, part, place, answer)
        assert len(json.dumps(json.dumps(answer.body))) < 2**20
        if text in REFUSED:
            assert answer.status in (404, 422), (method, path, part, place, answer)
            assert part == "path" or {"body", *place} & {*re.findall(r"\w+", answer.body["message"])}
            assert text not in json.dumps(answer.body)
    assert pipeline.status().task_id == "t-1"  # the connection is not one response behind
