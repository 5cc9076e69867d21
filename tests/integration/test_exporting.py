"""`roadmap export`: a task as a bundle that `load` reads, through the API."""

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from roadmap_command.export import Exported, export_task
from roadmap_command.interface import ExitCode
from roadmap_command.main import app
from roadmap_command.target import Target
from roadmap_content.api import revisions, source
from roadmap_content.client.client import Client
from roadmap_content.client.http import ApiRefusedError
from roadmap_content.content.bundle import read_bundle
from roadmap_content.content.generation.generator import learner_from
from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import bundle_of, concept_ids, framework_of
from tests.support.http_server import HttpServer, Reply, Request, json_reply
from tests.support.pipeline import S3, Pipeline
from tests.support.requests_to_api import OPERATOR, Ask

IDS = concept_ids(3)
REQUEST = {
    "user_goal": "تعلّم الحساسات",
    "preferences": {"primary_language": "ar", "current_level": "مبتدئ", "weekly_hours": 4.5},
}
ARABIC = (
    "# الحسّاسات\n\nالحسّاس يقيس العالم. \u200fRTL\u200e 12 %\r\n\n```python\nprint('مرحبا')\n```\n\tنهاية.\n\n"
)
CHINESE = "# 传感器\n\n传感器测量周围的世界。\u3000“引号”，𠀀 🙂\n"


@pytest.fixture
def client(ask: Ask) -> Iterator[Client]:
    """A client of an operator. The API's functions answer its requests one at a time."""
    lock = threading.Lock()

    def answer(request: Request) -> Reply:
        with lock:
            reply = ask(request.method, request.path.removeprefix("/api/v1"), request.query, **OPERATOR)
        return json_reply(reply.body, reply.status)

    with HttpServer(answer) as server:
        yield Client(api_url=server.url, token=str, user_id="op")


def exported(client: Client) -> Exported:
    return export_task(client, "t-1", lambda _: None)


def course() -> dict[str, Any]:
    """A course in Arabic and Chinese, with an unusual framework. A quiz is not generated yet."""
    bundle = bundle_of(IDS)
    bundle["roadmap"]["framework_data"] = framework_of(IDS, ratio=0.1, big=2**60, note="‏ملاحظة")
    bundle["task"]["user_request"] = REQUEST
    for entry, text in zip(bundle["content"], (ARABIC, CHINESE, "# Sensors\n\nMeasure.\n"), strict=True):
        entry["tutorial"]["markdown"] = text
    del bundle["content"][2]["quiz"]
    return bundle


def stored_texts() -> dict[str, bytes]:
    listed = S3.client.list_objects_v2(Bucket="content", Prefix="r-1/")
    keys = [each["Key"] for each in listed.get("Contents", [])]
    return {key: S3.client.get_object(Bucket="content", Key=key)["Body"].read() for key in keys}


def empty_the_stack(pipeline: Pipeline) -> None:
    names = ", ".join(row["name"] for row in pipeline.rows(
        "SELECT relname AS name FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname ~ '^content_|_metadata$|^roadmap_tasks$'"
        " AND relname NOT IN ('content_capacity', 'content_model_quota')"
    ))  # fmt: skip
    pipeline.execute(f"TRUNCATE {names}")
    for listed in S3.client.list_objects_v2(Bucket="content").get("Contents", []):
        S3.client.delete_object(Bucket="content", Key=listed["Key"])


