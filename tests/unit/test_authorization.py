"""Verification of tokens, settings of the authorizer, and its policy, without a network."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from roadmap_content.contracts.errors import InvalidPayloadError, MissingSettingError
from roadmap_content.platform.authorization.authenticate import (
    CLOCK_SKEW_SECONDS,
    LATEST_EXPIRY,
    MAX_TOKEN_LENGTH,
    Identity,
    UnauthorizedError,
    allow,
    bearer_token,
    verify,
)
from roadmap_content.platform.authorization.keys import (
    IssuerKeys,
    KeySource,
    KeysUnavailableError,
    SharedSecret,
    key_source,
)
from roadmap_content.platform.authorization.settings import AuthorizationSettings
from tests.support.signing_keys import EC_KEY, RSA_KEY
from tests.support.signing_keys import OTHER_RSA_KEY as STRANGER

ISSUER = "https://issuer.example"
AUDIENCE = "roadmap-api"
SETTINGS = AuthorizationSettings(ISSUER, (AUDIENCE,))
SECRET = "a secret of more than thirty-two bytes"
RSA_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True)
class GivenKeys:
    """A key source with given keys."""

    algorithms: tuple[str, ...]
    by_id: Mapping[str | None, jwt.PyJWK | str]

    def keys_for(self, header: Mapping[str, Any]) -> Iterator[jwt.PyJWK | str]:
        if key := self.by_id.get(header.get("kid")):
            yield key


RSA_JWK = jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY.public_key(), as_dict=True)
EC_JWK = jwt.algorithms.ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True)
PUBLIC = GivenKeys(
    IssuerKeys.algorithms,
    {"rsa": jwt.PyJWK({**RSA_JWK, "kid": "rsa"}), "ec": jwt.PyJWK({**EC_JWK, "kid": "ec"})},
)
SHARED = GivenKeys(SharedSecret.algorithms, {None: SECRET, "rsa": SECRET})


def claims(**changes: object) -> dict[str, Any]:
    """The claims of a valid token. A change to `None` removes the claim."""
    now = int(time.time())
    valid = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "nbf": now, "exp": now + 600}
    return {name: value for name, value in {**valid, **changes}.items() if value is not None}


def signed(kind: str, payload: Mapping[str, Any], **header: object) -> str:
    """A token signed with the algorithm of its key."""
    match kind:
        case "RS256":
            return jwt.encode(dict(payload), RSA_KEY, "RS256", headers={"kid": "rsa", **header})
        case "ES256":
            return jwt.encode(dict(payload), EC_KEY, "ES256", headers={"kid": "ec", **header})
    return jwt.encode(dict(payload), SECRET, "HS256", headers=header)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def forged(header: object, payload: object, secret: bytes | None) -> str:
    """A token of an attacker: any header, signed with HMAC or unsigned."""
    signing_input = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(payload).encode())}"
    signature = hmac.digest(secret, signing_input.encode(), hashlib.sha256) if secret is not None else b""
    return f"{signing_input}.{encoded(signature)}"


def refusal(token: str, keys: KeySource) -> str:
    with pytest.raises(UnauthorizedError, match=r"^Unauthorized$") as refused:
        verify(token, keys, SETTINGS)
    return refused.value.reason


KINDS = pytest.mark.parametrize(
    ("kind", "keys"),
    [
        pytest.param("RS256", PUBLIC, id="RS256"),
        pytest.param("ES256", PUBLIC, id="ES256"),
        pytest.param("HS256", SHARED, id="HS256"),
    ],
)


@KINDS
def test_a_valid_token_returns_its_subject(kind: str, keys: KeySource) -> None:
    assert verify(signed(kind, claims()), keys, SETTINGS)["sub"] == "user-1"
    assert verify(signed(kind, claims(nbf=None, iat=None)), keys, SETTINGS)["sub"] == "user-1"
    assert verify(signed(kind, claims(aud=["another", AUDIENCE])), keys, SETTINGS)["sub"] == "user-1"


def from_now(seconds: int) -> int:
    return int(time.time()) + seconds


def claim_or_reason(value: dict[str, object] | str) -> str:
    """The id of a test case without the claim's value, which may contain the time."""
    return value if isinstance(value, str) else next(iter(value))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": from_now(-CLOCK_SKEW_SECONDS - 1)}, "ExpiredSignature"),
        ({"exp": True}, "ExpiredSignature"),
        ({"exp": "soon"}, "Decode"),
        ({"exp": float("inf")}, "Decode"),
        ({"exp": None}, "MissingRequiredClaim"),
        ({"exp": from_now(600) * 1_000}, "UnusableExpiry"),  # in milliseconds
        ({"exp": LATEST_EXPIRY + 1}, "UnusableExpiry"),
        ({"exp": 10**30}, "UnusableExpiry"),
        ({"nbf": from_now(600)}, "ImmatureSignature"),
        ({"nbf": float("nan")}, "Decode"),
        ({"iat": from_now(600)}, "ImmatureSignature"),
        ({"aud": "another"}, "InvalidAudience"),
        ({"aud": ["another", "a third"]}, "InvalidAudience"),
        ({"aud": {AUDIENCE: True}}, "InvalidAudience"),
        ({"aud": ""}, "MissingRequiredClaim"),
        ({"aud": None}, "MissingRequiredClaim"),
        ({"iss": f"{ISSUER}/"}, "InvalidIssuer"),
        ({"iss": "https://another.example"}, "InvalidIssuer"),
        ({"iss": None}, "MissingRequiredClaim"),
        ({"sub": None}, "MissingRequiredClaim"),
        ({"sub": 7}, "InvalidSubject"),
        ({"sub": ["user-1"]}, "InvalidSubject"),
        ({"sub": ""}, "UnusableSubject"),
        ({"sub": " \t"}, "UnusableSubject"),
        ({"sub": "user\x00"}, "UnusableSubject"),
        ({"sub": "user\ud800"}, "UnusableSubject"),
    ],
    ids=claim_or_reason,
)
def test_a_well_signed_token_with_wrong_claims_is_refused(changes: dict[str, object], reason: str) -> None:
    for kind, keys in (("RS256", PUBLIC), ("ES256", PUBLIC), ("HS256", SHARED)):
        assert refusal(signed(kind, claims(**changes)), keys) == reason


