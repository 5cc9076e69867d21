"""The cost of a run: its transitions, and the table in the document."""

import pytest

from documents.aws import FACTS
from documents.cost import (
    PAGE,
    TOKENS_IN,
    TOKENS_OUT,
    model_cost,
    printed_bill,
    requests_per_second,
    transitions_of,
)
from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of
from tests.support.simulated_run import run_of
from tests.support.templates import DATABASE, STACK


@pytest.mark.parametrize("concepts", [1, 30, 1_000])
def test_a_run_takes_two_transitions_per_batch_and_five_more(concepts: int) -> None:
    run = run_of(concepts, 10)
    assert run.transitions == transitions_of(run.invocations["SaveBatchFunction"])


def test_the_document_has_what_the_command_prints() -> None:
    for printed in printed_bill(STACK, DATABASE):
        assert printed in PAGE.read_text()


def test_the_limit_of_requests_fits_the_busiest_hour() -> None:
    batch_size, slots = default_of(STACK, "BatchSize"), default_of(STACK, "GeneratorConcurrency")
    needed = requests_per_second(batch_size, slots)
    assert needed <= default_of(STACK, "ApiRequestsPerSecond") <= 1.5 * needed


def test_the_alarm_of_spend_rings_a_small_product_at_fifty_dollars_an_hour() -> None:
    limit = default_of(STACK, "TokensPerHour")
    dollars = [cost * limit / (1_000 * (TOKENS_IN + TOKENS_OUT)) for cost in model_cost(1_000).values()]
    assert max(dollars) == pytest.approx(50, rel=0.1)


def test_each_name_and_limit_of_aws_stands_in_the_file_that_relies_on_it() -> None:
    facts = [fact for fact in FACTS if fact.kind != "price"]
    assert [fact for fact in facts if fact.value not in (REPOSITORY / fact.about).read_text()] == []
