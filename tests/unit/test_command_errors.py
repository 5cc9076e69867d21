"""An external failure is one line on stderr, with its exit code. A defect keeps its traceback."""

import subprocess

import pytest
from botocore.exceptions import EndpointConnectionError, NoRegionError
from pg8000.dbapi import ProgrammingError as DriverError
from sqlalchemy.exc import InterfaceError, ProgrammingError

from local_stack.errors import RefusedError
from local_stack.given_database import given_server
from local_stack.postgres_server import ServerError
from roadmap_command.interface import errors_in_one_line
from roadmap_content.errors import DatabaseUnavailableError


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RefusedError("409: an attempt is running"), 2, "an attempt is running"),
        (DatabaseUnavailableError("no answer"), 3, "no answer"),
        (ServerError("initdb: no space left\nsecond line"), 3, "no space left"),
        (InterfaceError("SELECT 1", {}, OSError("refused\nBackground")), 3, "refused"),
        (OSError(28, "No space left on device", "/data"), 3, "No space left on device: '/data'"),
        (subprocess.CalledProcessError(1, ["pip", "install"]), 3, "pip"),
        (NoRegionError(), 2, "You must specify a region. Set AWS_DEFAULT_REGION."),
        (EndpointConnectionError(endpoint_url="https://states"), 3, "https://states"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_one_line_and_a_code(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        raise error
    assert exit_.value.code == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("nonsense", "is not a URL"),
        ("postgresql://db.example.com/roadmap", "names no user"),
        ("postgresql:///roadmap", "names no host"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_wrong_usage(
    url: str, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        given_server()
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in line


def test_an_error_of_postgresql_is_its_message_and_not_the_driver_s_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fields = {"S": "ERROR", "C": "3D000", "M": 'database "nodb" does not exist', "F": "postinit.c", "L": "1"}
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        raise ProgrammingError("SELECT 1", {}, DriverError(fields))
    assert exit_.value.code == 3
    assert capsys.readouterr().err == 'PostgreSQL: database "nodb" does not exist\n'


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), errors_in_one_line():
        raise KeyError("defect")
