"""The behaviour of the commands while the API refuses requests at its limit, or does not respond."""

from typing import Any

import pytest
from typer.testing import CliRunner

from local_stack.errors import RefusedError
from roadmap_command import asking
from roadmap_command.asking import ask
from roadmap_command.commands import recoveries
from roadmap_command.main import app
from roadmap_command.target import Target
from roadmap_content.api.client import ApiUnavailableError, HttpAnswer

TOO_MANY = HttpAnswer(429, {"message": "Too Many Requests"})
DOWN = HttpAnswer(503, {"message": "Service Unavailable"})
OK = HttpAnswer(200, {"status": "completed"})
LOST = ApiUnavailableError("connection reset")


class Api:
    """Answers with each response in turn; the last one is repeated."""

    def __init__(self, *answers: HttpAnswer | BaseException) -> None:
        self._answers = list(answers)
        self.requests: list[str] = []

    def send(self, method: str, path: str, *_: Any, **__: Any) -> HttpAnswer:
        self.requests.append(f"{method} {path}")
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between requests, on a clock that only they advance."""
    paused: list[float] = []
    monkeypatch.setattr(asking, "sleep", paused.append)
    monkeypatch.setattr(asking, "monotonic", lambda: sum(paused))
    return paused


@pytest.mark.parametrize("refusal", [TOO_MANY, DOWN, LOST], ids=["429", "503", "no response"])
def test_a_request_that_reads_is_sent_again_with_growing_pauses(
    refusal: HttpAnswer | Exception, pauses: list[float]
) -> None:
    api = Api(refusal, refusal, refusal, OK)
    assert ask(api, "GET", "/tasks/t-1") == OK.body  # type: ignore[arg-type]
    assert len(api.requests) == 4
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_a_request_that_changes_data_is_sent_again_only_where_it_was_not_executed(
    pauses: list[float],
) -> None:
    assert ask(Api(TOO_MANY, OK), "POST", "/tasks/t-1/retry") == OK.body  # type: ignore[arg-type]
    for unknown in (DOWN, LOST):
        api = Api(unknown, OK)
        with pytest.raises(ApiUnavailableError):
            ask(api, "POST", "/tasks/t-1/retry")  # type: ignore[arg-type]
        assert len(api.requests) == 1


def test_an_api_that_stays_away_is_an_external_failure_in_the_end(pauses: list[float]) -> None:
    api = Api(TOO_MANY)
    with pytest.raises(ApiUnavailableError, match="429: Too Many Requests"):
        ask(api, "GET", "/tasks")  # type: ignore[arg-type]
    assert sum(pauses) <= asking.RESEND_SECONDS


def test_a_refused_request_is_not_sent_again(pauses: list[float]) -> None:
    api = Api(HttpAnswer(404, {"message": "there is no such task"}), OK)
    with pytest.raises(RefusedError, match="no such task"):
        ask(api, "GET", "/tasks/t-1")  # type: ignore[arg-type]
    assert (len(api.requests), pauses) == (1, [])


def recovery(**changed: Any) -> HttpAnswer:
    counts = dict.fromkeys(("total", "waiting", "running", "recovered", "failing", "refused"), 0)
    return HttpAnswer(
        200, {"recovery_id": "r-1", "state": "running", "ended_at": None, "counts": counts} | changed
    )


@pytest.mark.parametrize("ended", [LOST, KeyboardInterrupt()], ids=["no response", "Ctrl-C"])
def test_a_recovery_that_is_not_followed_to_its_end_says_that_it_continues(
    ended: HttpAnswer | BaseException, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(
        HttpAnswer(200, {"tasks": 1}),
        HttpAnswer(200, {"recovery_id": "r-1", "state": "running", "ended_at": None}),
        ended,
    )

    class There:
        def operator_api(self) -> Api:
            return api

    monkeypatch.setattr(Target, "named", lambda *_: There())
    monkeypatch.setattr(recoveries, "POLL_SECONDS", 0)
    monkeypatch.setattr(recoveries, "_preview", lambda _: "")
    monkeypatch.setattr(recoveries, "_progress", lambda _: "")
    result = CliRunner().invoke(app, ["heal", "--reason", "an outage", "--yes"])
    assert "continues without this command" in result.stderr
    assert "recoveries r-1" in result.stderr
    assert result.exit_code != 0
