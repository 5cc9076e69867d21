"""The authorizer, called with API Gateway's event, with a JWKS server and Secrets Manager (moto)."""

import io
import json
import logging
import runpy
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from moto import mock_aws

from functions.authorize_request import app
from local_stack.tokens import sign_token
from roadmap_content.contracts.errors import InvalidPayloadError, MissingSettingError
from roadmap_content.platform.authorization import keys as key_sources
from roadmap_content.platform.authorization.authenticate import UnauthorizedError
from roadmap_content.platform.authorization.keys import KeysUnavailableError
from roadmap_content.platform.aws.secret import read_secret
from roadmap_content.platform.runtime.log import logger
from tests.support.http_server import HttpServer, Reply, Request
from tests.support.requests_to_api import Context
from tests.support.signing_keys import EC_KEY, OTHER_RSA_KEY, RSA_KEY

ROOT = Path(__file__).parents[2]
EVENT = json.loads((ROOT / "events/authorize_request.json").read_text())
ISSUER = "https://issuer.example"
AUDIENCE = "roadmap-api"
SECRET = "a secret of more than thirty-two bytes"

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def public_jwk(key: Key, key_id: str) -> dict[str, Any]:
    match key:
        case rsa.RSAPrivateKey():
            jwk = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        case _:
            jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**jwk, "kid": key_id, "use": "sig"}


class KeyServer:
    """An issuer's JWKS endpoint. Its response can be set, and its requests are counted."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.status = 200
        self.body = b""
        self.answers = threading.Event()
        self.answers.set()
        self.publish(rsa=RSA_KEY, ec=EC_KEY)

    def publish(self, **keys: Key) -> None:
        self.body = json.dumps({"keys": [public_jwk(key, key_id) for key_id, key in keys.items()]}).encode()

    def answer(self, _request: Request) -> Reply:
        self.requests += 1
        self.answers.wait(10)  # longer than any client timeout
        return Reply(self.status, self.body, {"Location": "/elsewhere"})


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    keys = KeyServer()
    with HttpServer(keys.answer) as server:
        keys.url = f"{server.url}/jwks.json"
        yield keys
        keys.answers.set()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A new execution environment without settings of the authorizer."""
    for name in ("JWT_ISSUER", "JWT_AUDIENCE", "JWT_JWKS_URL", "JWT_SECRET_ARN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    key_sources.key_source.cache_clear()
    yield monkeypatch
    key_sources.key_source.cache_clear()


@pytest.fixture
def public_keys(environment: pytest.MonkeyPatch, key_server: KeyServer) -> KeyServer:
    environment.setenv("JWT_ISSUER", ISSUER)
    environment.setenv("JWT_AUDIENCE", AUDIENCE)
    environment.setenv("JWT_JWKS_URL", key_server.url)
    return key_server


@pytest.fixture
def shared_secret(environment: pytest.MonkeyPatch) -> Iterator[str]:
    with mock_aws():
        client = boto3.client("secretsmanager")
        arn = client.create_secret(Name="jwt", SecretString=SECRET)["ARN"]
        environment.setenv("JWT_ISSUER", ISSUER)
        environment.setenv("JWT_AUDIENCE", AUDIENCE)
        environment.setenv("JWT_SECRET_ARN", arn)
        yield arn


class Clock:
    """A clock that the test advances, and that a sleep advances."""

    def __init__(self) -> None:
        self.passed = self.slept = 0.0
        self._real = time.monotonic

    def __call__(self) -> float:
        return self._real() + self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    monkeypatch.setattr(time, "sleep", clock.sleep)
    return clock


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that were read from Secrets Manager, in their order."""
    read: list[str] = []

    def counted(arn: str, version: str = "AWSCURRENT") -> str:
        read.append(version)
        return read_secret(arn, version)

    monkeypatch.setattr(key_sources, "read_secret", counted)
    return read


class Logs:
    """The log output: the function's own lines, and the records of all libraries at INFO and above."""

    def __init__(self, stream: io.StringIO, caplog: pytest.LogCaptureFixture) -> None:
        self._stream = stream
        self._caplog = caplog

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]

    @property
    def text(self) -> str:
        return self._stream.getvalue() + self._caplog.text


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Logs:
    stream = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", stream)
    caplog.set_level(logging.INFO)
    return Logs(stream, caplog)


