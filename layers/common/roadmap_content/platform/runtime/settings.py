"""Typed settings from the environment variables of a function.

Each setting is read when it is used, not at import. So a function needs only the settings that it uses, and a
test can pass other values.
"""

import os
from collections.abc import Callable, Mapping
from math import nan
from typing import Generic, Literal, TypeVar

from ...contracts.errors import MissingSettingError

SessionSource = Literal["options", "role"]
T = TypeVar("T")
ChoiceT = TypeVar("ChoiceT", bound=str)


class Setting(Generic[T]):
    """A setting: its variable, the function that reads its text, and the text if the variable is empty.
    `read` raises a `ValueError` that states the requirement.
    """

    def __init__(self, name: str, read: Callable[[str], T], default: str | None = None) -> None:
        self.name, self.read, self.default = name, read, default

    def __get__(self, settings: "Settings", _owner: type) -> T:
        text = settings.environ.get(self.name) or self.default
        if text is None:
            raise MissingSettingError(f"{self.name} is not set")
        try:
            return self.read(text)
        except ValueError as error:
            raise MissingSettingError(f"{self.name} is {text!r}, not {error}") from None


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a whole number")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a positive whole number")
    return int(text)


def _between(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = nan
        if not low <= number <= high:
            raise ValueError(f"between {low} and {high}")
        return number

    return read


def _names(text: str) -> tuple[str, ...]:
    """Read names that are separated by commas."""
    return tuple(filter(None, map(str.strip, text.split(","))))


def _one_of(*choices: ChoiceT) -> Callable[[str], ChoiceT]:
    def read(text: str) -> ChoiceT:
        for choice in choices:
            if text == choice:
                return choice
        raise ValueError(" or ".join(choices))

    return read


def _switch(*, off: str, on: str) -> Callable[[str], bool]:
    choice = _one_of(off, on)
    return lambda text: choice(text) == on


def _days(text: str) -> Mapping[str, int]:
    """Read pairs such as `content_archive=90`."""
    pairs = (pair.partition("=") for pair in _names(text))
    return {name: _natural(days) for name, _, days in pairs}


class Settings:
    """The settings of a function. A missing or invalid setting raises `MissingSettingError` with its name."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.environ = environ

    # Of the core.
    content_bucket = Setting("CONTENT_BUCKET", str)
    state_machine_arn = Setting("STATE_MACHINE_ARN", str)
    release_id = Setting("RELEASE", str, "unreleased")

    database_auth = Setting("DATABASE_AUTH", _one_of("secret", "iam"))
    """The authentication method: a password from a secret, or IAM."""

    database_secret_arn = Setting("DATABASE_SECRET_ARN", str)
    """The ARN of the secret with the keys host, port, dbname, username and password."""

    reader_secret_arn = Setting("READER_SECRET_ARN", str)
    """The ARN of the reader's secret, in the same format as `database_secret_arn`."""

    database_host = Setting("DATABASE_HOST", str)
    """The host name, for IAM authentication and the certificate check."""

    database_port = Setting("DATABASE_PORT", _positive)
    database_name = Setting("DATABASE_NAME", str)
    database_user = Setting("DATABASE_USER", str)
    reader_user = Setting("READER_USER", str)
    """The PostgreSQL roles for IAM authentication: the function's own, and the reader's."""

    writer_role = Setting("DATABASE_WRITER", str)
    reader_role = Setting("DATABASE_READER", str)
    """The PostgreSQL roles that a migration grants reading and writing, and reading."""

    database_session: Setting[SessionSource] = Setting("DATABASE_SESSION", _one_of("options", "role"))
    """The place of a session's timeouts: the connection options or, behind RDS Proxy, the role."""

    database_tls = Setting("DATABASE_TLS", _switch(off="disable", on="verify"))
    """Whether to use TLS with verification of certificate and host name; otherwise no TLS."""

    database_time_zone = Setting("DATABASE_TIME_ZONE", str, "UTC")
    """The zone of the timestamps in the product's tables, by its name in PostgreSQL."""

    batch_size = Setting("BATCH_SIZE", _positive)
    """Minimum concepts per full batch. A large roadmap gets larger batches."""

    max_concurrency = Setting("MAX_CONCURRENCY", _positive)
    """Maximum batches of a run that are generated at the same time."""

    # Of generation.
    generator = Setting("GENERATOR", str)
    generator_function = Setting("GENERATOR_FUNCTION", str)
    """The ARN of the function of the team that generates items."""

    model_region = Setting("MODEL_REGION", str)
    model_id = Setting("MODEL_ID", str)
    """The id of the model, or the id or ARN of an inference profile."""

    model_temperature = Setting(
        "MODEL_TEMPERATURE", lambda text: None if text == "none" else _between(0, 1)(text)
    )
    """Between 0 and 1; `none` for a model without this parameter."""

    model_max_output_tokens = Setting("MODEL_MAX_OUTPUT_TOKENS", _positive)
    model_output_burndown = Setting("MODEL_OUTPUT_BURNDOWN", _between(1, 100))
    """How often the model's quota counts a token of output."""

    model_timeout = Setting("MODEL_TIMEOUT", _positive)
    """Timeout of one model call, in seconds."""

    task_token_budget = Setting("TASK_TOKEN_BUDGET", _positive)
    """Maximum input and output tokens of a task in all its attempts."""

    known_token_budget = Setting("TASK_TOKEN_BUDGET", lambda text: _positive(text) if text else None, "")
    """`task_token_budget` for a function that only displays it; `None` if it is not set."""

    # Of what an operator may add.
    event_bus = Setting("EVENT_BUS", str, "")
    """The name or ARN of the EventBridge bus for events; empty: none is delivered."""

    cors_origins = Setting("CORS_ORIGINS", _names, "")
    """The origins of the pages that may call the API; none by default."""

    cors_headers = Setting("CORS_HEADERS", _names, "")
    """The request headers that these pages may send."""

    content_check_function = Setting("CONTENT_CHECK_FUNCTION", str, "")
    """The ARN of the function that checks contents before they are saved; empty: none."""

    content_check_seconds = Setting("CONTENT_CHECK_SECONDS", _positive)
    """The time limit of one call of this function."""

    checks_all_content = Setting("CONTENT_CHECK_SCOPE", _switch(off="generated", on="all"))
    """Whether content that the product staged is checked, too."""

    saves_unchecked_content = Setting("CONTENT_CHECK_FAILURE", _switch(off="wait", on="pass"))
    """Whether content is saved if the check fails; otherwise it waits for the next attempt."""

    automatic_attempts = Setting("AUTOMATIC_ATTEMPTS", _natural, "0")
    """The number of automatic attempts after an attempt that failed for transient reasons."""

    retention_days = Setting("RETENTION_DAYS", _days, "")
    """Changed days of `runs/reconciliation/retention.py`."""

    erasure_secret_arn = Setting("ERASURE_SECRET_ARN", str)
    """The ARN of the secret with the key of the register of erasures."""

    access_log_retention_days = Setting("ACCESS_LOG_RETENTION_DAYS", _positive)
    log_retention_days = Setting("LOG_RETENTION_DAYS", _positive)

    jwt_issuer = Setting("JWT_ISSUER", str)
    jwt_audiences = Setting("JWT_AUDIENCE", _names)
    jwt_jwks_url = Setting("JWT_JWKS_URL", str, "")
    jwt_secret_arn = Setting("JWT_SECRET_ARN", str, "")
    operator_scope = Setting("OPERATOR_SCOPE", str, "")
    viewer_scope = Setting("VIEWER_SCOPE", str, "")
    operator_subjects = Setting("OPERATOR_SUBJECTS", _names, "")
    tenant_claim = Setting("TENANT_CLAIM", str, "")
    """Of the authorizer: see `AuthorizationSettings`."""
