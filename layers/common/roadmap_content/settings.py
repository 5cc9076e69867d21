"""The environment of a function, typed, read when a setting is used and not before.

Nothing is read at import: a function needs only the settings that it uses, and a test gives its own.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import MissingSettingError


@dataclass(frozen=True)
class Settings:
    """The settings of a function; each fails loudly, by name, where it is used and not usable."""

    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @property
    def content_bucket(self) -> str:
        """The bucket of tutorial texts, staged content and manifests."""
        return self._text("CONTENT_BUCKET")

    @property
    def state_machine_arn(self) -> str:
        """The state machine whose executions are started and asked for."""
        return self._text("STATE_MACHINE_ARN")

    @property
    def database_secret_arn(self) -> str:
        """The Secrets Manager secret that holds host, port, dbname, username and password."""
        return self._text("DATABASE_SECRET_ARN")

    @property
    def database_tls(self) -> bool:
        """Whether the database's certificate and name are verified; otherwise the connection is plain."""
        match self._text("DATABASE_TLS"):
            case "verify":
                return True
            case "disable":
                return False
            case other:
                raise MissingSettingError(f"DATABASE_TLS is {other!r}, not verify or disable")

    @property
    def batch_size(self) -> int:
        """Items of a batch, before a large roadmap makes batches larger."""
        return self._positive("BATCH_SIZE")

    @property
    def generator(self) -> str:
        """The name of what generates content that is not staged."""
        return self._text("GENERATOR")

    def _text(self, name: str) -> str:
        value = self.environ.get(name, "")
        if not value:
            raise MissingSettingError(f"{name} is not set")
        return value

    def _positive(self, name: str) -> int:
        text = self._text(name)
        if not text.isdecimal() or int(text) < 1:
            raise MissingSettingError(f"{name} is {text!r}, not a positive whole number")
        return int(text)
