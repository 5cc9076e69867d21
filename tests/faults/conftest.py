"""Fixtures of the fault tests: the same database and bucket as the integration tests have."""

from tests.integration.conftest import bucket_name, pipeline

from .test_histories import HISTORIES, SEED

__all__ = ["bucket_name", "pipeline"]


def pytest_report_header() -> str:
    """The seed, so that a run can be repeated."""
    return f"FAULTS_SEED={SEED} FAULTS_HISTORIES={HISTORIES}"