@KINDS
def test_a_small_clock_skew_is_accepted(kind: str, keys: KeySource) -> None:
    ahead = claims(iat=from_now(CLOCK_SKEW_SECONDS - 1), nbf=from_now(CLOCK_SKEW_SECONDS - 1))
    assert verify(signed(kind, ahead), keys, SETTINGS)["sub"] == "user-1"


@pytest.mark.parametrize("keys", [PUBLIC, SHARED], ids=["public", "shared"])
@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "nOnE", "", None, [], {}, ["HS256"], 7, "HS512", "PS256"]
)
def test_an_algorithm_of_another_key_type_is_refused(keys: KeySource, algorithm: object) -> None:
    for secret in (None, b"", SECRET.encode()):
        token = forged({"alg": algorithm, "typ": "JWT", "kid": "rsa"}, claims(), secret)
        assert refusal(token, keys) == "AlgorithmNotAllowed"


OF_A_STRANGER = jwt.encode(claims(), STRANGER, "RS256", headers={"kid": "rsa"})
CONFUSED = {"alg": "HS256", "typ": "JWT", "kid": "rsa"}


@pytest.mark.parametrize(
    ("token", "keys", "reason"),
    [
        pytest.param(
            forged({"kid": "rsa"}, claims(), SECRET.encode()), SHARED, "AlgorithmNotAllowed", id="no alg"
        ),
        pytest.param(forged(CONFUSED, claims(), RSA_PEM), PUBLIC, "AlgorithmNotAllowed", id="PEM as secret"),
        pytest.param(
            forged(CONFUSED, claims(), RSA_PEM.strip()),
            PUBLIC,
            "AlgorithmNotAllowed",
            id="stripped PEM as secret",
        ),
        pytest.param(
            forged(CONFUSED, claims(), json.dumps(RSA_JWK).encode()),
            PUBLIC,
            "AlgorithmNotAllowed",
            id="JWK as secret",
        ),
        pytest.param(signed("RS256", claims()), SHARED, "AlgorithmNotAllowed", id="RS256 for a secret"),
        pytest.param(signed("HS256", claims()), PUBLIC, "AlgorithmNotAllowed", id="HS256 for keys"),
        pytest.param(
            jwt.encode(claims(), RSA_KEY, "RS256", headers={"kid": "ec"}),
            PUBLIC,
            "InvalidAlgorithm",
            id="another key's algorithm",
        ),
        pytest.param(OF_A_STRANGER, PUBLIC, "InvalidSignature", id="another key of the same id"),
        pytest.param(
            jwt.encode(claims(), SECRET + "!", "HS256"), SHARED, "InvalidSignature", id="another secret"
        ),
        pytest.param(signed("RS256", claims(), kid="unknown"), PUBLIC, "UnknownKey", id="an unknown key"),
        pytest.param(signed("RS256", claims(), kid=""), PUBLIC, "UnknownKey", id="an empty key id"),
        pytest.param(jwt.encode(claims(), RSA_KEY, "RS256"), PUBLIC, "UnknownKey", id="no key id"),
        pytest.param(
            signed("RS256", claims(), crit=["exp"]), PUBLIC, "InvalidToken", id="a critical extension"
        ),
    ],
)
def test_a_token_that_the_issuer_did_not_sign_is_refused(token: str, keys: KeySource, reason: str) -> None:
    assert refusal(token, keys) == reason


