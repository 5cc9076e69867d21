"""The structured log: JSON lines, snake_case event names with fields, the execution as correlation id."""

import json
import logging
import os
from collections.abc import Mapping

from aws_lambda_powertools import Logger

from ...contracts.documents import storable_text

# Lambda's root logger is at INFO, at which botocore logs the source of its credentials for every client.
logging.getLogger("botocore").setLevel(logging.WARNING)


MAX_FIELD = 4_000
"""Maximum characters of a text in a log line: CloudWatch limits the size of a line."""


def _encode(line: Mapping[str, object]) -> str:
    """A line that standard output can encode, with any text in it."""
    fields = {name: value[:MAX_FIELD] if isinstance(value, str) else value for name, value in line.items()}
    return storable_text(json.dumps(fields, ensure_ascii=False, default=str, separators=(",", ":")))


# The service is POWERTOOLS_SERVICE_NAME, which the template sets to the name of the stack.
# Lambda takes a line for one of the level INFO if its timestamp is not that of RFC 3339.
logger = Logger(release=os.environ.get("RELEASE", "unreleased"), json_serializer=_encode, use_rfc3339=True)
