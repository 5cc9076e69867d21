"""Fixtures of the integration tests: a separate database and bucket per test."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from tests.integration.pipeline import Pipeline, services_for


@pytest.fixture
def bucket_name(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket in an in-process S3 (moto)."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="content")
        yield "content"


@pytest.fixture
def pipeline(database_url: str, bucket_name: str) -> Iterator[Pipeline]:
    """The steps, with a migrated database and an empty bucket."""
    services = services_for(database_url)
    yield Pipeline(services)
    services.engine.dispose()
