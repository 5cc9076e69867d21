"""Roles are determined only by the scopes of a token."""

from dataclasses import replace

import pytest

from roadmap_content.platform.authorization.authenticate import roles_of
from roadmap_content.platform.authorization.settings import AuthorizationSettings

SETTINGS = AuthorizationSettings("https://issuer.example", ("roadmap-content",), secret_arn="arn:secret")


@pytest.mark.parametrize(
    ("scopes", "roles"),
    [
        ({}, ["owner"]),
        ({"scope": "openid content:operate"}, ["owner", "operator"]),
        ({"scope": "content:view"}, ["owner", "viewer"]),
        ({"scp": ["content:view", "content:operate", 7]}, ["owner", "viewer", "operator"]),
        ({"scp": "content:view"}, ["owner", "viewer"]),
        ({"scope": "content:operate2 xcontent:operate"}, ["owner"]),
        ({"scope": {"content:operate": True}}, ["owner"]),
        ({"roles": "operator"}, ["owner"]),
    ],
)
def test_roles_follow_from_the_scopes(scopes: dict[str, object], roles: list[str]) -> None:
    settings = replace(SETTINGS, operator_scope="content:operate", viewer_scope="content:view")
    assert roles_of(scopes, settings) == roles


def test_a_listed_user_is_an_operator_without_a_scope() -> None:
    settings = AuthorizationSettings.from_environment(
        {
            "JWT_ISSUER": "none",
            "JWT_AUDIENCE": "api",
            "JWT_SECRET_ARN": "arn:secret",
            "OPERATOR_SCOPE": "content:operate",
            "OPERATOR_SUBJECTS": "u-1, u-2,",
        }
    )
    assert roles_of({"sub": "u-2"}, settings) == ["owner", "operator"]
    assert roles_of({"sub": "u-2", "scope": "content:operate"}, settings) == ["owner", "operator"]
    for sub in ("u-3", "", "u-1,", None):
        assert roles_of({"sub": sub}, settings) == ["owner"]


def test_a_scope_that_is_not_configured_grants_nothing() -> None:
    assert roles_of({"scope": "content:operate  content:view"}, SETTINGS) == ["owner"]
    assert roles_of({"scp": [""]}, SETTINGS) == ["owner"]
