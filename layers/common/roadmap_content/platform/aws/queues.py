"""Get the number of messages in a queue."""

from functools import cached_property
from typing import Any

from ..runtime.log import logger


class Queue:
    """One SQS queue."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - each service has its own class
        import boto3
        from botocore.config import Config

        return boto3.client(
            "sqs", config=Config(connect_timeout=2, read_timeout=3, retries={"max_attempts": 1})
        )

    def messages(self) -> int | None:
        """The approximate number of messages; `None` if SQS did not respond."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        except (BotoCoreError, ClientError) as error:
            logger.warning("queue_not_read", reason=str(error))
            return None
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])
