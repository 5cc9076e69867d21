"""Fixtures of the integration tests."""

from tests.support.fixtures import bucket_name, pipeline

__all__ = ["bucket_name", "pipeline"]
