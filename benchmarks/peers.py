"""`python -m benchmarks.peers`: compare our pipeline with its peers.

The results do not depend on the speed of the machine: operations, commits, bytes and items are counted, and
times are ratios in one run.

Every contestant generates the same items (each counts as one payment) and saves their rows into the same
PostgreSQL, with one commit for each of its units. *Ours*: the four steps. Step Functions is emulated, and S3
is a server that outlives the worker. *Durable functions*: a generate step and a save step per item, or per
batch of 25, in the test runner of the SDK, FLAT, `all_completed`; only connection errors are retried. *DBOS*:
a queue, a workflow per item, or per batch of 25; a step generates, a datasource transaction saves. The peers'
rows are plain upserts that refuse the id of another item; ours also locks and checks.

*Operations*: transitions of Step Functions, operations of durable functions, recorded workflows and steps of
DBOS. *Commits* and *WAL* include everything that the contestant did. *History*: bytes of the inputs and
outputs in the history of Step Functions, of the checkpoints of durable functions, of the rows of DBOS.

*Price*: the operations and the S3 requests of 1,000 items in us-east-1 (`documents/aws.csv`), without the
time of Lambda, the tokens and the database. DBOS writes its operations into the database: its price is that
database's.

*Lost*: items without a row. *Paid twice*: items that were generated again without need. *Wrong*: items with a
row that disagrees with the recorded outcome. *Retry*: the method of the contestant's documentation after a
run has ended: ours, a new attempt; durable functions, a new execution with the items that the first reported
as failed; DBOS, `rewind_workflow` to the save. *Failed half way*: the run ends as FAILED, stopped or
cancelled after a third was saved; then ours gets a new attempt, durable functions a new execution, DBOS
`resume_workflow`.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import psycopg
from sqlalchemy import NullPool, create_engine, make_url, text

from documents.aws import PRICES as AWS_PRICES
from local_stack.builds import REPOSITORY
from local_stack.postgres_server import PostgresServer, create_database
from migrations import migrate
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.items import Item as ContentItem
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.staging import Staging
from tests.support.factories import bundle_of

from .contestants.peers.work import ROADMAP
from .curriculum import Author, concept_ids
from .object_server import ObjectServer
from .report import arguments_of, show_machine, show_table
from .stock import PLAN_SETTINGS

CONCEPTS, FAULTED_CONCEPTS = 334, 10
OURS = "ours"
BAD = 7
"""The index of the concept with a quiz id that belongs to another roadmap."""

CRASH_AT = 11
"""The number of saved items after which the worker crashes, once. They are committed, but their outcome is
not recorded.
"""

STOP_AT = 10
"""The number of saved items after which the run fails as a whole."""

FAULTS = (
    "an id that is taken",
    "retry, still taken",
    "retry, free again",
    "killed after a commit",
    "failed half way, then retried",
)

PRICES = {
    "transitions": AWS_PRICES["TRANSITION"],
    "operations": AWS_PRICES["DURABLE_OPERATION"],
    "puts": AWS_PRICES["PUT"],
    "gets": AWS_PRICES["GET"],
}


class Contestant(NamedTuple):
    """A contestant: its script and its variant."""

    script: str
    form: str
    unit: str | None
    """The price of its operations; `None` if they are free."""


CONTESTANTS = {
    OURS: Contestant("ours_run", "", "transitions"),
    "durable functions, an item per step": Contestant("durable_run", "item", "operations"),
    "durable functions, 25 items per step": Contestant("durable_run", "batch", "operations"),
    "DBOS, an item per workflow": Contestant("dbos_run", "item", None),
    "DBOS, 25 items per workflow": Contestant("dbos_run", "batch", None),
}

_ROADMAP_ROW = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data)
VALUES (:roadmap_id, 'user-1', 'A roadmap', CAST(:framework AS json))
""")
_TASK_ROW = text("""
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, user_request, created_at, updated_at)
VALUES ('peers', 'user-1', :roadmap_id, 'pending', '{}', now(), now())
""")
_TAKEN_ROW = text("""
INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions, easy_count,
    medium_count, hard_count, generated_at)
VALUES (:quiz_id, 'elsewhere', 'elsewhere', '[]', 0, 0, 0, 0, now())
""")
_SAVED = text("""
SELECT 'tutorial/' || concept_id FROM tutorial_metadata WHERE roadmap_id = :roadmap_id
UNION ALL SELECT 'resources/' || concept_id FROM resource_recommendation_metadata
    WHERE roadmap_id = :roadmap_id
UNION ALL SELECT 'quiz/' || concept_id FROM quiz_metadata WHERE roadmap_id = :roadmap_id
""")


class State(NamedTuple):
    """The rows and records after a phase."""

    lost: int
    paid_twice: int
    wrong: int
    answer: dict[str, Any]


