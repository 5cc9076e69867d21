"""Read a secret from Secrets Manager, with short timeouts."""

from ...contracts.errors import TransientError
from .timestamps import read_timestamps_faster


class SecretUnavailableError(TransientError, code="SecretUnavailable"):
    """The secret could not be read."""


CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
"""The labels that Secrets Manager gives the versions of a secret."""


def read_secret(arn: str, version: str = CURRENT) -> str:
    """Read the text of a secret; empty if the secret is binary or has no such version.

    Raises:
        SecretUnavailableError: the secret could not be read. The message contains no part of it.
    """
    # boto3 is slow to import, and not every function needs it.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    read_timestamps_faster()  # here, because this is the first client of most functions
    limits = Config(connect_timeout=3, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
    try:
        answer = boto3.client("secretsmanager", config=limits).get_secret_value(
            SecretId=arn, VersionStage=version
        )
    except (BotoCoreError, ClientError) as error:
        if version != CURRENT and _is_missing(error):
            return ""
        raise SecretUnavailableError(str(error)) from error
    return answer.get("SecretString", "")


def _is_missing(error: Exception) -> bool:
    code: str = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return code == "ResourceNotFoundException"
