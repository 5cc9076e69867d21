"""The scenario of the smoke test, on the local stack. Redrive is emulated from documentation there."""

from typing import Any

import pytest
from sqlalchemy import MetaData, select

from roadmap_command.target import Target
from smoke.__main__ import SmokeError, redrives

pytestmark = pytest.mark.nightly


def left_by_smoke(target: Target) -> tuple[list[str], list[str]]:
    """The rows and the objects of the smoke test's roadmaps."""
    metadata = MetaData()
    metadata.reflect(target.engine)
    with target.engine.connect() as connection:
        rows = [str(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    versions: Any = target.s3.list_object_versions(Bucket=target.bucket.name)
    keys = [each["Key"] for kind in ("Versions", "DeleteMarkers") for each in versions.get(kind, [])]
    return [row for row in rows if "smoke-" in row], [key for key in keys if "smoke-" in key]


def test_the_smoke_test_redrives_a_failed_execution_and_cleans_up(target: Target) -> None:
    redrives(target)
    assert left_by_smoke(target) == ([], [])


def test_the_smoke_test_reports_an_unexpected_result(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smoke.__main__.follow_run", lambda *_: "SUCCEEDED")
    with pytest.raises(SmokeError, match="the run: SUCCEEDED, not FAILED"):
        redrives(target)
