"""The statements of a save: each is a round trip, which takes almost a millisecond on AWS."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, event

from roadmap_content.contracts.items import ContentType
from roadmap_content.runs.steps.save import SaveReport
from tests.support.factories import TYPES, bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.product_schema import EXECUTION_LOGS

LOG = f"{EXECUTION_LOGS} GRANT SELECT, INSERT ON execution_logs TO PUBLIC"


def transactions_of_a_save(
    pipeline: Pipeline, concepts: int, before: Callable[[str], None] = lambda _: None
) -> tuple[SaveReport, list[list[str]]]:
    """Save a batch of staged concepts; return the statements of each transaction."""
    pipeline.load(bundle_of(concept_ids(concepts)))
    (batch,) = pipeline.requests(pipeline.plan())
    found: list[list[str]] = [[]]

    @event.listens_for(pipeline.services.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        before(statement)
        found[-1].append(statement)

    @event.listens_for(pipeline.services.engine, "commit")
    def end(_connection: Connection) -> None:
        found.append([])

    report = pipeline.save(batch)
    event.remove(pipeline.services.engine, "before_cursor_execute", note)
    event.remove(pipeline.services.engine, "commit", end)
    return report, [statements for statements in found if statements]


@pytest.mark.parametrize(("beside_the_product", "most"), [(False, TYPES + 3), (True, TYPES + 5)])
@pytest.mark.parametrize("concepts", [1, 100])
def test_a_save_takes_few_statements_and_begins_with_the_lock_alone(
    pipeline: Pipeline, concepts: int, beside_the_product: bool, most: int
) -> None:
    if beside_the_product:
        pipeline.execute(LOG)
    report, transactions = transactions_of_a_save(pipeline, concepts)
    assert (report.saved, report.failed) == (concepts * len(ContentType), 0)
    for statements in transactions:
        assert len(statements) <= most, "\n".join(statements)
        assert "FOR NO KEY UPDATE OF roadmap_metadata" in statements[0]
    if beside_the_product:
        assert len(pipeline.rows("SELECT 1 FROM execution_logs")) == concepts


def test_a_log_that_disappears_during_a_save_costs_no_row_and_no_event(pipeline: Pipeline) -> None:
    pipeline.execute(LOG)

    def drop(statement: str) -> None:
        if statement.startswith("SAVEPOINT"):
            pipeline.execute("DROP TABLE execution_logs")

    report, transactions = transactions_of_a_save(pipeline, 2, drop)
    assert (report.saved, report.failed, len(transactions)) == (2 * len(ContentType), 0, 1)
    assert len(pipeline.rows("SELECT 1 FROM content_events WHERE detail_type = 'Batch Saved'")) == TYPES
