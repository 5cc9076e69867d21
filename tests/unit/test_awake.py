"""Every function that a schedule keeps awake answers its event at once; it has how services are reached."""

import json
import re
import runpy
import socket
from collections.abc import Callable
from typing import Any

import pytest

from checks.template.endpoints import in_vpc
from local_stack.builds import REPOSITORY
from roadmap_content.platform.aws.awake import keeps_awake
from tests.support.templates import FUNCTIONS, STACK

KEPT = {
    each["CodeUri"]: each["Events"]["Awake"]["Properties"]["Input"]
    for each in FUNCTIONS.values()
    if "Awake" in each.get("Events", {})
}


def test_each_function_that_lambda_puts_to_sleep_is_invoked_every_day() -> None:
    scheduled = {
        name
        for name, each in FUNCTIONS.items()
        for event in each.get("Events", {}).values()
        if re.fullmatch(r"rate\((1 day|\d+ minutes?)\)", event["Properties"].get("Schedule", ""))
    }
    sleeping = {*in_vpc(STACK), *(name for name, each in FUNCTIONS.items() if "SnapStart" in each)}
    assert sleeping <= scheduled


@pytest.fixture(autouse=True)
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")


@pytest.mark.parametrize("function", KEPT)
def test_a_handler_answers_at_once_without_a_log_line_or_a_metric(
    function: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No service, no setting and no database is there."""
    handler = runpy.run_path(str(REPOSITORY / function / "app.py"))["handler"]
    assert handler(json.loads(KEPT[function]), None) == {}
    assert capsys.readouterr().out == ""


@keeps_awake
def refuse(_event: dict[str, Any], _context: Any) -> dict[str, Any]:
    raise AssertionError


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Callable[[socket.socket], str]:
    def ask(server: socket.socket) -> str:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        answer = refuse({"keep_awake": True, "services": ["stepfunctions"]}, None)
        return str(answer["stepfunctions"])

    return ask


def test_a_service_that_accepts_a_connection_is_reached(reach: Callable[[socket.socket], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert reach(server) == "reached"
    assert reach(server_that_is_gone()).startswith("ConnectionRefusedError")


def server_that_is_gone() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()
    return type("Gone", (), {"getsockname": lambda _: port})()
