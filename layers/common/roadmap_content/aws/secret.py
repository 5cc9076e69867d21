"""Secrets Manager: one secret, read within the time that an invocation has for it."""

from ..errors import TransientError


class SecretUnavailableError(TransientError):
    """Secrets Manager did not give the secret."""

    code = "SecretUnavailable"


def read_secret(arn: str) -> str:
    """The text of a secret; empty where it holds none.

    Raises:
        SecretUnavailableError: it could not be read. The message holds nothing of it.
    """
    # Here, because it takes longer to import than everything else, and not every function needs it.
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    limits = Config(connect_timeout=3, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
    try:
        answer = boto3.client("secretsmanager", config=limits).get_secret_value(SecretId=arn)
    except (BotoCoreError, ClientError) as error:
        raise SecretUnavailableError(str(error)) from error
    return answer.get("SecretString", "")
