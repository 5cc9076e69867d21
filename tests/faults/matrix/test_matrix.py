"""The fault matrix: every cell is run, or has a reason why not. `report.py` writes the table of the
results.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from roadmap_command.load import load_bundle
from roadmap_content.content.bundle import read_bundle
from roadmap_content.platform.runtime.deadline import Deadline
from tests.faults.matrix.declaration import STEPS, Cell, Step
from tests.faults.matrix.injectors import INJECTORS
from tests.faults.matrix.interferences import INTERFERENCES
from tests.faults.matrix.play import Play
from tests.faults.matrix.rig import SHIPPED, Rig
from tests.support.factories import bundle_of

# Connections and invocations are cut off here, so that the garbage collector finds unclosed sockets at any
# time.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """One stack for all cells of a worker, and a neighbour that no cell may change."""
    # Always a separate database server, also if DATABASE_URL is set: the faults change its roles.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        with Rig.start() as rig:
            neighbour = read_bundle(
                bundle_of(["theirs"], roadmap_id="r-theirs", task_id="t-theirs", user_id="a neighbour")
            )
            load_bundle(neighbour, rig.target.engine, rig.target.bucket, Deadline.after(600))
            # Cold starts count against a function's timeout, so they must not happen within a cell.
            first = Play(rig, STEPS.run[0])
            first.await_end(first.start())
            rig.await_quiet()
            first.forget()
            yield rig


@pytest.mark.parametrize("cell", STEPS.selected(), ids=str)
def test_cell(rig: Rig, cell: Cell, record_property: Callable[[str, object], None]) -> None:
    injector = INJECTORS[cell.fault, cell.step]
    play = Play(rig, cell)
    try:
        row = play.play(injector.what, injector.inject)
    finally:
        rig.await_quiet()
        play.forget()
    assert rig.definition_of(play.arn) == SHIPPED, "the state machine is not the one that is shipped"
    record_property("fault_cell", json.dumps(row))


def test_the_product_interferes_with_every_step() -> None:
    assert {(fault, step) for fault in INTERFERENCES for step in Step} <= INJECTORS.keys()


def test_every_cell_is_run_or_states_why_not() -> None:
    for cell in STEPS.cells:
        runs, reason = (cell.fault, cell.step) in INJECTORS, STEPS.impossible.get(cell, "")
        assert runs != bool(reason), (
            f"{cell}: {'is run, and yet' if runs else 'neither run nor'} said why not"
        )
        assert not reason or reason.endswith("."), f"{cell}: {reason}"
