"""`python -m benchmarks.many_tasks`: responses about many tasks, for one, a thousand and a million tasks.

Each response comes from the API's own function, in this process, with a separate PostgreSQL; authorization
and HTTP are not included. The server generates the rows. A tenth of the tasks is incomplete unless stated
otherwise, and each has ten failures.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.state.services import Services
from tests.support.requests_to_api import request

from .database import migrated_database
from .measuring import Trial, in_turn, seconds_of
from .report import arguments_of, finish
from .result import Result, Series, Target, versions

SIZES = (1, 1_000, 1_000_000)
MOST_TIMES, ACCEPTED_SECONDS = 3.0, 0.1
"""Limits for a page of a million tasks: a multiple of the time for a thousand tasks, or a number of
seconds.
"""

MAX_EXPONENT = 1.1
ROUNDS = 15

ABOUT = """
Each response of the API, requested from its function in this process, on a separate PostgreSQL.
Authorization and HTTP are not included. A tenth of the tasks is incomplete, and each task has ten failures.
Ratios are to a page of 50 tasks. The limit is three times the time with a thousand tasks; for the other
responses it is this or 100 ms, which a person accepts.
"""

SEED = (
    """
INSERT INTO roadmap_metadata (roadmap_id, user_id, title)
SELECT 'r-' || n, 'user-' || n % greatest(1, :tasks / 10), 'Roadmap ' || n
FROM generate_series(1, :tasks) AS n
""",
    """
INSERT INTO roadmap_tasks (task_id, user_id, status, current_step, roadmap_id, created_at, updated_at,
    completed_at, execution_summary, attempt)
SELECT 't-' || n, 'user-' || n % greatest(1, :tasks / 10), CASE WHEN n % 10 <> 0 THEN 'completed'
        WHEN n % 30 = 0 THEN 'failed' WHEN n % 1000 = 10 THEN 'processing' ELSE 'partial_failure' END,
    'completed', 'r-' || n, timestamp '2026-01-01' + n * interval '1 second',
    timestamp '2026-06-01' + n * interval '1 second', timestamp '2026-06-01' + n * interval '1 second',
    '{"tutorial": {"total": 30, "completed": 29, "failed": 1}, "resources": {"total": 30, "completed": 30,
    "failed": 0}, "quiz": {"total": 30, "completed": 25, "failed": 5}, "attempt": 1,
    "duration_seconds": 9}', 1
FROM generate_series(1, :tasks) AS n
""",
    """
INSERT INTO content_failures
    (task_id, attempt, concept_id, content_type, stage, error_code, reason, transient)
SELECT 't-' || n, 1, concat('r-', n, '-c-', k), CASE WHEN k % 3 = 0 THEN 'tutorial' ELSE 'quiz' END, 'save',
    'Error' || n % 20, 'the reason of group ' || n % 200, true
FROM generate_series(1, :tasks) AS n, generate_series(1, 10) AS k
""",
    """
INSERT INTO content_task_failures (task_id, group_id, attempt, error_code, stage, content_type, reason,
    transient, items, first_seen, last_seen, example_concept_id, example_reason, user_id, created_at)
SELECT t.task_id, concat('g-', k, '-', abs(hashtext(t.task_id)) % 100), 1,
    concat('Error', abs(hashtext(t.task_id)) % 20), 'save',
    CASE k WHEN 1 THEN 'tutorial' ELSE 'quiz' END, 'the reason', true, CASE k WHEN 1 THEN 3 ELSE 7 END,
    t.updated_at, t.updated_at, 'c', 'the reason', t.user_id, t.created_at
FROM roadmap_tasks t, generate_series(1, 2) AS k WHERE t.status IN ('failed', 'partial_failure')
""",
    """
INSERT INTO content_failure_groups (group_id, error_code, stage, content_type, reason, transient, tasks,
    items, first_seen, last_seen)
SELECT group_id, min(error_code), min(stage), min(content_type), min(reason), true, count(*), sum(items),
    min(first_seen), max(last_seen) FROM content_task_failures GROUP BY group_id
""",
    """
INSERT INTO content_failure_hours (group_id, hour, items)
SELECT group_id, date_trunc('hour', last_seen), sum(items) FROM content_task_failures GROUP BY 1, 2
""",
    """
INSERT INTO content_attempts (task_id, attempt, actor, cause, step, ended_at, outcome)
SELECT task_id, 1, 'console', 'first_run', 'ended', updated_at, status FROM roadmap_tasks
""",
    """
