"""Fixtures of the integration tests."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.support.fixtures import bucket_name, pipeline
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Reply, request

__all__ = ["bucket_name", "pipeline", "recovery_api", "send"]

Send = Callable[..., Reply]


@pytest.fixture
def recovery_api(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The function, on the test's own database."""
    module = importlib.import_module("functions.recovery_api.app")
    monkeypatch.setattr(module, "services", pipeline.services)
    return module


@pytest.fixture
def send(recovery_api: ModuleType) -> Send:
    """Sends a request as an operator."""

    def call(method: str, path: str, body: object = None, query: Any = None, **who: Any) -> Reply:
        who = {"user_id": "op", "roles": "owner,operator"} | who
        return request(recovery_api, method, f"/api/v1/recoveries{path}", query, body=body, **who)

    return call
