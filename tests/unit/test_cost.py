"""The cost of a run: its transitions, and the table in the document."""

import pytest

from documents.cost import PAGE, batches_of, printed_bill, transitions_of
from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from roadmap_content.content.manifest import MAX_BATCHES
from tests.support.simulated_run import run_of


@pytest.mark.parametrize("concepts", [1, 30, 1_000])
def test_a_run_takes_two_transitions_per_batch_and_five_more(concepts: int) -> None:
    run = run_of(concepts, 10)
    assert run.transitions == transitions_of(run.invocations["SaveBatchFunction"])


def test_a_thousand_staged_concepts_take_few_transitions() -> None:
    assert run_of(1_000, 10).transitions <= 40


def test_the_batches_of_a_large_roadmap_are_limited() -> None:
    assert batches_of(30_000, 1) <= MAX_BATCHES


def test_the_document_has_what_the_command_prints() -> None:
    for printed in printed_bill(read_template(REPOSITORY / "template.yaml")):
        assert printed in PAGE.read_text()
