"""`python -m benchmarks.waiting`: the cost of learners waiting for their lessons, `GET …/changes?after=`.

A poll comes from the API's own function, in this process, with a separate PostgreSQL; authorization and HTTP
are not included. Each learner has a task that waits in the queue, with a hundred changes that were read.
"""

import importlib
import os
import random
from statistics import mode
from typing import Any, NamedTuple
from unittest import mock

from botocore.httpsession import URLLib3Session
from rich.console import Console
from sqlalchemy import Engine, create_engine, event, make_url, text

from roadmap_content.api.change_list import POLL_SECONDS_AT_REST
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.state.outbox import CHANGES
from roadmap_content.state.services import Services
from tests.support.requests_to_api import request

from .database import migrated_database
from .measuring import in_turn, seconds_of
from .report import arguments_of, finish
from .result import Result, Series, Target, versions

SIZES = (100, 10_000)
CHANGES_OF_TASK = 100
POLLS = 50
"""The polls of a round."""

ROUNDS = 45
POLLING = 500
"""The learners whose polls are taken."""

MAX_TIMES, MAX_BLOCKS, MAX_STATEMENTS = 5.0, 8, 2

ABOUT = f"""
Each learner polls the feed of a task that waits in the queue for a long time, with the cursor of the last of
{CHANGES_OF_TASK} changes. `Retry-After` is then {POLL_SECONDS_AT_REST} seconds. A round is {POLLS} polls of
random learners, by the function in this process, on a separate PostgreSQL; authorization and HTTP are not
included. The floor is one lookup of the same changes in a transaction, in the same connection, without the
function. *Functions at work* is the time of all polls of a second: below 1, one function answers them.
"""

SEED = (
    """
INSERT INTO roadmap_tasks
    (task_id, user_id, status, current_step, roadmap_id, created_at, updated_at, attempt)
SELECT 't-' || n, 'user-' || n, 'processing', 'content_generation', 'r-' || n, now(), now(), 1
FROM generate_series(1, :learners) AS n
""",
    """
INSERT INTO content_attempts (task_id, attempt, actor, cause, step, claimed_at)
SELECT task_id, 1, 'user:' || user_id, 'user', 'waiting', timezone('utc', now()) - interval '1 hour'
FROM roadmap_tasks
""",
    """
INSERT INTO content_queue (task_id, attempt, class, queue_key, state, tokens, grants)
SELECT task_id, 1, 'interactive', 'user:' || user_id, 'waiting', 1000, 1 FROM roadmap_tasks
""",
    f"""
INSERT INTO content_events (event_id, detail_type, task_id, detail, delivered_at)
SELECT concat(t.task_id, '-', n), 'Item Saved', t.task_id,
    json_build_object('metadata', json_build_object('time', '2026-11-28T12:00:00Z'), 'data', '{{}}'::json),
    timezone('utc', now())
FROM generate_series(1, {CHANGES_OF_TASK}) AS n, roadmap_tasks AS t
""",
)

POSITIONS = "SELECT task_id, max(position) AS position FROM content_events GROUP BY task_id"


def seed(url: str, learners: int) -> None:
    """Fill the tables."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in SEED:
            connection.execute(text(statement.replace(":learners", str(learners))))
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


class Learners:
    """Polls of random learners."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        reading = create_engine(url)
        with reading.connect() as connection:
            rows = connection.execute(text(POSITIONS)).all()
        self._positions: dict[str, int] = {row.task_id: row.position for row in rows}
        reading.dispose()
        tasks = list(self._positions)
        self._random = random.Random(1)  # noqa: S311 - not for cryptography
        self._module = importlib.import_module("functions.task_api.app")
        some = self._random.sample(tasks, min(POLLING, len(tasks)))
        self._cursors = {task_id: self._last_cursor(task_id) for task_id in some}
        self._known = list(self._cursors)

    def _last_cursor(self, task_id: str) -> str:
        return str(self._poll(task_id, limit="200").body["next_cursor"])

    def _poll(self, task_id: str, **query: str) -> Any:  # noqa: ANN401 - a reply
        path = f"/api/v1/tasks/{task_id}/changes"
        reply = request(self._module, "GET", path, query, user_id=f"user-{task_id[2:]}")
        if reply.status != 200:
            raise SystemExit(f"{path}: {reply}")
        return reply

    def poll(self) -> None:
        """A round of polls through the function."""
        for _ in range(POLLS):
            self.poll_one()

    def poll_one(self) -> None:
        """A poll through the function."""
        task_id = self._anybody()
        reply = self._poll(task_id, after=self._cursors[task_id])
        if reply.body["items"] or reply.headers["Retry-After"] != str(POLL_SECONDS_AT_REST):
            raise SystemExit(f"a learner without news was answered {reply}")

    def look_up(self) -> None:
        """The same number of lookups without the function."""
        for _ in range(POLLS):
            task_id = self._anybody()
            parameters = {"task_id": task_id, "after": self._positions[task_id], "limit": 101}
            with self._engine.connect() as connection:
                connection.execute(CHANGES, parameters).all()

    def _anybody(self) -> str:
        return self._random.choice(self._known)

    def blocks(self) -> int:
        """The blocks that one lookup reads."""
        task_id = next(iter(self._cursors))
        parameters = {"task_id": task_id, "after": self._positions[task_id], "limit": 101}
        explain = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CHANGES.text}")
        with self._engine.connect() as connection:
            (found,) = connection.execute(explain, parameters).scalar_one()
        plan = found["Plan"]
        if "content_event_of_task" not in str(plan):
            raise SystemExit(f"the lookup uses no index:\n{plan}")
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


