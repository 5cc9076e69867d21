"""Timestamps in responses from AWS are parsed like by botocore."""

from typing import Any

import pytest
from botocore.utils import parse_timestamp

from roadmap_content.platform.aws.clients import read_timestamp


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-01T00:00:00.000Z",  # a listing of S3
        "2026-01-01T00:00:00+00:00",
        "20260101T000000Z",
        "2026-01-01T00:00:00",  # without a zone, which botocore keeps
        "Thu, 01 Jan 2026 00:00:00 GMT",  # a header
        1767225600,
        1767225600.5,
        "1767225600",
    ],
)
def test_a_timestamp_is_what_botocore_reads(value: Any) -> None:
    found = read_timestamp(value)
    assert found == parse_timestamp(value)
    assert found.utcoffset() == parse_timestamp(value).utcoffset()


def test_an_invalid_timestamp_is_refused_like_by_botocore() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        read_timestamp("yesterday")
