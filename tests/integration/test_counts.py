"""The counts of `documents.cost` are those of the current code."""

import json

import pytest

from documents.cost import COUNTS
from tests.support.pipeline import Pipeline
from tests.support.run_counts import count_run


def test_a_run_asks_for_as_much_as_the_bill_says(database_url: str, pipeline: Pipeline) -> None:
    """Another tenth means: run `python -m tests.support.run_counts` again."""
    counted = count_run(database_url, 30)
    assert pipeline.task()["status"] == "completed"
    assert counted == pytest.approx(json.loads(COUNTS.read_text())["30"], rel=0.1)