def claims(**changes: object) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "exp": now + 600, **changes}


def rsa_token(key_id: str = "rsa", key: rsa.RSAPrivateKey = RSA_KEY, **changes: object) -> str:
    return jwt.encode(claims(**changes), key, "RS256", headers={"kid": key_id})


def ec_token() -> str:
    return jwt.encode(claims(), EC_KEY, "ES256", headers={"kid": "ec"})


def shared_token(secret: str = SECRET) -> str:
    return sign_token(secret, user_id="user-1", issuer=ISSUER, audience=AUDIENCE)


def call(authorization: str) -> dict[str, Any]:
    return app.handler({**EVENT, "authorizationToken": authorization}, Context())


def assert_allowed(token: str) -> None:
    answer = call(f"Bearer {token}")
    assert answer["principalId"] == "user-1"
    context = answer["context"]
    assert (context["user_id"], context["roles"]) == ("user-1", "owner")
    assert context.keys() == {"user_id", "roles"}
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"
    assert statement["Resource"] == "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod/*"


def assert_unauthorized(token: str, reason: str, logs: Logs) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        call(f"Bearer {token}")
    assert str(refused.value) == "Unauthorized", "API Gateway answers 401 only for this message"
    assert (logs.last["level"], logs.last["message"], logs.last["reason"]) == (
        "WARNING",
        "request_refused",
        reason,
    )
    assert_no_secret_logged(token, logs)


def assert_server_error(token: str, setting: str, logs: Logs) -> None:
    """The request is refused with an error other than `Unauthorized`, so API Gateway answers 500."""
    with pytest.raises((KeysUnavailableError, MissingSettingError)) as refused:
        call(f"Bearer {token}")
    assert str(refused.value) != "Unauthorized"
    assert (logs.last["level"], logs.last["message"]) == ("ERROR", "request_not_judged")
    assert logs.last["error_code"] == refused.value.code
    assert setting in logs.last["reason"]
    assert_no_secret_logged(token, logs)


def assert_no_secret_logged(token: str, logs: Logs) -> None:
    """No part of the token or of the secret is logged."""
    for part in filter(None, token.split(".")):
        assert part not in logs.text
    assert SECRET not in logs.text


def test_valid_tokens_of_the_issuer_are_allowed_and_its_keys_are_fetched_once(public_keys: KeyServer) -> None:
    for _ in range(3):
        assert_allowed(rsa_token())
        assert_allowed(ec_token())
    assert public_keys.requests == 1


@pytest.mark.parametrize(
    ("claim", "tenant"),
    [("acme", "acme"), ("", None), (" ", None), (7, None), (["acme"], None), (None, None)],
)
def test_the_tenant_is_the_text_of_the_configured_claim(
    shared_secret: str, monkeypatch: pytest.MonkeyPatch, claim: object, tenant: str | None
) -> None:
    token = jwt.encode(claims(org=claim), SECRET, "HS256")
    assert "tenant" not in call(f"Bearer {token}")["context"]
    monkeypatch.setenv("TENANT_CLAIM", "org")
    assert call(f"Bearer {token}")["context"].get("tenant") == tenant


def test_a_tenant_that_postgresql_cannot_store_is_refused(
    shared_secret: str, monkeypatch: pytest.MonkeyPatch, logs: Logs
) -> None:
    monkeypatch.setenv("TENANT_CLAIM", "org")
    assert_unauthorized(jwt.encode(claims(org="a\0b"), SECRET, "HS256"), "UnusableTenant", logs)


@pytest.mark.parametrize(
    "event", [{}, {"authorizationToken": None}, {"authorizationToken": ""}, {"headers": {}}]
)
def test_a_request_without_a_token_is_refused(shared_secret: str, event: Mapping[str, Any]) -> None:
    with pytest.raises(UnauthorizedError):
        app.handler({"type": "TOKEN", "methodArn": EVENT["methodArn"], **event}, Context())


