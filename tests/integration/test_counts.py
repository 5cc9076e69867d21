"""The counts of `documents.cost` are those of the current code."""

import json

import pytest

from benchmarks.counting import COUNTS, count_run
from tests.support.pipeline import Pipeline


def test_a_run_asks_for_as_much_as_the_bill_says(database_url: str, pipeline: Pipeline) -> None:
    """Another tenth means: run `python -m benchmarks.counting` again."""
    counted = count_run(database_url, 30)
    assert pipeline.task()["status"] == "completed"
    assert counted == pytest.approx(json.loads(COUNTS.read_text())["30"], rel=0.1)
