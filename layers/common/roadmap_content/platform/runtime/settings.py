"""Typed settings from the environment variables of a function.

Each setting is read when it is used, not at import. So a function needs only the settings that it uses, and a
test can pass other values.
"""

import os
from collections.abc import Mapping
from typing import Literal, TypeVar

from ...contracts.errors import MissingSettingError

DatabaseAuth = Literal["secret", "iam"]
SessionSource = Literal["options", "role"]
ChoiceT = TypeVar("ChoiceT", bound=str)


class Settings:
    """The settings of a function. A missing or invalid setting raises `MissingSettingError` with its name."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    @property
    def content_bucket(self) -> str:
        return self._text("CONTENT_BUCKET")

    @property
    def cors_origins(self) -> frozenset[str]:
        """The origins whose pages may call the API; none by default."""
        return frozenset(self._names("CORS_ORIGINS"))

    @property
    def cors_headers(self) -> tuple[str, ...]:
        """The request headers that these pages may send."""
        return self._names("CORS_HEADERS")

    @property
    def event_bus(self) -> str:
        """The name or ARN of the EventBridge bus for events; empty: no events."""
        return self._environ.get("EVENT_BUS", "")

    @property
    def content_check_function(self) -> str:
        """The ARN of the function that checks contents before they are saved; empty: none."""
        return self._environ.get("CONTENT_CHECK_FUNCTION", "")

    @property
    def content_check_seconds(self) -> int:
        """The time limit of one call of this function."""
        return self._positive("CONTENT_CHECK_SECONDS")

    @property
    def checks_all_content(self) -> bool:
        """Whether content that the product staged is checked, too."""
        return self._one_of("CONTENT_CHECK_SCOPE", "generated", "all") == "all"

    @property
    def saves_unchecked_content(self) -> bool:
        """Whether content is saved if the check fails; otherwise it waits for the next attempt."""
        return self._one_of("CONTENT_CHECK_FAILURE", "wait", "pass") == "pass"

    @property
    def database_time_zone(self) -> str:
        """The zone of the timestamps in the product's tables, by its name in PostgreSQL."""
        return self._environ.get("DATABASE_TIME_ZONE", "") or "UTC"

    @property
    def state_machine_arn(self) -> str:
        return self._text("STATE_MACHINE_ARN")

    @property
    def automatic_attempts(self) -> int:
        """The number of automatic attempts after an attempt that failed for transient reasons; 0 disables
        them.
        """
        text = self._environ.get("AUTOMATIC_ATTEMPTS") or "0"
        if not text.isdecimal():
            raise MissingSettingError(f"AUTOMATIC_ATTEMPTS is {text!r}, not a whole number")
        return int(text)

    @property
    def database_secret_arn(self) -> str:
        """The ARN of the secret with the keys host, port, dbname, username and password."""
        return self._text("DATABASE_SECRET_ARN")

    @property
    def erasure_secret_arn(self) -> str:
        """The ARN of the secret with the key of the register of erasures."""
        return self._text("ERASURE_SECRET_ARN")

    @property
    def access_log_retention_days(self) -> int:
        """The days after which the entries of the access log are deleted."""
        return self._positive("ACCESS_LOG_RETENTION_DAYS")

    @property
    def log_retention_days(self) -> int:
        """The days after which logs are deleted."""
        return self._positive("LOG_RETENTION_DAYS")

    @property
    def database_auth(self) -> DatabaseAuth:
        """The authentication method: a password from a secret, or IAM."""
        return self._one_of("DATABASE_AUTH", "secret", "iam")

    @property
    def database_host(self) -> str:
        """The host name, for IAM authentication and the certificate check."""
        return self._text("DATABASE_HOST")

    @property
    def database_port(self) -> int:
        return self._positive("DATABASE_PORT")

    @property
    def database_name(self) -> str:
        return self._text("DATABASE_NAME")

    @property
    def database_user(self) -> str:
        """The PostgreSQL role for IAM authentication."""
        return self._text("DATABASE_USER")

    @property
    def reader_secret_arn(self) -> str:
        """The ARN of the reader's secret, in the same format as `database_secret_arn`."""
        return self._text("READER_SECRET_ARN")

    @property
    def reader_user(self) -> str:
        """The reader's PostgreSQL role for IAM authentication."""
        return self._text("READER_USER")

    @property
    def writer_role(self) -> str:
        """The PostgreSQL role that a migration grants reading and writing."""
        return self._text("DATABASE_WRITER")

    @property
    def reader_role(self) -> str:
        """The PostgreSQL role that a migration grants reading."""
        return self._text("DATABASE_READER")

    @property
    def database_session(self) -> SessionSource:
        """The place of a session's timeouts: the connection options or, behind RDS Proxy, the role."""
        return self._one_of("DATABASE_SESSION", "options", "role")

    @property
    def database_tls(self) -> bool:
        """Whether to use TLS with verification of certificate and host name; otherwise no TLS."""
        return self._one_of("DATABASE_TLS", "verify", "disable") == "verify"

    @property
    def batch_size(self) -> int:
        """Minimum items per full batch. A large roadmap gets larger batches."""
        return self._positive("BATCH_SIZE")

    @property
    def max_concurrency(self) -> int:
        """Maximum batches of a run that are generated at the same time."""
        return self._positive("MAX_CONCURRENCY")

    @property
    def generator(self) -> str:
        return self._text("GENERATOR")

    @property
    def model_id(self) -> str:
        """The id of the model, or the id or ARN of an inference profile."""
        return self._text("MODEL_ID")

    @property
    def model_region(self) -> str:
        return self._text("MODEL_REGION")

    @property
    def model_temperature(self) -> float | None:
        """Between 0 and 1; `none` for a model without this parameter."""
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
    def model_strict_tools(self) -> bool:
        """Whether requests ask for strict tool use."""
        return self._one_of("MODEL_STRICT_TOOLS", "false", "true") == "true"

    @property
    def model_max_output_tokens(self) -> int:
        """Maximum output tokens of one answer."""
        return self._positive("MODEL_MAX_OUTPUT_TOKENS")

    @property
    def model_output_burndown(self) -> float:
        """How often the model's quota counts a token of output."""
        text = self._text("MODEL_OUTPUT_BURNDOWN")
        try:
            burndown = float(text)
        except ValueError:
            burndown = 0
        if not 1 <= burndown <= 100:
            raise MissingSettingError(f"MODEL_OUTPUT_BURNDOWN is {text!r}, not between 1 and 100")
        return burndown

    @property
    def model_bulk_tier(self) -> str:
        """The service tier for items that no person waits for."""
        return self._one_of("MODEL_BULK_TIER", "default", "flex")

    @property
    def model_timeout(self) -> int:
        """Timeout of one model call, in seconds."""
        return self._positive("MODEL_TIMEOUT")

    @property
    def task_token_budget(self) -> int:
        """Maximum input and output tokens of a task in all its attempts."""
        return self._positive("TASK_TOKEN_BUDGET")

    @property
    def known_token_budget(self) -> int | None:
        """`task_token_budget` for a function that only displays it; `None` if it is not set."""
        return self.task_token_budget if self._environ.get("TASK_TOKEN_BUDGET") else None

    @property
    def retention_days(self) -> Mapping[str, int]:
        """Changed days of `runs/reconciliation/retention.py`, such as `content_origins=90`."""
        pairs = (pair.split("=") for pair in self._environ.get("RETENTION_DAYS", "").split(",") if pair)
        return {name: int(days) for name, days in pairs}

    @property
    def release_id(self) -> str:
        return self._environ.get("RELEASE") or "unreleased"

    def _text(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            raise MissingSettingError(f"{name} is not set")
        return value

    def _names(self, name: str) -> tuple[str, ...]:
        """A list of names, separated by commas; empty if it is not set."""
        return tuple(filter(None, map(str.strip, self._environ.get(name, "").split(","))))

    def _one_of(self, name: str, *choices: ChoiceT) -> ChoiceT:
        """A setting that must be one of `choices`."""
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
