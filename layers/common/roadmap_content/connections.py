"""What an execution environment keeps between invocations: opened when first used, one of each."""

from functools import cached_property

from sqlalchemy import Engine

from .bucket import Bucket
from .engine import Credentials, open_engine
from .executions import Executions
from .generation.generator import Generator, generator_named
from .settings import Settings


class Connections:
    """The function's way to the outside. Tests build their own from the parts."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @cached_property
    def engine(self) -> Engine:
        """The database."""
        return open_engine(self._credentials, tls=self.settings.database_tls)

    @cached_property
    def bucket(self) -> Bucket:
        """Staged content, manifests and tutorial texts."""
        return Bucket(self.settings.content_bucket)

    @cached_property
    def executions(self) -> Executions:
        """The runs of the state machine."""
        return Executions(self.settings.state_machine_arn)

    @cached_property
    def generator(self) -> Generator:
        """What makes content that is not staged."""
        return generator_named(self.settings.generator)

    def _credentials(self) -> Credentials:
        import boto3

        client = boto3.client("secretsmanager")
        secret = client.get_secret_value(SecretId=self.settings.database_secret_arn)
        return Credentials.from_secret(secret["SecretString"])
