"""The matrix of recoveries: every cell is run, or has a reason why not. `report.py` writes its table."""

import json
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import make_url

from tests.faults.matrix.database_proxy import DatabaseProxy
from tests.faults.matrix.recoveries import INJECTED, RECOVERIES, RecoveryCell, RecoveryFault
from tests.faults.matrix.recovery_play import play
from tests.faults.world import Scene


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    """The database and bucket of a cell."""
    scene = Scene(database_url, "content")
    yield scene
    scene.close()


@pytest.fixture
def proxy(database_url: str) -> Iterator[DatabaseProxy]:
    """The proxy between the steps and the database."""
    port = make_url(database_url).port
    assert port is not None
    with DatabaseProxy(port, {}) as proxy:
        yield proxy


@pytest.mark.parametrize("cell", RECOVERIES.selected(), ids=str)
def test_cell(
    scene: Scene, proxy: DatabaseProxy, cell: RecoveryCell, record_property: Callable[[str, object], None]
) -> None:
    record_property("recovery_cell", json.dumps(play(scene, proxy, cell)))


def test_every_cell_is_run_or_states_why_not() -> None:
    assert set(INJECTED) == set(RecoveryFault)
    assert set(RECOVERIES.impossible) <= set(RECOVERIES.cells)
    assert all(reason.endswith(".") for reason in RECOVERIES.impossible.values())
