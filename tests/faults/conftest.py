"""Fixtures of the fault tests: the same database and bucket as the integration tests have."""

from tests.integration.conftest import bucket_name, pipeline

__all__ = ["bucket_name", "pipeline"]