def test_a_public_key_configured_as_the_shared_secret_is_refused() -> None:
    confused = forged({"alg": "HS256", "typ": "JWT"}, claims(), RSA_PEM)
    with pytest.raises(KeysUnavailableError, match="JWT_SECRET_ARN"):
        verify(confused, GivenKeys(("HS256",), {None: RSA_PEM.decode()}), SETTINGS)


def test_a_short_shared_secret_is_refused() -> None:
    weak = forged({"alg": "HS256", "typ": "JWT"}, claims(), b"too short")
    with pytest.raises(KeysUnavailableError, match="9 bytes") as refused:
        verify(weak, GivenKeys(("HS256",), {None: "too short"}), SETTINGS)
    assert "too short" not in str(refused.value)


def test_a_key_inside_the_token_is_ignored() -> None:
    brought = {**jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.public_key(), as_dict=True), "kid": "rsa"}
    header = {
        "kid": "rsa",
        "jwk": brought,
        "jku": "https://attacker.example/jwks",
        "x5u": "https://attacker.example",
    }
    assert refusal(jwt.encode(claims(), STRANGER, "RS256", headers=header), PUBLIC) == "InvalidSignature"
    token = signed("RS256", claims(), jwk=brought, jku="https://attacker.example")
    assert verify(token, PUBLIC, SETTINGS)["sub"] == "user-1"


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_the_token_is_read_after_the_bearer_scheme(scheme: str) -> None:
    assert bearer_token(f"{scheme}aaa.bbb.c-_") == "aaa.bbb.c-_"


@pytest.mark.parametrize(
    "header",
    [
        None,
        7,
        b"Bearer a.b.c",
        ["Bearer a.b.c"],
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "a.b.c",
        "Basic a.b.c",
        "Bearera.b.c",
        "Bearer\ta.b.c",
        "Bearer garbage",
        "Bearer a.b",
        "Bearer a.b.",
        f"Bearer {forged({'alg': 'none'}, {'sub': 'user-1'}, None)}",
        "Bearer .b.c",
        "Bearer a.b.c.d",
        "Bearer a.b.c, Bearer a.b.c",
        "Bearer a.b.c\n",
        "Bearer a.b.c ",
        "Bearer a.b.ü",
        "Bearer a.b.\ud800",
        "Bearer a.b.c=",
        "Bearer null",
        "Bearer undefined",
    ],
    ids=ascii,
)
def test_a_header_without_the_syntax_of_a_token_is_refused(header: object) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        bearer_token(header)
    assert refused.value.reason == "NoBearerToken"