def test_a_valid_token_without_a_method_arn_is_refused(shared_secret: str) -> None:
    with pytest.raises(InvalidPayloadError):
        app.handler({"authorizationToken": f"Bearer {shared_token()}"}, Context())


def test_a_token_of_a_shared_secret_is_refused_without_a_fetch_where_public_keys_are_configured(
    public_keys: KeyServer, logs: Logs
) -> None:
    assert_unauthorized(shared_token(), "AlgorithmNotAllowed", logs)
    assert public_keys.requests == 0


def test_unknown_key_ids_do_not_cause_repeated_fetches(
    public_keys: KeyServer, clock: Clock, logs: Logs
) -> None:
    for number in range(20):
        assert_unauthorized(rsa_token(f"unknown-{number}"), "UnknownKey", logs)
    assert public_keys.requests == 1
    clock.passed += key_sources.REFETCH_SECONDS + 1
    for number in range(20):
        assert_unauthorized(rsa_token(f"unknown-{number}"), "UnknownKey", logs)
    assert public_keys.requests == 2


def test_a_token_without_a_key_id_causes_no_fetch(public_keys: KeyServer, logs: Logs) -> None:
    assert_unauthorized(jwt.encode(claims(), RSA_KEY, "RS256"), "UnknownKey", logs)
    assert public_keys.requests == 0


def test_a_rotated_key_is_found(public_keys: KeyServer, clock: Clock, logs: Logs) -> None:
    assert_allowed(rsa_token())
    public_keys.publish(rsa=RSA_KEY, successor=OTHER_RSA_KEY)
    assert_unauthorized(rsa_token("successor", OTHER_RSA_KEY), "UnknownKey", logs)
    clock.passed += key_sources.REFETCH_SECONDS + 1
    assert_allowed(rsa_token("successor", OTHER_RSA_KEY))
    assert_allowed(rsa_token())
    assert public_keys.requests == 2


def test_a_revoked_key_is_refused_after_the_cache_lifetime(
    public_keys: KeyServer, clock: Clock, logs: Logs
) -> None:
    assert_allowed(rsa_token())
    public_keys.publish(ec=EC_KEY)
    clock.passed += key_sources.LIFETIME_SECONDS + 1
    assert_unauthorized(rsa_token(), "UnknownKey", logs)
    assert_allowed(ec_token())


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, "JWT_JWKS_URL"),
        ({"JWT_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:jwt"}, "JWT_SECRET_ARN"),
    ],
    ids=["issuer", "Secrets Manager"],
)
def test_an_unreachable_source_of_keys_is_a_server_error(
    environment: pytest.MonkeyPatch, logs: Logs, more: dict[str, str], named: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "JWT_ISSUER": url,
        "JWT_AUDIENCE": AUDIENCE,
        **more,
    }.items():
        environment.setenv(name, value)
    assert_server_error(shared_token() if more else rsa_token(), named, logs)


@pytest.mark.slow
def test_an_issuer_that_hangs_is_not_called_at_every_request(
    public_keys: KeyServer, clock: Clock, logs: Logs
) -> None:
    public_keys.answers.clear()
    for _ in range(5):
        assert_server_error(rsa_token(), "JWT_JWKS_URL", logs)
    assert public_keys.requests == 1, "an issuer that hangs is called once per interval, not at every request"
    public_keys.answers.set()
    clock.passed += key_sources.REFETCH_SECONDS + 1
    assert_allowed(rsa_token())


