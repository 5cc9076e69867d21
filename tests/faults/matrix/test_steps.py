"""Each step under each fault. Crashes at a COMMIT, and writes of the product beside a step,
are in `make schedules`.

Each fault has its exact endings beside it: how the step ended; then, when the executions have ended, their
status, the task's status with its saved items, of nine, and the reasons of the others. Afterwards, the oracle
checks the invariants I1–I6, and without the fault one retry completes the task without generating an item
twice.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.staging import Staging
from tests.faults.matrix import faults
from tests.faults.matrix.faults import Fault, raising
from tests.faults.matrix.steps import Play, Setting, Step
from tests.faults.sampling import sampled
from tests.support.commits import ProcessDied
from tests.support.generators import OF_A_MODEL, offline_function
from tests.support.pipeline import SETTINGS

pytestmark = [
    pytest.mark.usefixtures("clock"),
    # Connections are cut off here, so that the garbage collector finds unclosed sockets at any time.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

P, G, S, F, A, R, C = Step

COMPLETED = "SUCCEEDED; completed all"
INCOMPLETE = "FAILED; partial_failure all but 1, 1 InvalidContent"
"""The invalid quiz was found before the fault."""

UNDISTURBED = {
    P: COMPLETED,
    G: COMPLETED,
    S: COMPLETED,
    F: INCOMPLETE,
    A: COMPLETED,
    R: "FAILED, SUCCEEDED; completed all",
    C: "ABORTED; completed all",
}
PASSES = {step: f"done; {ending}" for step, ending in UNDISTURBED.items()}
UNAVAILABLE = {
    P: "DatabaseUnavailable; FAILED; failed 0, all DatabaseUnavailable",
    G: "DatabaseUnavailable; FAILED; partial_failure all but 1, 1 NotStaged",
    S: "done; FAILED; failed 0, all DatabaseUnavailable",
    F: f"DatabaseUnavailable; {INCOMPLETE}",
    A: f"DatabaseUnavailable; {INCOMPLETE}",
    R: f"DatabaseUnavailable; {INCOMPLETE}",
    C: "DatabaseUnavailable; ABORTED; completed all",
}
UNAVAILABLE_TO_WRITES = UNAVAILABLE | {
    G: f"DatabaseUnavailable; {COMPLETED}",
    C: "NotReconciled; ABORTED; completed all",
}
REFUSED = {step: ending.replace("DatabaseUnavailable", "DataRefused") for step, ending in UNAVAILABLE.items()}
LOST_RIGHT = {
    step: ending.replace("DataRefused", "InsufficientPrivilege") for step, ending in REFUSED.items()
}
REFUSED_WRITES = REFUSED | {
    G: f"DataRefused; {COMPLETED}",
    S: "done; FAILED; partial_failure all but 3, 3 U0001",
    C: "NotReconciled; ABORTED; completed all",
}

FAULTS: Mapping[str, tuple[Fault, Mapping[Step, str]]] = {
    "every connection is refused": (faults.unreachable, UNAVAILABLE),
    "connections are lost and the next two refused": (faults.away_and_back, PASSES),
    "the connection is lost in the first statement": (faults.lost_in_statement, PASSES),
    "connection limit": (faults.connection_limit, UNAVAILABLE),
    "read-only": (faults.read_only, UNAVAILABLE_TO_WRITES),
    "a lost right": (faults.without_rights, LOST_RIGHT),
    "disk full": (raising("53100"), UNAVAILABLE_TO_WRITES),
    "statement timeout": (raising("57014"), UNAVAILABLE_TO_WRITES),
    "SQLSTATE of the product": (raising("U0001"), REFUSED_WRITES),
    "undecodable values": (faults.undecodable, PASSES),
    "two lock timeouts": (faults.lock_timeout, PASSES),
    "an idle session holds the row": (faults.idle_holder, UNAVAILABLE_TO_WRITES),
    "an idle session holds the roadmap": (
        faults.locked_roadmap,
        {step: UNAVAILABLE_TO_WRITES[step] for step in (F, C)},
    ),
    # Generate changes no row that another session changes.
    "serialization failure": (
        faults.serialization,
        {step: ending for step, ending in PASSES.items() if step is not G},
    ),
    # The other steps lock one row at a time.
    "deadlock": (faults.deadlock, {step: PASSES[step] for step in (S, F, C)}),
    "S3 denies each request": (
        faults.s3_denied,
        {step: UNAVAILABLE[step].replace("DatabaseUnavailable", "StorageUnavailable") for step in (P, G, S)},
    ),
    "the execution is stopped": (
        faults.stopped,
        {
            P: "StaleAttempt; ABORTED; failed 0, all ABORTED",
            S: "done; ABORTED; completed all",
            F: "done; ABORTED; partial_failure all but 1, 1 InvalidContent",
        },
    ),
}


LATER = {step: "StaleAttempt" if step in (P, G) else "done" for step in Step}


Begin = Callable[[Step], Play]


@pytest.fixture
def begin(setting: Setting) -> Iterator[Begin]:
    """Begin a play; its connections are closed at the end."""
    plays: list[Play] = []

    def begin(step: Step) -> Play:
        plays.append(Play(setting, step))
        return plays[-1]

    yield begin
    for play in plays:
        play.world.close()


@pytest.mark.parametrize(
    ("name", "step"),
    sampled([(name, step) for name, (_, endings) in FAULTS.items() for step in endings], every=5),
)
def test_a_fault_of_the_database(begin: Begin, name: str, step: Step) -> None:
    fault, endings = FAULTS[name]
    play = begin(step)
    play.world.seconds = 20.0
    assert play.play(fault) == endings[step]


def test_a_kill_between_the_answer_of_a_function_and_its_staging_costs_one_more_call(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = begin(G)
    world, write = play.world, Staging.write
    world.services.settings = Settings(SETTINGS | OF_A_MODEL)
    events: list[dict[str, Any]] = []
    world.services.generator = offline_function(events.append)

    def killed(*_: object) -> None:
        monkeypatch.setattr(Staging, "write", write)
        raise ProcessDied

    monkeypatch.setattr(Staging, "write", killed)
    assert play.play() == f"died; {COMPLETED}"
    assert [event["content_type"] for event in events] == ["resources"] * 2
    assert events[0]["idempotency_token"] == events[1]["idempotency_token"]
    assert world.pipeline.rows("SELECT count(*) AS n FROM resource_recommendation_metadata") == [{"n": 3}]


@pytest.mark.parametrize("step", Step)
def test_the_step_is_repeated_later(begin: Begin, step: Step) -> None:
    play = begin(step)
    assert play.play() == PASSES[step]
    assert play.world.attempt(play.repeat) == LATER[step]
    play.follow()
    play.check()
    play.world.oracle.require(play.world.oracle.healed())
