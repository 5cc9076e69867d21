"""The schema as a custom resource: CloudFormation migrates it before any function is updated.

A custom resource responds with a PUT to a URL. Without a response, a deployment waits until its timeout. So
every failure is reported as well: the deployment is rolled back, and its events show the reason.
"""

import hashlib
import json
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from ...contracts.errors import PermanentError
from ...contracts.payloads import Payload, parse
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger

_SEND_SECONDS = 10.0
_LONGEST_REASON = 1_000


class StaleReleaseError(PermanentError, code="StaleRelease"):
    """Parameters were changed without a new release, so the change would not reach the functions' aliases."""


class SchemaProperties(Payload):
    """The properties of the resource in the template."""

    release: str = Field(alias="Release")
    settings: list[Any] = Field(alias="Settings")
    """The values of all parameters of the stack."""

    @property
    def identity(self) -> str:
        """The physical id: contains the release and its settings."""
        digest = hashlib.sha256(json.dumps(self.settings).encode()).hexdigest()[:16]
        return f"schema-{self.release}-{digest}"


class SchemaRequest(Payload):
    request_type: Literal["Create", "Update", "Delete"] = Field(alias="RequestType")
    response_url: str = Field(alias="ResponseURL")
    stack_id: str = Field(alias="StackId")
    request_id: str = Field(alias="RequestId")
    logical_id: str = Field(alias="LogicalResourceId")
    physical_id: str | None = Field(None, alias="PhysicalResourceId")
    properties: SchemaProperties = Field(alias="ResourceProperties")


def answer_cloudformation(event: Mapping[str, Any], migrate: Callable[[], str | None]) -> dict[str, Any]:
    """Handle a request and send the response. `migrate` returns the revision of the schema.

    Deleting the stack keeps the schema and its rows. In a rollback, CloudFormation requests an update to the
    previous properties. That release is not stale, because the physical id is still that of those properties.
    """
    request = parse(SchemaRequest, event)
    answer: dict[str, Any] = {
        "StackId": request.stack_id,
        "RequestId": request.request_id,
        "LogicalResourceId": request.logical_id,
        "PhysicalResourceId": request.physical_id or request.properties.identity,
    }
    try:
        if request.request_type != "Delete":
            require_new_release(request.physical_id, request.properties)
            answer["Data"] = {"Revision": migrate() or ""}
            answer["PhysicalResourceId"] = request.properties.identity
        answer["Status"] = "SUCCESS"
    except Exception as error:  # noqa: BLE001 - the deployment needs a response after every error
        logger.exception("schema_not_migrated")
        reason = f"{type(error).__name__}: {error}"
        answer |= {"Status": "FAILED", "Reason": reason[:_LONGEST_REASON]}
    _send(request.response_url, answer)
    return answer


def require_new_release(deployed: str | None, properties: SchemaProperties) -> None:
    """Refuse settings that differ from those with which the same release was deployed.

    Args:
        deployed: the physical id of the deployed resource; `None` in a new stack.

    Raises:
        StaleReleaseError: the settings differ.
    """
    release, _, _ = (deployed or "").rpartition("-")
    if release == f"schema-{properties.release}" and deployed != properties.identity:
        raise StaleReleaseError(
            f"parameters have changed, and the release is still {properties.release!r}: functions would keep "
            "the old values; deploy with `make deploy`"
        )


def _send(url: str, answer: Mapping[str, Any]) -> None:
    body = json.dumps(answer).encode()
    # CloudFormation's URL is signed for a request without a content type.
    request = urllib.request.Request(url, body, {"Content-Type": ""}, method="PUT")  # noqa: S310
    deadline = Deadline.after(3 * _SEND_SECONDS)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=_SEND_SECONDS):  # noqa: S310 - CloudFormation's URL
                return
        except OSError:
            logger.exception("cloudformation_not_answered")
            if deadline.remaining < 0:
                raise