class Measured(NamedTuple):
    """The values of one number of learners."""

    seconds: dict[str, list[float]]
    """Of a poll and of the floor, in each round."""

    statements: int
    blocks: int


def measure(url: str, learners: int) -> Measured:
    """Measure polls of so many learners."""
    seed(url, learners)
    credentials = Credentials.from_url(make_url(url))
    services = Services(Settings({}))
    services.engine = services.reading_engine = open_engine(lambda: credentials, tls=False)
    module = importlib.import_module("functions.task_api.app")
    module.services = services  # type: ignore[attr-defined]
    people = Learners(services.engine, url)
    found = in_turn(
        {
            "a poll": lambda: seconds_of(people.poll) / POLLS,
            "the floor": lambda: seconds_of(people.look_up) / POLLS,
        },
        ROUNDS,
    )
    statements = count_statements(services.engine, people)
    blocks = people.blocks()
    services.engine.dispose()
    return Measured(found, statements, blocks)


def count_statements(engine: Engine, people: Learners) -> int:
    """The statements of a poll, which must send no request to AWS. A new connection has some of its own."""
    counts: list[int] = []

    @event.listens_for(engine, "before_cursor_execute")
    def count(*_: object) -> None:
        counts[-1] += 1

    with mock.patch.object(URLLib3Session, "send", side_effect=SystemExit("a request to AWS")):
        for _ in range(POLLS):
            counts.append(0)
            people.poll_one()
    return mode(counts)


def main() -> None:
    """Measure all sizes, show, and keep the result."""
    arguments = arguments_of(__doc__, sizes=SIZES)
    console = Console(stderr=True)
    values: dict[str, dict[int, list[float]]] = {}
    sizes = sorted(arguments.sizes)
    for learners in sizes:
        with migrated_database() as url:
            measured = measure(url, learners)
            console.print(f"{learners} learners")
            for name, seconds in measured.seconds.items():
                values.setdefault(name, {})[learners] = seconds
    series = Series(
        name="polls",
        title="A poll without news",
        unit="s",
        size_name="learners",
        base="the floor",
        values=values,
    )
    many = sizes[-1]
    # Other work on the machine only adds to the time of a round.
    at_work = many / POLL_SECONDS_AT_REST * min(values["a poll"][many])
    result = Result(
        name="waiting",
        title="Learners who wait",
        about=ABOUT.strip(),
        versions=versions("SQLAlchemy", "pg8000"),
        series=[series],
        targets=[
            Target(label="statements of a poll", value=measured.statements, limit=MAX_STATEMENTS, unit=""),
            Target(
                label=f"a poll against the floor, {many:,} learners",
                value=series.ratio("a poll", many).median,
                limit=MAX_TIMES,
            ),
            Target(
                label=f"blocks that the lookup of a poll reads, {many * CHANGES_OF_TASK:,} changes",
                value=measured.blocks,
                limit=MAX_BLOCKS,
                unit="",
            ),
            Target(
                label=f"functions at work for {many:,} learners who wait, in the fastest round",
                value=at_work,
                limit=1.0,
                unit="",
                reason=f"{os.getloadavg()[1]:.0f} processes wanted {os.cpu_count()} cores during the run.",
            ),
        ],
    )
    finish(result, short=arguments.short, room=0.0)


if __name__ == "__main__":
    main()