INSERT INTO content_token_hours (hour, shard, spent, saved_by_staging)
SELECT date_trunc('hour', timezone('utc', now())) - h * interval '1 hour', s, 1000, 1000
FROM generate_series(0, 100) AS h, generate_series(0, 15) AS s
""",
)

ANSWERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "a page of 50 tasks": ("/tasks", {}),
    "… that failed": ("/tasks", {"status": "failed"}),
    "… failed or partial": ("/tasks", {"status": ["failed", "partial_failure"]}),
    "… with an error code": ("/tasks", {"error_code": "Error7"}),
    "… of a group": ("/tasks", {"group_id": "<group>"}),
    "… of a user": ("/tasks", {"user_id": "user-7"}),
    "… that begin with": ("/tasks", {"q": "t-99"}),
    "… far behind (cursor)": ("/tasks", {"cursor": "<cursor>"}),
    "the failure groups": ("/failures", {}),
    "groups of an error code": ("/failures", {"error_code": "Error7"}),
    "groups of a user": ("/failures", {"user_id": "user-7"}),
    "health": ("/health", {}),
}

PROMISED = ("a page of 50 tasks", "the failure groups", "health")
"""The responses that an operator reads first. Their limit is `MOST_TIMES`, even if they are fast."""


def seed(engine: Engine, url: str, tasks: int, console: Console) -> None:
    """Fill the tables."""
    for statement in SEED:
        with engine.begin() as connection:
            connection.execute(text(statement.replace(":tasks", str(tasks))))
        console.print(".", end="")
    with create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        connection.execute(text("VACUUM ANALYZE"))
    console.print(" seeded")


def measure(url: str, tasks: int, console: Console) -> dict[str, list[float]]:
    """Seconds of each answer, of each round."""
    credentials = Credentials.from_url(make_url(url))
    services = Services(Settings({"STATE_MACHINE_ARN": "arn:aws:states:us-east-1:1:stateMachine:none"}))
    services.engine = services.reading_engine = open_engine(
        lambda: credentials, tls=False, statement_timeout=1800
    )
    seed(services.engine, url, tasks, console)
    module = importlib.import_module("functions.task_api.app")
    module.services = services  # type: ignore[attr-defined]
    with services.engine.connect() as connection:
        group = connection.scalar(text("SELECT max(group_id) FROM content_failure_groups"))
    cursor = None
    for _ in range(4):
        query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = request(module, "GET", "/api/v1/tasks", query, roles="owner,operator")
        cursor = page.body["next_cursor"]
    trials: dict[str, Trial] = {}
    for name, (path, query) in ANSWERS.items():
        given = {
            key: {"<group>": group, "<cursor>": cursor}.get(value, value) if isinstance(value, str) else value
            for key, value in query.items()
        }
        # A single task has no failure and fills no page.
        given = {key: value for key, value in given.items() if value is not None}
        trials[name] = partial(seconds_of, partial(_ask, module, path, given))
    found = in_turn(trials, ROUNDS)
    services.engine.dispose()
    return found


def _ask(module: Any, path: str, query: Mapping[str, Any]) -> None:  # noqa: ANN401 - the function's module
    answer = request(module, "GET", f"/api/v1{path}", query, roles="owner,operator")
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer}")


def main() -> None:
    """Measure all sizes, show, and keep the result."""
    arguments = arguments_of(__doc__, sizes=SIZES)
    console = Console(stderr=True)
    values: dict[str, dict[int, list[float]]] = {}
    for tasks in sorted(arguments.sizes):
        with migrated_database() as url:
            for name, seconds in measure(url, tasks, console).items():
                values.setdefault(name, {})[tasks] = seconds
    series = Series(
        name="answers",
        title="Answers about many tasks",
        unit="s",
        size_name="tasks",
        base=next(iter(ANSWERS)),
        values=values,
    )
    result = Result(
        name="many-tasks",
        title="Many tasks",
        about=ABOUT.strip(),
        versions=versions("SQLAlchemy", "pg8000"),
        series=[series],
        targets=list(_targets(series, sorted(arguments.sizes))),
    )
    finish(result, short=arguments.short, room=0.0)


def _targets(series: Series, sizes: Sequence[int]) -> Iterator[Target]:
    """The growth of each response, and its time over the most tasks; the worst of each is shown."""
    few, many = sizes[-2:]
    exponents = {name: series.exponent(name, few, many) for name in ANSWERS}
    worst = max(exponents, key=lambda name: exponents[name])
    yield Target(
        label=f"read model: the largest exponent of growth, {few:,} to {many:,} tasks ({worst})",
        value=exponents[worst],
        limit=MAX_EXPONENT,
        unit="",
    )
    for name in PROMISED:
        yield Target(
            label=f"{name}: {many:,} tasks against {few:,}",
            value=series.estimate(name, many).median / series.estimate(name, few).median,
            limit=MOST_TIMES,
        )
    shares = {
        name: series.estimate(name, many).median
        / max(ACCEPTED_SECONDS, MOST_TIMES * series.estimate(name, few).median)
        for name in ANSWERS
    }
    slowest = max(shares, key=lambda name: shares[name])
    yield Target(
        label=f"{slowest}, of {many:,} tasks, against what is accepted",
        value=shares[slowest],
        limit=1.0,
    )


if __name__ == "__main__":
    main()
