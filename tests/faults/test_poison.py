"""Invalid content fails without affecting other items, with its reason, and is repaired by the next attempt.

Covers every column of every content table with every kind of invalid value: alone, among ten and among two
hundred items, from none to all of a batch.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from typing import Any

import pytest

from local_stack.database_roles import DatabaseRoles
from local_stack.postgres_server import Server, create_database, drop_database
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.kind import save_parameters
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import fingerprint, rejected_key
from tests.faults.poisons import ID_FIELDS, VALID, Heals, Poison, marked, poisons_of, with_id
from tests.faults.recording import RecordingGenerator
from tests.support.evidence import PRODUCT_TYPES, TABLES, TYPES, Log
from tests.support.factories import bundle_of, content_of
from tests.support.memory_s3 import MemoryS3
from tests.support.oracle import Oracle
from tests.support.pipeline import SETTINGS, Pipeline, services_for

# The other content types of a case are saved already, so that the case has one batch of one content type.
SAVED = {
    "tutorial": """
        INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url)
        SELECT 'saved ' || md5(:roadmap_id || id), id, :roadmap_id, 'T', 'S', 'saved.md'
        FROM json_array_elements_text(CAST(:ids AS json)) AS id""",
    "resources": """
        INSERT INTO resource_recommendation_metadata (id, concept_id, roadmap_id, resources)
        SELECT 'saved ' || md5(:roadmap_id || id), id, :roadmap_id, '[]'
        FROM json_array_elements_text(CAST(:ids AS json)) AS id""",
    "quiz": """
        INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions)
        SELECT 'saved ' || md5(:roadmap_id || id), id, :roadmap_id, '[]'
        FROM json_array_elements_text(CAST(:ids AS json)) AS id""",
}

# A constraint of the product on any column: marked content is refused with the SQLSTATE in its mark.
REFUSE = r"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE mark text[] = regexp_match(CAST(row_to_json(NEW) AS text), 'refuse ([0-9A-Z]{5}) ([a-z_]+)');
BEGIN
    IF mark IS NOT NULL THEN
        RAISE EXCEPTION 'refused for column %', mark[2] USING ERRCODE = mark[1];
    END IF;
    RETURN NEW;
END $$
"""

SQLSTATES = {
    "out of range": "22003",
    "too long": "22001",
    "not of its type": "22P02",
    "JSON that is refused": "22032",
    "a character that is refused": "22P05",
    "null": "23502",
    "a check of the product's": "23514",
    "an exclusion": "23P01",
    "too large": "54000",
    "a trigger of the product's": "P0001",
}


class Bench:
    """One database and one S3 for all cases. Each case has its own roadmap, task and bucket."""

    def __init__(self, database_url: str) -> None:
        self.services = services_for(database_url)
        self.s3 = MemoryS3()
        self._numbers = count(1)
        self.pipeline = Pipeline(self.services)
        # Rows whose ids are used by poisons: of another roadmap of the user, and of another user.
        for owner in ("the same user", "another user"):
            self._fresh_bucket()
            neighbour = Pipeline(self.services, f"task-of-{owner.replace(' ', '-')}")
            user = {} if owner == "the same user" else {"user_id": owner}
            neighbour.load(
                bundle_of([owner], roadmap_id=f"road of {owner}", task_id=neighbour.task_id, **user)
            )
            assert neighbour.run().complete
        self.pipeline.execute(REFUSE)
        for table, _ in TABLES.values():
            self.pipeline.execute(
                f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
            )

    def _fresh_bucket(self) -> str:
        name = f"case-{next(self._numbers)}"
        self.s3.create_bucket(Bucket=name)
        self.services.bucket = Bucket(name, self.s3.client)
        return name

    def columns(self, kind: str) -> list[str]:
        """The columns of a content type's table."""
        rows = self.pipeline.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_name = :table ORDER BY 1",
            table=TABLES[kind][0],
        )
        return [row["column_name"] for row in rows]

    def case(self, kind: str, poisons: Sequence[Poison | None]) -> "Case":
        """A task with one missing batch of one content type, in which the given items are poisons."""
        bucket = self._fresh_bucket()
        self.services.settings = Settings(SETTINGS | {"BATCH_SIZE": str(len(poisons))})
        return Case(self, kind, poisons, bucket)

    def forget(self, case: "Case") -> None:
        """Remove a case, so that it does not slow down the next one."""
        for table, _ in TABLES.values():
            self.pipeline.execute(f"DELETE FROM {table} WHERE roadmap_id = :id", id=case.roadmap_id)
        self.pipeline.execute("DELETE FROM roadmap_metadata WHERE roadmap_id = :id", id=case.roadmap_id)
        for table in ("roadmap_tasks", "content_failures"):
            self.pipeline.execute(f"DELETE FROM {table} WHERE task_id = :id", id=case.pipeline.task_id)


