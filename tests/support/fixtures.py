"""Fixtures that several folders of tests use: the steps with a database and a bucket."""

import pytest

from local_stack.database_roles import DatabaseRoles
from tests.support.engines import shared_engine
from tests.support.pipeline import S3, Pipeline, services_for


@pytest.fixture
def bucket_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket of the S3 in memory. No request can use the machine's own credentials."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    S3.create_bucket(Bucket="content")
    return "content"


@pytest.fixture
def pipeline(database_url: str, database_roles: DatabaseRoles, bucket_name: str) -> Pipeline:
    """The steps, with a migrated database and an empty bucket.

    The steps run as the writer and the reader; the test is the administrator.
    """
    services = services_for(database_roles.writer)
    services.engine = shared_engine(database_roles.writer)
    services.reading_engine = shared_engine(database_roles.reader)
    return Pipeline(services, engine=shared_engine(database_url))