def test_the_last_keys_are_used_while_the_issuer_is_down_for_an_hour(
    public_keys: KeyServer, clock: Clock, logs: Logs
) -> None:
    assert_allowed(rsa_token())
    public_keys.status = 503
    clock.passed += key_sources.REFETCH_SECONDS + 1
    assert_server_error(rsa_token("unknown"), "JWT_JWKS_URL", logs)
    assert_allowed(rsa_token())
    clock.passed += key_sources.LIFETIME_SECONDS
    assert_allowed(rsa_token())
    assert_server_error(rsa_token("unknown"), "JWT_JWKS_URL", logs)
    clock.passed += key_sources.KEPT_SECONDS
    assert_server_error(rsa_token(), "JWT_JWKS_URL", logs)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(302, b"", id="redirect"),
        pytest.param(404, b"{}", id="not found"),
        pytest.param(500, b"", id="error"),
        pytest.param(200, b"", id="empty"),
        pytest.param(200, b"<html>", id="not json"),
        pytest.param(200, b"\xff\xfe\xfa", id="not text"),
        pytest.param(200, b"[" * 100_000, id="deep"),
        pytest.param(200, b"[]", id="list"),
        pytest.param(200, b"{}", id="no keys"),
        pytest.param(200, b'{"keys": []}', id="empty keys"),
        pytest.param(200, b'{"keys": {"a": 1}}', id="keys not a list"),
        pytest.param(200, b'{"keys": [{"kty": "oct"}]}', id="key without its part"),
        pytest.param(200, b'{"keys": [{"kty": "RSA", "alg": ["RS256"]}]}', id="algorithm not a text"),
        pytest.param(200, b'{"keys": [{"kty": "RSA", "n": "AQ", "kid": "rsa"}]}', id="no usable key"),
    ],
)
def test_an_invalid_key_set_is_a_server_error(
    public_keys: KeyServer, status: int, body: bytes, logs: Logs
) -> None:
    public_keys.status, public_keys.body = status, body
    assert_server_error(rsa_token(), "JWT_JWKS_URL", logs)
    assert public_keys.requests == 1, "redirects are not followed"


def test_a_secret_among_the_public_keys_is_not_used(public_keys: KeyServer, logs: Logs) -> None:
    shared = {"kty": "oct", "kid": "rsa", "k": jwt.utils.base64url_encode(SECRET.encode()).decode()}
    public_keys.body = json.dumps({"keys": [shared]}).encode()
    token = jwt.encode(claims(), SECRET, "HS256", headers={"kid": "rsa"})
    assert_unauthorized(token, "AlgorithmNotAllowed", logs)
    assert_unauthorized(rsa_token(), "InvalidAlgorithm", logs)


def test_a_rotated_secret_refuses_no_token(shared_secret: str, clock: Clock, logs: Logs) -> None:
    """The issuer signs with either version for a while; a new one is read as soon as a token needs it."""
    assert_allowed(shared_token())
    successor = SECRET.upper()
    rotate(shared_secret, successor)
    clock.passed += key_sources.REREAD_SECONDS
    for _ in range(2):
        assert_allowed(shared_token(successor))
        assert_allowed(shared_token())
        clock.passed += key_sources.LIFETIME_SECONDS + 1
    assert SECRET not in logs.text
    assert successor not in logs.text


def test_a_secret_that_was_rotated_twice_is_refused(shared_secret: str, clock: Clock, logs: Logs) -> None:
    assert_allowed(shared_token())
    for successor in ("1" * 32, "2" * 32):
        rotate(shared_secret, successor)
    assert_allowed(shared_token())
    clock.passed += key_sources.LIFETIME_SECONDS + 1
    assert_unauthorized(shared_token(), "InvalidSignature", logs)
    assert_allowed(shared_token("1" * 32))


def test_wrong_signatures_wait_for_nothing_and_cause_a_read_a_second_at_most(
    shared_secret: str, clock: Clock, logs: Logs, reads: list[str]
) -> None:
    for second in range(1, 4):
        for _ in range(20):
            assert_unauthorized(shared_token("3" * 32), "InvalidSignature", logs)
        assert reads == ["AWSCURRENT", "AWSPREVIOUS"] * second
        clock.passed += key_sources.REREAD_SECONDS
    assert clock.slept == 0