class Trial:
    """One contestant with one fault, on a database of its own."""

    def __init__(
        self,
        contestant: Contestant,
        server: PostgresServer,
        objects: ObjectServer,
        folder: Path,
        concepts: int,
    ) -> None:
        folder.mkdir()
        self.contestant, self._objects, self.folder = contestant, objects, folder
        self.crash_at: int | None = None
        self.stop_at: int | None = None
        self.url = create_database(server.url, f"peer_{folder.name}", template="base")
        self._engine = create_engine(self.url, poolclass=NullPool)
        self._bucket = f"bucket-{folder.name}"
        self._author = Author()
        self.items: list[dict[str, Any]] = []
        ids = concept_ids(ROADMAP, concepts)
        self._contents = {i: self._author.entry(i, number, 1_000) for number, i in enumerate(ids)}
        for concept_id in ids:
            for content_type in ContentType:
                self.items.append(self._item(concept_id, content_type))
        with self._engine.begin() as connection:
            for roadmap_id, framework in (
                (ROADMAP, bundle_of(ids)["roadmap"]["framework_data"]),
                ("elsewhere", {}),
            ):
                connection.execute(
                    _ROADMAP_ROW, {"roadmap_id": roadmap_id, "framework": json.dumps(framework)}
                )
            connection.execute(_TASK_ROW, {"roadmap_id": ROADMAP})

    def _item(self, concept_id: str, content_type: ContentType) -> dict[str, Any]:
        kind, content = CONTENT_KINDS[content_type], self._contents[concept_id][content_type]
        row = kind.to_row(ROADMAP, concept_id, content)
        row.pop("search_queries_used", None)
        return {"key": f"{content_type}/{concept_id}", "content_type": content_type, "row": row}

    def take_an_id(self) -> None:
        """Give the id of one item to another roadmap. For ours, the item is already generated and staged with
        that id.
        """
        concept_id = list(self._contents)[BAD]
        content = self._contents[concept_id]["quiz"]
        with self._engine.begin() as connection:
            connection.execute(_TAKEN_ROW, {"quiz_id": content["quiz_id"]})
        if self.contestant.script == "ours_run":
            client = boto3.client(
                "s3",
                endpoint_url=self._objects.url,
                region_name="us-east-1",
                aws_access_key_id="benchmark",
                aws_secret_access_key="benchmark",  # noqa: S106 - of a server that asks for none
            )
            item = ContentItem(concept_id, ContentType.QUIZ)
            Staging(Bucket(self._bucket, client), ROADMAP).write(item, content)
            (self.folder / "made").write_text(f"quiz/{concept_id}\n")

    def free_the_id(self) -> None:
        """Delete the other roadmap's row."""
        with self._engine.begin() as connection:
            connection.execute(text("DELETE FROM quiz_metadata WHERE roadmap_id = 'elsewhere'"))

    def prepare(self) -> None:
        """Create the contestant's own tables, if it has some. They are not a part of a run."""
        if self.contestant.script == "dbos_run":
            self.run("prepare")

    def run_without_fault(self) -> State:
        """Run all items."""
        state = self.run("run")
        assert state.lost == state.wrong == 0, state  # noqa: S101 - otherwise the wrong work would be measured
        return state

    def run(self, phase: str) -> State:
        """Run a phase in a separate process."""
        job = {
            "database_url": _plain(self.url),
            "folder": str(self.folder),
            "form": self.contestant.form,
            "phase": phase,
            "crash_at": self.crash_at,
            "stop_at": self.stop_at,
            "items": self.items,
        }
        path = self.folder / "job.json"
        path.write_text(json.dumps(job))
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        done = subprocess.run(  # noqa: S603 - our own script
            [*_command(self.contestant), str(path)],
            cwd=REPOSITORY,
            env=_environment(self._objects, self._bucket),
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode not in (0, 9):
            sys.stderr.write(done.stderr[-3_000:] + "\n")
        return self._state(json.loads(answer.read_text()) if answer.exists() else {"saved": []})

    def _state(self, answer: dict[str, Any]) -> State:
        with self._engine.connect() as connection:
            rows = set(connection.scalars(_SAVED, {"roadmap_id": ROADMAP}))
        made = self.folder / "made"
        lines = made.read_text().splitlines() if made.exists() else []
        known = self.folder / "said.json"
        said = set(json.loads(known.read_text())) if known.exists() else set()
        said |= set(answer["saved"])
        known.write_text(json.dumps(sorted(said)))
        keys = {item["key"] for item in self.items}
        return State(len(keys - rows), len(lines) - len(set(lines)), len(said ^ (rows & keys)), answer)


def _plain(url: str) -> str:
    """A URL without SQLAlchemy's name of a driver."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _command(contestant: Contestant) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.contestants.peers.{contestant.script}"]


def _environment(objects: ObjectServer, bucket: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'layers/common'}:{REPOSITORY / 'tools'}",
        "AWS_ENDPOINT_URL": objects.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "POWERTOOLS_SERVICE_NAME": "benchmark",
        "POWERTOOLS_METRICS_NAMESPACE": "RoadmapContent",
        "CONTENT_BUCKET": bucket,
        **PLAN_SETTINGS,
        "GENERATOR": "offline",
        "TASK_TOKEN_BUDGET": "1",
    }


# Ids are given only to transactions that write.
COMMITS_AND_WAL = """
SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint),
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')
"""


def _commits_and_wal(server: PostgresServer) -> tuple[int, int]:
    """The transactions that have written, and the bytes of WAL, so far."""
    with psycopg.connect(_plain(server.url), autocommit=True) as connection:
        row = connection.execute(COMMITS_AND_WAL).fetchone()
        assert row is not None  # noqa: S101
        return int(row[0]), int(row[1])


class Counts(NamedTuple):
    """The counts of a run."""

    items: int
    operations: int
    commits: int
    wal: int
    puts: int
    gets: int
    history: int

    def row(self, unit: str | None) -> list[str]:
        """The counts for 1,000 items."""
        dollars = self.puts * PRICES["puts"] + self.gets * PRICES["gets"]
        dollars += self.operations * PRICES[unit] if unit else 0
        part = 1_000 / self.items
        return [
            f"{self.operations * part:,.0f}",
            f"${dollars * part:.4f}",
            f"{self.commits * part:,.0f}",
            f"{self.wal / 1e6 * part:.2f} MB",
            f"{(self.puts + self.gets) * part:,.0f}",
            f"{self.history / 1e3 * part:,.0f} kB",
        ]


def _clean(trial: Trial, server: PostgresServer, objects: ObjectServer) -> Counts:
    """Counts of a run without a fault."""
    trial.prepare()
    before, written = objects.requests, objects.writes
    commits, wal = _commits_and_wal(server)
    state = trial.run_without_fault()
    commits_after, wal_after = _commits_and_wal(server)
    writes = objects.writes - written
    return Counts(
        items=len(trial.items),
        operations=state.answer["operations"],
        commits=commits_after - commits,
        wal=wal_after - wal,
        puts=writes,
        gets=objects.requests - before - writes,
        history=state.answer.get("bytes", 0),
    )


def _bad_row(trial: Trial) -> list[str]:
    trial.take_an_id()
    first, second = trial.run("run"), trial.run("retry")
    trial.free_the_id()
    third = trial.run("retry")
    return [
        f"{first.lost} lost, {first.wrong} wrong",
        f"{second.lost} lost, {second.paid_twice} paid twice",
        f"{third.lost} lost, {third.paid_twice} paid twice, {third.wrong} wrong",
    ]


def _crash(trial: Trial) -> list[str]:
    trial.crash_at = CRASH_AT
    state = trial.run("run")
    if "status" not in state.answer:  # the process crashed
        state = trial.run("restart")
    return [f"{state.lost} lost, {state.paid_twice} paid twice, {state.wrong} wrong"]


def _failed_half_way(trial: Trial) -> list[str]:
    trial.stop_at = STOP_AT
    trial.run("run")
    state = trial.run("resume")
    return [f"{state.lost} lost, {state.paid_twice} paid twice, {state.wrong} wrong"]


def main() -> None:
    """Run every contestant, and print the counts."""
    concepts = CONCEPTS // 10 if arguments_of(__doc__ or "").short else CONCEPTS
    counts: dict[str, list[str]] = {}
    faults: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="roadmap-peers-") as directory, ObjectServer() as objects:
        folder = Path(directory)
        data = folder / "postgres"
        data.mkdir()
        with PostgresServer.start(data) as server:
            with psycopg.connect(_plain(server.url), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET autovacuum = off")
                connection.execute("SELECT pg_reload_conf()")
            migrate(create_database(server.url, "base"))

            def trial(contestant: Contestant, number: str, concepts: int) -> Trial:
                return Trial(contestant, server, objects, folder / number, concepts)

            for number, (name, contestant) in enumerate(CONTESTANTS.items()):
                sys.stderr.write(f"{name} …\n")
                few = FAULTED_CONCEPTS
                clean = trial(contestant, f"{number}a", concepts)
                counted = _clean(clean, server, objects)
                counts[name] = counted.row(contestant.unit)
                faults[name] = [
                    *_bad_row(trial(contestant, f"{number}b", few)),
                    *_crash(trial(contestant, f"{number}c", few)),
                    *_failed_half_way(trial(contestant, f"{number}f", few)),
                ]
    show_table(
        f"1,000 items, generated and saved (counted with {3 * concepts:,})",
        ["paid operations", "their price, with S3", "commits", "WAL", "S3 requests", "history"],
        counts,
    )
    show_table(f"The same faults for all, {3 * FAULTED_CONCEPTS} items", FAULTS, faults)
    show_machine("SQLAlchemy", "pg8000")
    sys.stdout.write(", ".join(_locked_versions()) + "\n")


def _locked_versions() -> list[str]:
    lock = (REPOSITORY / "requirements/more.txt").read_text()
    return re.findall(r"^(?:dbos|aws-durable-execution-sdk-python.*)==[\d.]+", lock, re.MULTILINE)


if __name__ == "__main__":
    main()
