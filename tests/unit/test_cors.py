"""The origins from which a browser may call the API."""

import pytest

from roadmap_content.api.cors import cors_headers, is_preflight, preflight, with_cors

ORIGINS = frozenset({"https://learn.example", "http://localhost:3000"})


def event(origin: str | None, method: str = "OPTIONS", name: str = "origin") -> dict[str, object]:
    return {"httpMethod": method, "headers": {} if origin is None else {name: origin}}


@pytest.mark.parametrize("name", ["origin", "Origin"])
def test_a_preflight_of_a_configured_origin_returns_the_allowed_origin_and_headers(name: str) -> None:
    asked = event("https://learn.example", name=name)
    assert is_preflight(asked)
    answer = preflight(asked, ORIGINS)
    assert answer["statusCode"] == 204
    assert answer["headers"]["Access-Control-Allow-Origin"] == "https://learn.example"
    assert "Authorization" in answer["headers"]["Access-Control-Allow-Headers"]
    assert "POST" in answer["headers"]["Access-Control-Allow-Methods"]
    assert answer["headers"]["Vary"] == "Origin"


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", ""])
def test_another_origin_gets_no_header(origin: str | None) -> None:
    assert preflight(event(origin), ORIGINS)["headers"] == {}
    assert cors_headers(event(origin), ORIGINS) == {}
    assert cors_headers(event("https://learn.example"), frozenset()) == {}


def test_the_calling_page_can_read_the_response() -> None:
    asked = event("http://localhost:3000", "POST")
    assert not is_preflight(asked)
    answer = with_cors({"statusCode": 409, "multiValueHeaders": {"Retry-After": ["5"]}}, asked, ORIGINS)
    assert answer["multiValueHeaders"] == {
        "Retry-After": ["5"],
        "Access-Control-Allow-Origin": ["http://localhost:3000"],
        "Vary": ["Origin"],
    }
    assert with_cors({"headers": None}, {"headers": None}, ORIGINS)["multiValueHeaders"] == {}