def test_an_exported_course_can_be_loaded_and_run_in_an_empty_stack(
    client: Client, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts are equal byte for byte, JSON by value; the framework is sent in pieces."""
    monkeypatch.setattr(source, "PIECE", 700)
    original = course()
    pipeline.load(original)
    pipeline.run()
    texts = stored_texts()
    bundle = json.loads(json.dumps(exported(client).bundle))
    quizzes = [entry.pop("quiz") for entry in bundle["content"][2:]]
    assert bundle["content"] == original["content"]
    assert bundle["task"] == original["task"]
    assert learner_from(bundle["task"]["user_request"]).language == "ar"
    assert sorted(texts.values()) == sorted(
        entry["tutorial"]["markdown"].encode() for entry in original["content"]
    )
    bundle["content"][2]["quiz"] = quizzes[0]

    empty_the_stack(pipeline)
    pipeline.load(bundle)
    result = pipeline.run()
    assert result.complete
    again = exported(client).bundle
    assert {key: again[key] for key in ("content", "task")} == {
        key: bundle[key] for key in ("content", "task")
    }
    assert again["roadmap"] == bundle["roadmap"]
    assert stored_texts() == texts
    assert {origin["generator"] for origin in again["origins"]} == {"product"}


def test_what_is_absent_is_named_with_its_reason_and_origins_name_no_person(
    client: Client, pipeline: Pipeline
) -> None:
    pipeline.load(course())
    pipeline.run()
    pipeline.execute("DELETE FROM resource_recommendation_metadata WHERE concept_id = :id", id=IDS[1])
    pipeline.bucket.put(
        next(key for key, text in stored_texts().items() if text == CHINESE.encode()), b"another"
    )
    found = exported(client)
    assert dict(found.absent).keys() == {
        Item(IDS[1], ContentType.TUTORIAL),
        Item(IDS[1], ContentType.RESOURCES),
    }
    reasons = dict(found.absent)
    assert "its text was overwritten" in reasons[Item(IDS[1], ContentType.TUTORIAL)]
    assert reasons[Item(IDS[1], ContentType.RESOURCES)] == "it is not saved"
    offline = [origin for origin in found.bundle["origins"] if origin["generator"] == "offline"]
    assert [(origin["concept_id"], origin["content_type"]) for origin in offline] == [(IDS[2], "quiz")]
    assert not {"actor", "reason", "task_id"} & {key for origin in found.bundle["origins"] for key in origin}


def test_a_large_text_is_read_by_its_link_and_what_load_refuses_is_named(
    client: Client, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product's texts may be longer than a staged item, and have any bytes."""
    pipeline.load(course())
    pipeline.run()
    monkeypatch.setattr(revisions, "MOST_TEXT_BYTES", 600_000)
    text = ("الحسّاس " * 60_000).encode() + b"\xff"
    pipeline.bucket.put("r-1/concepts/product/v1.md", text)
    pipeline.execute(
        "UPDATE tutorial_metadata SET content_url = 'r-1/concepts/product/v1.md' WHERE concept_id = :id",
        id=IDS[0],
    )
    with HttpServer(lambda _: Reply(200, text)) as s3:
        monkeypatch.setattr(pipeline.bucket, "link", lambda key, _: f"{s3.url}/{key}")
        bundle = exported(client).bundle
    assert bundle["content"][0]["tutorial"]["markdown"] == text.decode(errors="replace")
    (refused,) = read_bundle(bundle, strict=False).invalid
    assert "content[0].tutorial has" in refused.fault


def test_a_roadmap_that_was_handed_over_is_exported_for_its_new_owner(
    client: Client, pipeline: Pipeline
) -> None:
    pipeline.load(course())
    pipeline.run()
    pipeline.execute("UPDATE roadmap_metadata SET user_id = 'new-owner'")
    found = exported(client)
    assert found.former_user == course()["task"]["user_id"]
    assert found.absent == []
    assert read_bundle(found.bundle).task.user_id == "new-owner"


def test_a_framework_that_changes_between_two_pieces_is_not_put_together(
    client: Client, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "PIECE", 700)
    pipeline.load(course())
    pages = client.source("t-1")
    next(pages)
    pipeline.run()
    with pytest.raises(ApiRefusedError, match="409 ChangedSince"):
        next(pages)


def test_the_commands_print_a_bundle_and_its_findings(
    client: Client, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "named", lambda _: SimpleNamespace(client=lambda: client))
    bundle = course()
    bundle["content"][0]["tutorial"]["markdown"] += "TODO: more.\n"
    pipeline.load(bundle)
    printed = CliRunner().invoke(app, ["export", "t-1"])
    assert printed.exit_code == ExitCode.ITEMS_MISSING
    assert json.loads(printed.stdout) == exported(client).bundle
    assert "Absent: 3 items, quiz: it is not saved" in printed.stderr
    assert "personal data" in printed.stderr
    pipeline.run()
    assert CliRunner().invoke(app, ["export", "t-1"]).exit_code == ExitCode.COMPLETE
    found = CliRunner().invoke(app, ["findings", "t-1", "--json"])
    assert found.exit_code == ExitCode.ITEMS_MISSING
    codes = [(each["content_type"], each["code"]) for each in json.loads(found.stdout)["findings"]]
    assert ("tutorial", "placeholder") in codes


def test_the_log_names_the_operator_and_the_task(
    client: Client, pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.load(course())
    exported(client)
    lines = [vars(record) for record in caplog.records if record.message == "task_source_read"]
    assert [(line["actor"], line["task_id"]) for line in lines] == [("operator:op", "t-1")]
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = now()")
    with pytest.raises(ApiRefusedError, match="409 RoadmapNotFound"):
        exported(client)
