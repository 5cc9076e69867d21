"""The cost of a run, computed from batches and assumed durations."""

import pytest

from documents.cost import (
    MODEL_SECONDS,
    MODELS,
    Counts,
    batches_of,
    bill,
    cost_of,
    generating_seconds,
    main,
    seconds_of,
    transitions_of,
)
from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of
from roadmap_content.content.manifest import MAX_BATCHES
from roadmap_content.contracts.items import Item
from tests.support.simulated_run import run_of
from tests.support.templates import STACK as TEMPLATE


@pytest.mark.parametrize("concepts", [1, 30, 1_000])
def test_a_run_takes_two_transitions_per_batch_and_five_more(concepts: int) -> None:
    run = run_of(concepts, 10)
    assert run.transitions == transitions_of(run.invocations["SaveBatchFunction"])


def test_a_thousand_staged_concepts_take_few_transitions() -> None:
    assert run_of(1_000, 10).transitions <= 40


def test_the_batches_of_a_large_roadmap_are_limited() -> None:
    assert batches_of(30_000, 1) <= MAX_BATCHES


def test_items_that_are_generated_at_the_same_time_are_charged_once() -> None:
    assert generating_seconds(1, 10) == generating_seconds(5, 10) == 35
    assert generating_seconds(20, 10) == 2 * generating_seconds(10, 10)


def test_batches_of_concepts_take_the_slots_for_a_shorter_time_than_batches_of_one_content_type() -> None:
    """At least 1.35 times as many roadmaps per slot and hour; and the first lessons are complete hardly later
    than one alone would be. An invocation takes two seconds besides generating.
    """
    concepts, before, now = range(30), 25, default_of(TEMPLATE, "BatchSize")
    of_one_type = [
        seconds_of(Item(str(number), content_type) for number in concepts[start : start + before])
        for content_type in MODEL_SECONDS
        for start in range(0, len(concepts), before)
    ]
    slot_seconds = generating_seconds(len(concepts), now) + 2 * batches_of(len(concepts), now)
    assert sum(seconds + 2 for seconds in of_one_type) / slot_seconds > 1.35
    assert generating_seconds(now, now) <= 1.3 * generating_seconds(1, now)


NOTHING = Counts(0, 0, 0, 0, 0)


def test_larger_batches_take_fewer_transitions() -> None:
    costs = [cost_of(1_000, size, TEMPLATE, NOTHING)["Step Functions"] for size in (4, 16, 64)]
    assert costs == sorted(costs, reverse=True)


def test_the_tokens_are_most_of_the_bill() -> None:
    """19 of 20 dollars with a large model, of a run and of a day."""
    rows = bill(TEMPLATE)
    large, cheap = MODELS
    for column in (0, 1):
        tokens = rows[large][column]
        others = sum(row[column] for name, row in rows.items() if name not in MODELS)
        assert tokens > 0.95 * (tokens + others)
    assert rows[large][0] == pytest.approx(83.1)
    assert rows[cheap][0] == pytest.approx(18.16)


def test_the_document_has_the_table_that_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    table = "\n".join(printed[: printed.index(next(line for line in printed if line.startswith("└"))) + 1])
    document = (REPOSITORY / "docs/deploy.md").read_text()
    assert table in document
    (needed,) = [line for line in printed if line.startswith("The day needs")]
    assert needed in document
