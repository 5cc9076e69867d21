"""Roles are determined only by the scopes of a token."""

from dataclasses import replace

import pytest

from roadmap_content.authorization.roles import roles_of
from roadmap_content.authorization.settings import AuthorizationSettings

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


def test_a_scope_that_is_not_configured_grants_nothing() -> None:
    assert roles_of({"scope": "content:operate  content:view"}, SETTINGS) == ["owner"]
    assert roles_of({"scp": [""]}, SETTINGS) == ["owner"]
