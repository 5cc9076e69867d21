"""An erasure leaves everything of other users, byte for byte, with any ids."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from roadmap_content.capabilities.recoveries.request import RecoveryFilter, RegenerationFilter
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.keys import staged_key
from tests.support.erasing import QUIET, erased, rows_with
from tests.support.factories import CONTENT_TABLES, bundle_of, concept_ids
from tests.support.pipeline import S3, SETTINGS, Pipeline

FIELDS = sorted({*RecoveryFilter.model_fields, *RegenerationFilter.model_fields})
IDS = [
    "staged", "manifests", "rejected", "erasures", "concepts", "a%2Fb", "a/b", "%", "..", "x" * 64, *FIELDS,
]  # fmt: skip
IDENTITIES = {"user_id", "task_ids", "q", "roadmap_id"}
"""The fields of a filter that may name a user, a task or a roadmap."""

SUMS = {
    "content_capacity",
    "content_erasures",
    "content_failure_groups",
    "content_failure_hours",
    "content_sweeps",
    "content_token_hours",
}
"""The tables of sums, of the register, and of places."""

Found = set[tuple[str, str]]


def everything(pipeline: Pipeline) -> tuple[Found, Found]:
    """Each row as text, and each version of an object."""
    rows = rows_with(pipeline.engine).items()
    versions = S3.client.list_object_versions(Bucket="content")
    objects = {(each["Key"], each["VersionId"]) for each in versions["Versions"]}
    return {(table, row) for table, found in rows if table not in SUMS for row in found}, objects


def run_of(pipeline: Pipeline, user: str, neighbour: str) -> None:
    """A user's roadmap and task with this id, a text of the product, and a task for a neighbour's roadmap."""
    task = Pipeline(pipeline.services, "t", pipeline.engine)
    ids = concept_ids(1, user)
    bundle: dict[str, Any] = bundle_of(ids, roadmap_id=user, task_id="t")
    bundle["roadmap"]["user_id"] = bundle["task"]["user_id"] = user
    task.load(bundle)
    task.execute("UPDATE roadmap_tasks SET task_id = :u WHERE task_id = 't'", u=user)
    task.task_id = user
    task.run()
    task.bucket.put(f"{user}/concepts/{ids[0]}/v1.md", b"a text of the product")
    other = {"u": user, "task": f"t-{IDS.index(user) if user in IDS else user}", "neighbour": neighbour}
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, attempt)"
        " VALUES (:task, :u, :neighbour, 'completed', 1)",
        **other,
    )
    pipeline.execute(
        "INSERT INTO content_attempts"
        " (task_id, attempt, actor, cause, step, ended_at, outcome, user_id, roadmap_id, saved)"
        " VALUES (:task, 1, 'user:' || :u, 'retry', 'ended', now(), 'completed', :u, :neighbour, '{}')",
        **other,
    )


Owned = dict[str, tuple[Found, Found]]


@pytest.fixture
def of_users(pipeline: Pipeline) -> tuple[Pipeline, Owned]:
    """The rows of each user, and of nobody: a recovery that names each user in a field of its filter."""
    S3.put_bucket_versioning(Bucket="content", VersioningConfiguration={"Status": "Enabled"})
    own: Owned = {}
    rows, objects = everything(pipeline)
    for user, neighbour in zip(IDS, [IDS[-1], *IDS], strict=False):
        run_of(pipeline, user, neighbour)
        pipeline.execute(f"{QUIET} AND user_id = :u", u=user)
        now_rows, now_objects = everything(pipeline)
        own[user] = now_rows - rows, now_objects - objects
        rows, objects = now_rows, now_objects
    own = {user: (found & rows, keys) for user, (found, keys) in own.items()}
    conditions = {field: field for field in FIELDS if field not in IDENTITIES}
    pipeline.execute(
        "INSERT INTO content_recoveries (recovery_id, state, actor, reason, filter, rate_per_minute,"
        " concurrency, canary)"
        " VALUES ('x', 'completed', 'operator:op', 'why', CAST(:filter AS json), 1, 1, 0)",
        filter=json.dumps(conditions | {"status": IDS, "regenerate": conditions}),
    )
    own["nobody"] = everything(pipeline)[0].difference(*(found for found, _ in own.values())), set()
    return pipeline, own


def test_everything_of_others_stays_whatever_the_ids_are(of_users: tuple[Pipeline, Owned]) -> None:
    pipeline, own = of_users
    for user in IDS:
        own_rows, own_objects = own.pop(user)
        for product_rows in (True,) if user in FIELDS else (False, True):
            answer = erased(pipeline.services, user, product_rows=product_rows)
            assert answer.complete
            ambiguous = [f"{user}/concepts/{user}:c-1-1-1/v1.md"] if user == "a%2Fb" else []
            assert answer.removed.shared == ambiguous
        rows, objects = everything(pipeline)
        for name, (rows_of_other, objects_of_other) in own.items():
            assert rows_of_other <= rows, (user, name, rows_of_other - rows)
            assert objects_of_other <= objects, (user, name)
        assert not own_rows & rows, user
        assert [key for key, _ in own_objects & objects] == ambiguous, user


def test_what_was_handed_over_or_is_named_by_others_too_stays(pipeline: Pipeline) -> None:
    """A roadmap and a task that were handed over; a deleted roadmap that attempts of two users name."""
    for user, neighbour in (("alice", "gone"), ("bob", "gone")):
        run_of(pipeline, user, neighbour)
    pipeline.execute(QUIET)
    for table in ("roadmap_metadata", "roadmap_tasks"):
        pipeline.execute(f"UPDATE {table} SET user_id = 'carol' WHERE roadmap_id = 'bob'")
    shared = staged_key("gone", Item("c", ContentType.QUIZ))
    pipeline.bucket.put(shared, b"{}")
    before, objects = everything(pipeline)
    for product_rows in (False, True):
        answer = erased(pipeline.services, "bob", product_rows=product_rows)
        assert (answer.complete, answer.removed.objects) == (True, {})
    rows, left = everything(pipeline)
    assert objects <= left
    attempts = pipeline.rows("SELECT task_id, user_id FROM content_attempts")
    owners = {row["task_id"]: row["user_id"] for row in attempts}
    assert owners == {"alice": "alice", "bob": "carol", "t-alice": "alice"}
    assert rows_with(pipeline.engine, "user:bob") == {}
    of_product = {"roadmap_metadata", *CONTENT_TABLES}
    assert {row for row in before if row[0] in of_product} == {row for row in rows if row[0] in of_product}
    assert erased(pipeline.services, "alice").removed.objects["staged"].objects >= 1, "nobody else names it"
    assert not pipeline.bucket.holds(shared)


def test_a_text_that_a_row_of_another_roadmap_names_stays(pipeline: Pipeline) -> None:
    """Until that row is gone, and under any URL: the text of an erased user, of a roadmap that the
    product deletes, and of one that does not name the text any more.
    """
    for user in ("alice", "bob", "carol", "dave"):
        run_of(pipeline, user, user)
    pipeline.execute(QUIET)
    named = {
        row["roadmap_id"]: row["content_url"] for row in pipeline.rows("SELECT * FROM tutorial_metadata")
    }
    copies = [named["alice"], f"https://content.s3.amazonaws.com/{quote(named['bob'])}?X=1", named["carol"]]
    for version, url in enumerate(copies, 2):
        pipeline.execute(
            "INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,"
            " content_version, content_status, is_latest, estimated_completion_time)"
            " VALUES (CAST(:version AS text), 'dave:c-1-1-1', 'dave', 'T', 'S', :url, :version, 'completed',"
            " false, 1)",
            url=url,
            version=version,
        )
    assert erased(pipeline.services, "alice", product_rows=True).removed.shared == [named["alice"]]
    for table in CONTENT_TABLES:
        pipeline.execute(f"DELETE FROM {table} WHERE roadmap_id = 'bob'")
    pipeline.execute("DELETE FROM roadmap_tasks WHERE user_id = 'bob'")
    pipeline.execute("DELETE FROM roadmap_metadata WHERE roadmap_id = 'bob'")
    pipeline.execute("DELETE FROM tutorial_metadata WHERE roadmap_id = 'carol'")
    pipeline.execute("DELETE FROM content_archive")
    pipeline.services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "deleted_by_product=0"})
    for rows_of_dave in (True, False):
        for _ in range(2):
            pipeline.sweep(time=datetime.now(UTC))
        held = {user for user, url in named.items() if pipeline.bucket.holds(url)}
        assert held == ({*named} if rows_of_dave else {"dave"})
        pipeline.execute("DELETE FROM tutorial_metadata WHERE content_version > 1")
