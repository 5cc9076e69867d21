"""An external failure is one line on stderr and its exit code. A defect keeps its traceback."""

import subprocess

import pytest
from botocore.exceptions import EndpointConnectionError, NoRegionError
from sqlalchemy import make_url
from sqlalchemy.exc import InterfaceError

from local_stack.errors import RefusedError
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
        (NoRegionError(), 2, "You must specify a region"),
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


def test_a_malformed_database_url_is_wrong_usage() -> None:
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        make_url("nonsense")
    assert exit_.value.code == 2


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), errors_in_one_line():
        raise KeyError("defect")