class Case:
    """One batch with its poisons."""

    def __init__(self, bench: Bench, kind: str, poisons: Sequence[Poison | None], bucket: str) -> None:
        self.kind = kind
        self.roadmap_id = f"r-{bucket}"
        self.ids = [f"{self.roadmap_id}:c-1-1-{number}" for number in range(len(poisons))]
        self.poisons = {
            concept_id: poison
            for concept_id, poison in zip(self.ids, poisons, strict=True)
            if poison is not None
        }
        bundle = bundle_of(self.ids, roadmap_id=self.roadmap_id, task_id=f"t-{bucket}")
        for entry in bundle["content"]:
            for other in set(TYPES) - {kind}:
                del entry[other]
        self.pipeline = Pipeline(bench.services, f"t-{bucket}")
        self.pipeline.seconds = 600  # even a slow machine must have time for two hundred items
        self.pipeline.load(bundle)
        self.pipeline.bucket.put("saved.md", b"saved")
        for other in set(TYPES) - {kind}:
            self._save(ContentType(other))
        self.bodies = {concept_id: poison.body(concept_id) for concept_id, poison in self.poisons.items()}
        for concept_id, body in self.bodies.items():
            self.pipeline.bucket.put(self._key(concept_id), body)
        self.log = Log(
            injected=[f"{concept_id}: {poison.name}" for concept_id, poison in self.poisons.items()]
        )
        self.oracle = Oracle(self.pipeline.engine, bench.s3.client, bucket, bundle, self.log)
        bench.services.generator = RecordingGenerator(OfflineGenerator(), self.log)

    def _save(self, other: ContentType) -> None:
        if other in SAVED:
            self.pipeline.execute(SAVED[other], roadmap_id=self.roadmap_id, ids=json.dumps(self.ids))
            return
        to_row, save_sql = CONTENT_KINDS[other].to_row, CONTENT_KINDS[other].sql.save
        rows = [to_row(self.roadmap_id, each, content_of(other, each)) for each in self.ids]
        self.pipeline.execute(save_sql, **save_parameters(self.roadmap_id, rows))

    def _key(self, concept_id: str) -> str:
        return f"staged/items/{self.roadmap_id}/{self.kind}/{concept_id}.json"

    def run(self) -> None:
        self.pipeline.run()
        self.log.recorded.add(self.pipeline.task()["attempt"])
        self.oracle.require(self.oracle.at_any_time(), self.oracle.at_rest())

    def row(self, concept_id: str) -> dict[str, Any]:
        table, _ = TABLES[self.kind]
        (row,) = self.pipeline.rows(
            f"SELECT * FROM {table} WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id",
            roadmap_id=self.roadmap_id,
            concept_id=concept_id,
        )
        return row

    def failed(self) -> dict[str, str]:
        """The items that failed in the first attempt, with their codes. Each has a reason."""
        failed = self.pipeline.rows(
            "SELECT * FROM content_failures WHERE task_id = :id AND attempt = 1", id=self.pipeline.task_id
        )
        assert {(row["content_type"], row["stage"], row["transient"]) for row in failed} <= {
            (self.kind, "save", False)
        }
        assert all(row["reason"] for row in failed)
        return {row["concept_id"]: row["error_code"] for row in failed}

    def check(self) -> None:
        """Check that exactly the poisons fail, with their reasons, and that the next attempt repairs each of
        them.
        """
        self.run()
        assert self.failed() == {concept_id: poison.code for concept_id, poison in self.poisons.items()}
        good = [concept_id for concept_id in self.ids if concept_id not in self.poisons]
        for concept_id in good:
            assert _holds(self.row(concept_id), VALID[self.kind](concept_id))
        assert self.log.generated == []
        if not self.poisons:
            return

        self.run()
        self.oracle.require(self.oracle.healed())
        anew = {item for item, poison in self.poisons.items() if poison.heals is Heals.GENERATED}
        assert sorted(self.log.generated) == sorted((concept_id, self.kind) for concept_id in anew)
        for concept_id in self.poisons:
            item = Item(concept_id, ContentType(self.kind))
            quarantined = self.pipeline.bucket.get(
                rejected_key(self.roadmap_id, item, 1, fingerprint(self.bodies[concept_id]))
            )
            if concept_id in anew:
                assert quarantined is not None
                assert quarantined.body == self.bodies[concept_id]
                assert quarantined.metadata["reason"]
            else:
                assert quarantined is None
                content = json.loads(self.bodies[concept_id])
                row = self.row(concept_id)
                field = ID_FIELDS[self.kind]
                assert row[field] != content.pop(field)
                assert _holds(row, content)


def _holds(row: dict[str, Any], content: dict[str, Any]) -> bool:
    return all(row[key] == value for key, value in content.items() if key != "markdown")


@pytest.fixture(scope="module")
def bench(database_server: Server, migrated_template: tuple[str, DatabaseRoles]) -> Iterator[Bench]:
    name = "poison"
    url = create_database(database_server.url, name, template=migrated_template[0])
    bench = Bench(url)
    yield bench
    bench.services.engine.dispose()
    drop_database(database_server.url, name)