def test_a_token_of_a_megabyte_is_refused_without_parsing() -> None:
    with pytest.raises(UnauthorizedError) as refused:
        bearer_token(f"Bearer {signed('HS256', claims(padding='x' * 1_000_000))}")
    assert refused.value.reason == "TokenTooLong"
    longest = f"Bearer a.b.{'c' * (MAX_TOKEN_LENGTH - len('Bearer a.b.'))}"
    assert bearer_token(longest) == longest.removeprefix("Bearer ")
    with pytest.raises(UnauthorizedError):
        bearer_token(f"{longest}c")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["RS256", "ES256", "HS256", "none"]) | JSON},
    optional={
        "kid": st.sampled_from(["rsa", "ec"]) | JSON,
        "crit": JSON,
        "b64": st.booleans() | JSON,
        "typ": JSON,
        "jwk": JSON,
    },
)
SIGNED_PARTS = st.tuples(
    HEADERS.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.binary(),
    JSON.map(lambda value: json.dumps(value).encode()) | st.binary(),
    st.binary(max_size=300),
)
AUTHORIZATIONS = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.text(st.characters(exclude_categories=())).map("Bearer {}".format),
    st.from_regex(r"[Bb]earer [\w-]*(\.[\w-]*){1,4}", fullmatch=True),
    SIGNED_PARTS.map(lambda parts: f"Bearer {'.'.join(encoded(part) for part in parts)}"),
)


@given(authorization=AUTHORIZATIONS, keys=st.sampled_from([PUBLIC, SHARED]))
def test_forged_tokens_are_always_refused(authorization: str, keys: GivenKeys) -> None:
    with pytest.raises(UnauthorizedError):
        verify(bearer_token(authorization), keys, SETTINGS)


@given(data=st.data())
@KINDS
def test_a_valid_token_with_one_character_changed_is_refused(
    kind: str, keys: KeySource, data: st.DataObject
) -> None:
    token = signed(kind, claims())
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != token[place]))
    with pytest.raises(UnauthorizedError):
        verify(bearer_token(f"Bearer {token[:place]}{other}{token[place + 1 :]}"), keys, SETTINGS)


ENVIRONMENT = {"JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE}


@pytest.mark.parametrize(
    ("given_too", "settings"),
    [
        ({}, AuthorizationSettings(ISSUER, (AUDIENCE,), jwks_url=f"{ISSUER}/.well-known/jwks.json")),
        (
            {"JWT_ISSUER": f"{ISSUER}/", "JWT_JWKS_URL": "", "JWT_SECRET_ARN": ""},
            AuthorizationSettings(f"{ISSUER}/", (AUDIENCE,), jwks_url=f"{ISSUER}/.well-known/jwks.json"),
        ),
        (
            {"JWT_JWKS_URL": "http://127.0.0.1:8080/jwks"},
            AuthorizationSettings(ISSUER, (AUDIENCE,), jwks_url="http://127.0.0.1:8080/jwks"),
        ),
        (
            {"JWT_ISSUER": "the local stack", "JWT_SECRET_ARN": "arn:secret"},
            AuthorizationSettings("the local stack", (AUDIENCE,), secret_arn="arn:secret"),
        ),
    ],
)
def test_exactly_one_key_source_is_configured(
    given_too: dict[str, str], settings: AuthorizationSettings
) -> None:
    assert AuthorizationSettings.from_environment({**ENVIRONMENT, **given_too}) == settings


def test_the_algorithms_follow_from_the_key_source() -> None:
    assert key_source(AuthorizationSettings(ISSUER, (AUDIENCE,), secret_arn="arn")).algorithms == ("HS256",)
    public = key_source(AuthorizationSettings(ISSUER, (AUDIENCE,), jwks_url=f"{ISSUER}/jwks"))
    assert public.algorithms == ("RS256", "ES256")
    with pytest.raises(KeysUnavailableError, match="JWT_JWKS_URL, JWT_SECRET_ARN"):
        key_source(AuthorizationSettings(ISSUER, (AUDIENCE,)))


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "^JWT_ISSUER is not set"),
        ({"JWT_ISSUER": "", "JWT_AUDIENCE": AUDIENCE, "JWT_SECRET_ARN": "arn"}, "^JWT_ISSUER is not set"),
        ({"JWT_ISSUER": ISSUER, "JWT_SECRET_ARN": "arn"}, "^JWT_AUDIENCE is not set"),
        (
            {**ENVIRONMENT, "JWT_JWKS_URL": ISSUER, "JWT_SECRET_ARN": "arn"},
            "^JWT_JWKS_URL, JWT_SECRET_ARN: both",
        ),
        ({**ENVIRONMENT, "JWT_ISSUER": "the local stack"}, "^JWT_JWKS_URL: .* not an https URL"),
    ],
)
def test_incomplete_settings_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(MissingSettingError, match=message):
        AuthorizationSettings.from_environment(environ)


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks",
        "http://127.0.0.1@issuer.example/jwks",
        "http://127.0.0.1.issuer.example/jwks",
        "http://localhost/jwks",
        "file:///etc/jwks",
        "ftp://127.0.0.1/jwks",
        "data:application/json,{}",
        "https:///jwks",
        "https://[/jwks",
        "issuer.example",
    ],
)
def test_keys_are_not_fetched_over_an_insecure_connection(url: str) -> None:
    with pytest.raises(MissingSettingError, match="JWT_JWKS_URL"):
        AuthorizationSettings.from_environment({**ENVIRONMENT, "JWT_JWKS_URL": url})


