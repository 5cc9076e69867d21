"""Fixtures of the integration tests: a separate database and bucket per test."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from sqlalchemy import make_url

from local_stack.database_roles import DatabaseRoles
from roadmap_content.postgres.engine import Credentials, open_engine
from tests.support.pipeline import Pipeline, services_for


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
def pipeline(database_url: str, database_roles: DatabaseRoles, bucket_name: str) -> Iterator[Pipeline]:
    """The steps, with a migrated database and an empty bucket.

    The steps run as the writer and the reader; the test is the administrator.
    """
    services = services_for(database_roles.writer)
    reader = Credentials.from_url(make_url(database_roles.reader))
    services.reading_engine = open_engine(lambda: reader, tls=False)
    administrator = Credentials.from_url(make_url(database_url))
    pipeline = Pipeline(services, engine=open_engine(lambda: administrator, tls=False))
    yield pipeline
    for engine in (pipeline.engine, services.engine, services.reading_engine):
        engine.dispose()
