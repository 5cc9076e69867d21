"""Fixtures of the fault tests (shared with the integration tests), and the seed of the random ones."""

from tests.faults.test_lives import SEED
from tests.support.fixtures import bucket_name, pipeline

__all__ = ["bucket_name", "pipeline"]


def pytest_report_header() -> str:
    """Print the seed, so that a run can be repeated."""
    return f"FAULTS_SEED={SEED}"
