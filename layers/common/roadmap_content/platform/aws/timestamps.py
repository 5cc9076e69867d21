"""A faster parser for the timestamps in responses from AWS.

Every S3 response has some, and a listing has a thousand. botocore parses them with dateutil, which supports
many formats. Without this parser, that is a large part of the processor time of Plan.
"""

from datetime import datetime
from functools import cache
from typing import Any


@cache
def read_timestamps_faster() -> None:
    """Give boto3 a default session whose clients use `read_timestamp`. Call it before the first client."""
    import boto3
    from botocore.session import get_session

    session = get_session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_timestamp)
    boto3.setup_default_session(botocore_session=session)


def read_timestamp(value: Any) -> datetime:  # noqa: ANN401 - any value in a response
    """Read ISO 8601, an HTTP date, or seconds since 1970. Other formats are left to botocore."""
    from email.utils import parsedate_to_datetime  # imported here, as boto3 is: it imports sockets

    from botocore.utils import parse_timestamp

    if isinstance(value, str):
        for read in (datetime.fromisoformat, parsedate_to_datetime):
            try:
                time = read(value)
            except ValueError:
                continue
            if time.tzinfo is not None:
                return time
    return parse_timestamp(value)
