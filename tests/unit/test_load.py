"""The simulation of `make load` ends also if the admission loses runs."""

from collections.abc import Sequence

import pytest

from benchmarks.load import Queue, Run, Simulation


class Forgetful(Queue):
    """Regression: attempts that the queue admitted at a claim were never started."""

    def __init__(self) -> None:
        """Without a database."""

    def claim(self, run: Run) -> Sequence[Run]:
        return [] if run.number else [run]

    def planned(self, run: Run) -> None:
        pass

    def end(self, run: Run) -> Sequence[Run]:
        return []

    def sweep(self, now: float) -> Sequence[Run]:
        return []

    def states(self) -> Sequence[str]:
        return ["1 starting"]


def test_a_load_without_progress_fails_with_what_waits() -> None:
    runs = [Run(number, "u", 0) for number in range(2)]
    with pytest.raises(SystemExit, match=r"1 wait for their start, 0 are at work, .*; the queue: 1 starting"):
        Simulation(Forgetful(), runs)
    assert runs[0].ended is not None
