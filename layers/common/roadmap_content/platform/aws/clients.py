"""Create boto3's clients. boto3 is imported on first use: it takes 280 ms, and many invocations need none.

Every S3 response has some timestamps, and a listing has a thousand. botocore parses them with dateutil, which
supports many formats. Without a faster parser, that is a large part of the processor time of Plan.
"""

import os
from datetime import datetime
from functools import cache
from typing import Any


def preload_for_snapstart() -> None:
    """Import boto3 if a snapshot is about to be taken: an earlier import adds nothing to a request."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        import boto3  # noqa: F401
        import botocore.config  # noqa: F401


def create_client(service: str, **config: Any) -> Any:  # noqa: ANN401 - the types of boto3's stubs
    """Create a client, with fields of botocore's `Config`."""
    import boto3
    from botocore.config import Config

    _read_timestamps_faster()
    return boto3.client(service, config=Config(**config))  # type: ignore[call-overload]


@cache
def _read_timestamps_faster() -> None:
    """Give boto3 a default session with `read_timestamp` for all clients. Call it before the first client."""
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
