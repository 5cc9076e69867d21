"""What the `roadmap` command works on: the local stack, or a stack on AWS by its name."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, make_url

from local.errors import NoStackError
from local.stack import LocalStack
from roadmap_content.bucket import Bucket
from roadmap_content.engine import Credentials, open_engine

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


def target_named(stack: str | None) -> "Target":
    """The stack to work on: the local one that is up, or one on AWS."""
    return LocalTarget(LocalStack.attach()) if stack is None else AwsTarget(stack)