def all_poisons(bench: Bench, kind: str) -> list[Poison]:
    """Every poison of a content type: of its contract, of its columns, and of ids that are taken."""
    states = cycle(SQLSTATES.items())
    columns = [
        marked(kind, f"{column}: {name}", f"refuse {state} {column}", state)
        for column, (name, state) in zip(bench.columns(kind), states, strict=False)
    ]
    every_state = [
        marked(kind, f"refused as {name}", f"refuse {state} some_column", state)
        for name, state in SQLSTATES.items()
    ]
    taken = [
        with_id(kind, f"id owned by {owner}", VALID[kind](owner)[ID_FIELDS[kind]])
        for owner in ("the same user", "another user")
    ]
    return [*poisons_of(kind), *columns, *every_state, *taken]


@pytest.mark.parametrize("kind", PRODUCT_TYPES)
def test_each_poison_alone(bench: Bench, kind: str, subtests: pytest.Subtests) -> None:
    for poison in all_poisons(bench, kind):
        with subtests.test(poison.name):
            case = bench.case(kind, [poison])
            case.check()
            bench.forget(case)


@pytest.mark.parametrize("size", [10, 200])
@pytest.mark.parametrize("kind", PRODUCT_TYPES)
def test_a_duplicate_id_in_a_batch_is_saved_for_the_first_item(bench: Bench, kind: str, size: int) -> None:
    same = with_id(kind, "the id of another item of the batch", f"one id for all {kind} {size}")
    case = bench.case(kind, [same] * size)
    first = case.ids[0]
    case.run()
    assert case.failed() == dict.fromkeys(case.ids[1:], "IdTaken")
    assert case.row(first)[ID_FIELDS[kind]] == f"one id for all {kind} {size}"
    before = case.row(first)
    case.run()
    case.oracle.require(case.oracle.healed())
    assert case.log.generated == []
    assert case.row(first) == before
    assert len({case.row(concept_id)[ID_FIELDS[kind]] for concept_id in case.ids}) == size
    bench.forget(case)


@pytest.mark.parametrize("kind", PRODUCT_TYPES)
def test_an_id_of_another_concept_of_the_roadmap_is_refused(bench: Bench, kind: str) -> None:
    case = bench.case(kind, [None] * 10)
    case.run()
    row_id = case.row(case.ids[0])[ID_FIELDS[kind]]
    # The product adds an eleventh concept whose content has the id of the first one.
    framework = case.pipeline.framework()
    eleventh = f"{case.roadmap_id}:c-1-1-10"
    framework["stages"][0]["modules"][0]["concepts"].append({"concept_id": eleventh, "name": "new"})
    case.log.framework = framework
    case.pipeline.execute(
        "UPDATE roadmap_metadata SET framework_data = CAST(:f AS json) WHERE roadmap_id = :id",
        f=json.dumps(framework),
        id=case.roadmap_id,
    )
    body = with_id(kind, "", row_id).body(eleventh)
    case.pipeline.bucket.put(f"staged/items/{case.roadmap_id}/{kind}/{eleventh}.json", body)
    case.run()
    failed = case.pipeline.task()["failed_concepts"]["items"]
    assert [entry["error_code"] for entry in failed if entry["content_type"] == kind] == ["IdTaken"]
    case.run()
    case.oracle.require(case.oracle.healed())
    assert _holds(case.row(eleventh), {k: v for k, v in json.loads(body).items() if k != ID_FIELDS[kind]})
    bench.forget(case)


@pytest.mark.parametrize("size", [1, 10, 200])
@pytest.mark.parametrize("kind", PRODUCT_TYPES)
def test_content_refused_by_a_foreign_key_is_saved_unchanged_by_the_next_attempt(
    bench: Bench, kind: str, size: int
) -> None:
    """A foreign key of the product that refers to no row: nothing is generated and no id is replaced."""
    case = bench.case(kind, [None] * size)
    table, _ = TABLES[kind]
    orphans = case.ids[::2]
    known = json.dumps([concept_id for concept_id in case.ids if concept_id not in orphans])
    case.pipeline.execute("CREATE TABLE concept (id text PRIMARY KEY)")
    insert = "INSERT INTO concept SELECT json_array_elements_text(CAST(:ids AS json)) ON CONFLICT DO NOTHING"
    case.pipeline.execute(insert, ids=known)
    case.pipeline.execute(f"INSERT INTO concept SELECT concept_id FROM {table} ON CONFLICT DO NOTHING")
    case.pipeline.execute(
        f"ALTER TABLE {table} ADD CONSTRAINT known FOREIGN KEY (concept_id) REFERENCES concept"
    )
    case.run()
    assert case.failed() == dict.fromkeys(orphans, "23503")
    case.pipeline.execute(insert, ids=json.dumps(case.ids))
    case.run()
    case.oracle.require(case.oracle.healed())
    assert case.log.generated == []
    for concept_id in case.ids:
        assert _holds(case.row(concept_id), VALID[kind](concept_id))
    case.pipeline.execute(f"ALTER TABLE {table} DROP CONSTRAINT known")
    case.pipeline.execute("DROP TABLE concept")
    bench.forget(case)
