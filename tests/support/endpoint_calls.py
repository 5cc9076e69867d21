"""The calls of AWS that a request makes, by endpoint, and a counter of such calls.

Authorization and the database's credentials, which an environment reads for each new connection, are not
included.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from botocore.client import BaseClient

Calls = Mapping[str, int]

CALLS: Mapping[str, Calls] = {
    "get_item": {"HeadObject": 1, "GetObject": 1, "ListObjectsV2": 1},
    "get_content": {"GetObject": 1},
    "list_revisions": {"ListObjectsV2": 1},
    "restore_revision": {"GetObject": 1},
    "retry_task": {"StartExecution": 1},
    "cancel_task": {"DescribeExecution": 1, "StopExecution": 1},
    "create_recovery": {"StartExecution": 1},
    "erase_user": {"PutObject": 2},
    "list_due_erasures": {"ListObjectsV2": 1},
}
"""By operation id; others make none. No read describes an execution: that quota is the whole account's."""

ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "RedriveExecution": {},
    "StartExecution": {},
    "StopExecution": {},
}


class Counted(Counter[str]):
    """The calls of AWS, by operation."""

    execution = "RUNNING"
    """The status of every execution."""

    def count(self, operation: str) -> None:
        self[operation] += 1

    def answer(self, operation: str) -> Mapping[str, Any]:
        """Count a call; return the answer of Step Functions."""
        self.count(operation)
        return {"status": self.execution} if operation == "DescribeExecution" else ANSWERS[operation]


@contextmanager
def counted() -> Iterator[Counted]:
    """Count and answer the calls of boto3's clients. Each of their methods ends in the replaced one."""
    calls = Counted()

    def answer(_client: BaseClient, operation: str, _parameters: Any) -> Any:
        return calls.answer(operation)

    with mock.patch.object(BaseClient, "_make_api_call", answer):
        yield calls


def operation_of(method: str) -> str:
    """The operation of a method of boto3's client: `head_object` is `HeadObject`."""
    return "".join(word.title() for word in method.split("_"))