USER = Identity("user-1", ["owner"], "2030-01-01T00:00:00Z")
STAGE = "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/prod"


@pytest.mark.parametrize(
    "method",
    ["GET/api/v1/tasks/task-1", "POST/api/v1/tasks/prompt:c-1/retry", "GET/", "GET/a/b\nc", "GET/*"],
)
def test_the_policy_allows_exactly_the_whole_stage(method: str) -> None:
    answer = allow(USER, f"{STAGE}/{method}")
    assert answer == {
        "principalId": "user-1",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{STAGE}/*"},
            ],
        },
        "context": USER.context,
    }


@pytest.mark.parametrize(
    "method_arn",
    [
        None,
        "",
        "*",
        STAGE,
        "arn:aws:execute-api:eu-central-1:123456789012:*/prod/GET/",
        f"{STAGE}*/GET/",
        "arn:aws:s3:::a/b/c",
    ],
)
def test_an_invalid_method_arn_is_refused(method_arn: object) -> None:
    with pytest.raises(InvalidPayloadError, match="methodArn"):
        allow(USER, method_arn)


PRODUCT = AuthorizationSettings(None, ("api", "learning-app"), secret_arn="arn")
"""Tokens of the product: a shared secret, no issuer, and a list of audiences."""


@pytest.mark.parametrize("audience", ["api", ["learning-app"], ["another", "api"]])
def test_a_token_without_an_issuer_is_accepted_where_tokens_have_none(audience: object) -> None:
    token = signed("HS256", claims(iss=None, aud=audience))
    assert verify(token, SHARED, PRODUCT)["sub"] == "user-1"
    with pytest.raises(UnauthorizedError):
        verify(signed("HS256", claims(iss=None, aud=audience, exp=None)), SHARED, PRODUCT)


def test_tokens_without_an_issuer_need_a_shared_secret() -> None:
    environ = {"JWT_ISSUER": "none", "JWT_AUDIENCE": "api, learning-app", "JWT_SECRET_ARN": "arn"}
    assert AuthorizationSettings.from_environment(environ) == PRODUCT
    with pytest.raises(MissingSettingError, match=r"^JWT_ISSUER: .none. needs JWT_SECRET_ARN"):
        AuthorizationSettings.from_environment({"JWT_ISSUER": "none", "JWT_AUDIENCE": "api"})
    with pytest.raises(MissingSettingError, match=r"^JWT_AUDIENCE"):
        AuthorizationSettings.from_environment(environ | {"JWT_AUDIENCE": " , "})
