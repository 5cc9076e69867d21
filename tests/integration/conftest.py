"""Fixtures of the integration tests."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fixtures import bucket_name, pipeline
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask, Reply, request

__all__ = ["ask", "bucket_name", "pipeline", "send"]

Send = Callable[..., Reply]


@pytest.fixture
def ask(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Sends a request to the API's function for its path, on the test's own database."""
    functions = {
        name: importlib.import_module(f"functions.{name}.app") for name in ("task_api", "operator_api")
    }
    for function in functions.values():
        monkeypatch.setattr(function.api, "services", pipeline.services)

    def call(method: str, path: str, query: Any = None, **who: Any) -> Reply:
        operators = ("/recoveries", "/capacity", "/failures/", "/users/", "/erasures/")
        name = "operator_api" if path.startswith(operators) else "task_api"
        return request(functions[name], method, f"/api/v1{path}", query, **who)

    return call


@pytest.fixture
def send(ask: Ask) -> Send:
    """Sends a request about recoveries as an operator."""

    def call(method: str, path: str, body: object = None, query: Any = None, **who: Any) -> Reply:
        return ask(method, f"/recoveries{path}", query, body=body, **(OPERATOR | who))

    return call
