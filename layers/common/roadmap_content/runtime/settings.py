"""The environment of a function, typed, read when a setting is used and not before.

Nothing is read at import: a function needs only the settings that it uses, and a test gives its own.
"""

import os
from collections.abc import Mapping
from typing import Literal, TypeVar

from ..errors import MissingSettingError

DatabaseAuth = Literal["secret", "iam"]
SessionSource = Literal["options", "role"]
ChoiceT = TypeVar("ChoiceT", bound=str)


class Settings:
    """The settings of a function; each fails loudly, by name, where it is used and not usable."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

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
    def database_auth(self) -> DatabaseAuth:
        """How the database knows us: by a password in a secret, or by our IAM role."""
        return self._one_of("DATABASE_AUTH", "secret", "iam")

    @property
    def database_host(self) -> str:
        """The host, as IAM and the certificate know it."""
        return self._text("DATABASE_HOST")

    @property
    def database_port(self) -> int:
        """The port."""
        return self._positive("DATABASE_PORT")

    @property
    def database_name(self) -> str:
        """The database."""
        return self._text("DATABASE_NAME")

    @property
    def database_user(self) -> str:
        """The role of PostgreSQL that our IAM role may connect as."""
        return self._text("DATABASE_USER")

    @property
    def database_session(self) -> SessionSource:
        """Who sets a session's limits: we do as we connect; or, behind RDS Proxy, the role has them."""
        return self._one_of("DATABASE_SESSION", "options", "role")

    @property
    def database_tls(self) -> bool:
        """Whether the database's certificate and name are verified; otherwise the connection is plain."""
        return self._one_of("DATABASE_TLS", "verify", "disable") == "verify"

    @property
    def batch_size(self) -> int:
        """Items of a batch, before a large roadmap makes batches larger."""
        return self._positive("BATCH_SIZE")

    @property
    def generator(self) -> str:
        """The name of what generates content that is not staged."""
        return self._text("GENERATOR")

    @property
    def model_id(self) -> str:
        """The model that generates: its id, or the id or ARN of an inference profile."""
        return self._text("MODEL_ID")

    @property
    def model_region(self) -> str:
        """The region where the model is asked."""
        return self._text("MODEL_REGION")

    @property
    def model_temperature(self) -> float | None:
        """Between 0 and 1; `none` for a model that does not take one."""
        text = self._text("MODEL_TEMPERATURE")
        if text == "none":
            return None
        try:
            temperature = float(text)
        except ValueError:
            temperature = -1
        if not 0 <= temperature <= 1:
            raise MissingSettingError(f"MODEL_TEMPERATURE is {text!r}, not between 0 and 1, nor none")
        return temperature

    @property
    def model_max_output_tokens(self) -> int:
        """Tokens of one answer, at most."""
        return self._positive("MODEL_MAX_OUTPUT_TOKENS")

    @property
    def model_timeout(self) -> int:
        """Seconds that an answer may take."""
        return self._positive("MODEL_TIMEOUT")

    @property
    def task_token_budget(self) -> int:
        """Tokens, read and written, that the generation of one task may take in all its attempts."""
        return self._positive("TASK_TOKEN_BUDGET")

    def _text(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            raise MissingSettingError(f"{name} is not set")
        return value

    def _one_of(self, name: str, *choices: ChoiceT) -> ChoiceT:
        """The setting, which must be one of `choices`."""
        value = self._text(name)
        for choice in choices:
            if value == choice:
                return choice
        raise MissingSettingError(f"{name} is {value!r}, not {' or '.join(choices)}")

    def _positive(self, name: str) -> int:
        text = self._text(name)
        if not text.isdecimal() or int(text) < 1:
            raise MissingSettingError(f"{name} is {text!r}, not a positive whole number")
        return int(text)
