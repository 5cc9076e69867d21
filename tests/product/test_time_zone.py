"""The product writes local time without a zone. A wrong zone is noticed at the adoption and later."""

from datetime import timedelta

import pytest

from local_stack.given_database import AdoptedDatabase, WrongTimeZoneError, propose_offset
from roadmap_content.api.health import attention_for
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.state.tasks.time_zone import describe_offset, time_ahead
from tests.product.product import Product
from tests.product.running import deadline, heal
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.parametrize("form", ["create_all"], indirect=True)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(
    ("ahead", "offset"),
    [
        (hours(7.99), hours(8)),
        (hours(8), hours(8)),
        (hours(8.05), hours(8)),
        (hours(5.4), hours(5.5)),
        (hours(0), hours(0)),
        (hours(-0.4), hours(0)),
        (hours(-0.6), None),
        (hours(-100), None),
    ],
)
def test_the_offset_of_a_new_row(ahead: timedelta, offset: timedelta | None) -> None:
    assert propose_offset(ahead) == offset
    assert describe_offset(hours(8)) == "08:00"


def zone_of(product: Product, given: str | None) -> str:
    return AdoptedDatabase(product.url).time_zone(given)


def test_adoption_proposes_the_zone_of_the_newest_rows(product: Product) -> None:
    assert zone_of(product, None) == "UTC", "without rows nothing contradicts it"
    product.task("t-1", "failed", age="1 second")

    for wrong in (None, "UTC", "Europe/Berlin"):
        with pytest.raises(WrongTimeZoneError, match="--time-zone Asia/Shanghai"):
            zone_of(product, wrong)

    assert zone_of(product, "Asia/Shanghai") == "Asia/Shanghai"


def test_adoption_does_not_guess_from_old_rows(product: Product) -> None:
    product.task("t-1", "failed", age="3 days")
    with pytest.raises(WrongTimeZoneError, match="state it"):
        zone_of(product, None)
    assert zone_of(product, "Asia/Shanghai") == "Asia/Shanghai"


def test_adoption_takes_utc_if_the_newest_rows_agree(product: Product) -> None:
    product.task("t-1", "failed", age="8 hours 1 minute")
    assert zone_of(product, None) == "UTC"


def test_the_contradiction_stays_visible_when_the_time_has_passed(
    pipeline: Pipeline, adopted: Product
) -> None:
    """The database was adopted with UTC, and the product writes Beijing time."""

    def ahead() -> timedelta:
        return transact(pipeline.engine, time_ahead, deadline())

    adopted.roadmap("r-1", ["r-1:c-1"])
    assert ahead() == timedelta(0)
    adopted.task("t-1", "failed", roadmap_id="r-1", age="1 second")
    assert hours(7.9) < ahead() < hours(8)

    heal(pipeline.services)
    (task,) = adopted.rows("SELECT created_at, completed_at, execution_summary FROM roadmap_tasks")
    assert task["completed_at"] < task["created_at"], "what was seen"
    assert task["execution_summary"]["duration_seconds"] >= 0
    for table, column in (("roadmap_tasks", "created_at"), ("content_attempts", "claimed_at")):
        adopted.execute(f"UPDATE {table} SET {column} = {column} - interval '2 days'")

    assert hours(7.9) < ahead() < hours(8)
    (found,) = attention_for(stuck=0, overdue=False, sweep=None, outbox=0, aside=0, ahead=ahead())
    assert found.what == "time_zone"
    adopted.execute("UPDATE roadmap_tasks SET created_at = created_at - interval '8 hours'")
    assert ahead() == timedelta(0)