@pytest.mark.parametrize(("exists", "versions"), [(False, 1), (True, 2)], ids=["deleted", "without text"])
def test_an_unreadable_secret_is_tried_once_a_second_at_most(
    shared_secret: str, clock: Clock, logs: Logs, reads: list[str], exists: bool, versions: int
) -> None:
    client = boto3.client("secretsmanager")
    if exists:
        client.put_secret_value(SecretId=shared_secret, SecretBinary=b"no text")
    else:
        client.delete_secret(SecretId=shared_secret, ForceDeleteWithoutRecovery=True)
    for second in range(1, 4):
        for _ in range(5):
            assert_server_error(shared_token(), "JWT_SECRET_ARN", logs)
        assert len(reads) == versions * second
        clock.passed += key_sources.REREAD_SECONDS
    assert clock.slept == 0


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_only_a_missing_previous_version_counts_as_none(
    shared_secret: str, environment: pytest.MonkeyPatch, logs: Logs, code: str
) -> None:
    def answer(request: Request) -> Reply:
        if b"AWSPREVIOUS" in request.body:
            return Reply(400, json.dumps({"__type": code}).encode())
        return Reply(200, json.dumps({"SecretString": SECRET}).encode())

    with HttpServer(answer) as server:
        environment.setenv("AWS_ENDPOINT_URL", server.url)
        if code == "ResourceNotFoundException":
            assert_allowed(shared_token())
        else:
            assert_server_error(shared_token(), code, logs)


def rotate(arn: str, successor: str) -> None:
    boto3.client("secretsmanager").put_secret_value(SecretId=arn, SecretString=successor)


def test_a_deleted_secret_is_a_server_error(shared_secret: str, clock: Clock, logs: Logs) -> None:
    assert_allowed(shared_token())
    boto3.client("secretsmanager").delete_secret(SecretId=shared_secret, ForceDeleteWithoutRecovery=True)
    assert_allowed(shared_token())
    clock.passed += key_sources.LIFETIME_SECONDS + 1
    assert_server_error(shared_token(), "JWT_SECRET_ARN", logs)


def test_without_settings_every_request_is_refused(logs: Logs) -> None:
    assert_server_error(shared_token(), "JWT_ISSUER", logs)
    assert_server_error(rsa_token(), "JWT_ISSUER", logs)
    assert_server_error("", "JWT_ISSUER", logs)


def test_the_event_is_not_logged_even_if_the_environment_enables_it(
    shared_secret: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("POWERTOOLS_LOGGER_LOG_EVENT", "true")
    environment.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    environment.setenv("POWERTOOLS_SERVICE_NAME", "a logger of its own")
    loaded = runpy.run_path(str(ROOT / "functions/authorize_request/app.py"))
    stream = io.StringIO()
    loaded["logger"].registered_handler.stream = stream
    token = shared_token()
    loaded["handler"]({**EVENT, "authorizationToken": f"Bearer {token}"}, Context())
    with pytest.raises(UnauthorizedError):
        loaded["handler"]({**EVENT, "authorizationToken": f"Bearer {token}x"}, Context())
    assert "request_refused" in stream.getvalue()
    assert token.rsplit(".", 1)[-1] not in stream.getvalue()


@pytest.mark.usefixtures("public_keys", "logs")
@pytest.mark.parametrize(
    ("authorization", "counted"),
    [
        (f"Bearer {rsa_token(aud='another')}", True),
        (f"Bearer {rsa_token(iss='https://another.example')}", True),
        (f"Bearer {rsa_token(key=OTHER_RSA_KEY)}", True),
        (f"Bearer {rsa_token(exp=1)}", False),
        ("Bearer a.b.c", False),
        ("Basic x", False),
    ],
    ids=["audience", "issuer", "key", "expired", "scanner", "no token"],
)
def test_a_refusal_that_may_be_our_fault_is_counted(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], authorization: str, counted: bool
) -> None:
    """Also at the log level at which the line of the refusal is not written."""
    environment.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    with pytest.raises(UnauthorizedError):
        call(authorization)
    assert ("ApiUnauthorized" in capsys.readouterr().out) is counted
