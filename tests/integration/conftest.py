"""Fixtures of the integration tests."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fixtures import bucket_name, pipeline
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask, Reply, functions_with, request

__all__ = ["ask", "bucket_name", "operate", "pipeline", "send"]

Send = Callable[..., Reply]


@pytest.fixture
def ask(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Sends a request to the API's function for its path, on the test's own database."""
    function_for = functions_with(pipeline.services, monkeypatch)

    def call(method: str, path: str, query: Any = None, **who: Any) -> Reply:
        return request(function_for(path), method, f"/api/v1{path}", query, **who)

    return call


@pytest.fixture
def operate(ask: Ask) -> Send:
    """Sends a request as an operator, by default."""

    def call(method: str, path: str, body: object = None, query: Any = None, **who: Any) -> Reply:
        return ask(method, path, query, body=body, **(OPERATOR | who))

    return call


@pytest.fixture
def send(operate: Send) -> Send:
    """Sends a request about recoveries as an operator."""
    return lambda method, path, *rest, **more: operate(method, f"/recoveries{path}", *rest, **more)
