"""The cost of a run, computed from the state machine and the batches."""

import json
import re

import pytest

from checks.cost import PRICES, at_rest, cost_of, main
from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from roadmap_content.items import ContentType
from roadmap_content.manifest import MAX_BATCHES
from tests.unit.test_alarms import EMITTED


@pytest.mark.parametrize(("concepts", "batch_size", "batches"), [(1, 25, 3), (30, 25, 3), (1_000, 25, 12)])
def test_the_number_of_batches_equals_that_of_plan(concepts: int, batch_size: int, batches: int) -> None:
    assert cost_of(concepts, batch_size).batches == batches


def test_a_run_takes_two_transitions_per_batch_and_five_more() -> None:
    cost = cost_of(1_000, 25)
    assert cost.transitions == 2 * cost.batches + 5
    assert cost.dollars["Step Functions"] == cost.transitions * PRICES["transition"].dollars
    machine = json.loads((REPOSITORY / "statemachine/save_content.asl.json").read_text())
    assert {"Generate", "Save"} < machine["States"]["FanOut"]["ItemProcessor"]["States"].keys()


def test_a_thousand_staged_concepts_take_few_transitions() -> None:
    assert cost_of(1_000, 25).transitions <= 40


def test_the_transitions_of_a_large_roadmap_are_bounded_by_the_maximum_batches() -> None:
    assert cost_of(30_000, 1).transitions <= 2 * MAX_BATCHES + 5


def test_each_price_has_its_source_and_its_date() -> None:
    for price in PRICES.values():
        assert price.source.startswith("aws.amazon.com/")
        assert re.fullmatch(r"20\d\d", price.as_of)
        assert price.compared in ("AWS's page", "others' pages")
        assert price.dollars > 0


def test_resources_with_a_monthly_cost_are_priced() -> None:
    priced = " ".join(at_rest(read_template(REPOSITORY / "template.yaml")))
    for what in ("key", "alarms", "pages", "dashboard", "firewall", "SnapStart", "database", "endpoints"):
        assert what in priced


def test_own_metrics_are_priced_with_each_combination_of_their_dimensions() -> None:
    """CloudWatch charges for each combination; the code writes each of its metrics with the same ones."""
    typed = {metric for metric, typed in EMITTED if typed}
    untyped = {metric for metric, typed in EMITTED if not typed}
    series = len(typed) * len(ContentType) + len(untyped)
    (priced,) = [each for each in at_rest(read_template(REPOSITORY / "template.yaml")) if "own" in each]
    assert priced.startswith(f"{series} own metrics")


def test_a_created_database_is_priced_with_its_alarms() -> None:
    priced = at_rest(read_template(REPOSITORY / "template.yaml"))
    database = read_template(REPOSITORY / "database/template.yaml")["Resources"].values()
    for kind, what in (
        ("KMS::Key", "key"),
        ("CloudWatch::Alarm", "alarm"),
        ("CloudWatch::Dashboard", "dash"),
    ):
        (found,) = [each for each in priced if each.startswith("its ") and what in each]
        assert found.split()[1] == str(sum(each["Type"] == f"AWS::{kind}" for each in database))
        assert priced[found] > 0


def test_larger_batches_cost_less() -> None:
    costs = [sum(cost_of(1_000, batch_size).dollars.values()) for batch_size in (1, 10, 25, 100)]
    assert costs == sorted(costs, reverse=True)


def test_the_document_equals_the_output_of_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    main(1_000)
    said = "\n".join(line.rstrip() for line in capsys.readouterr().out.rstrip().splitlines())
    assert said in (REPOSITORY / "docs/deploy.md").read_text()
