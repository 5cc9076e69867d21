"""Read a secret from Secrets Manager, with short timeouts."""

from typing import TYPE_CHECKING

from ...contracts.errors import TransientError
from .clients import create_client

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class SecretUnavailableError(TransientError, code="SecretUnavailable"):
    """The secret could not be read."""


CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
"""The labels that Secrets Manager gives the versions of a secret."""


def read_secret(arn: str, version: str = CURRENT) -> str:
    """Read the text of a secret; empty if the secret is binary or has no such version.
    Raises SecretUnavailableError: the secret could not be read. The message contains no part of it.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    client: SecretsManagerClient = create_client(
        "secretsmanager",
        connect_timeout=3,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    try:
        return client.get_secret_value(SecretId=arn, VersionStage=version).get("SecretString", "")
    except (BotoCoreError, ClientError) as error:
        if version != CURRENT and isinstance(error, client.exceptions.ResourceNotFoundException):
            return ""
        raise SecretUnavailableError(str(error)) from error
