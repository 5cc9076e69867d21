"""The blocks that an operation reads do not grow with the number of tasks."""

import pytest

from benchmarks.growth import Stand, ratios, too_much


@pytest.mark.slow
def test_no_operation_reads_more_with_more_tasks(new_database_url: str, bucket_name: str) -> None:
    stand = Stand(new_database_url)
    assert too_much(ratios(stand.costs(1_000), stand.costs(30_000))) == {}
