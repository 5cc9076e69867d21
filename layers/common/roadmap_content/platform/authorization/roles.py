"""Roles: the permissions that follow from the scopes and the user of a verified token. Pure."""

from collections.abc import Mapping
from typing import Any

from .settings import AuthorizationSettings


def roles_of(claims: Mapping[str, Any], settings: AuthorizationSettings) -> list[str]:
    """The roles of a token's user: always `owner` (of their own tasks), and others according to `scope` or
    `scp`.

    `scope` is a string of names separated by spaces (RFC 8693); `scp` is a list of names or such a string. A
    claim of another type grants no role. The users of `operator_subjects` are operators without a scope.
    """
    granted: set[str] = set()
    for name in ("scope", "scp"):
        match claims.get(name):
            case str(text):
                granted.update(text.split())
            case list(names):
                granted.update(one for one in names if isinstance(one, str))
    roles = ["owner"]
    for role, scope in (("viewer", settings.viewer_scope), ("operator", settings.operator_scope)):
        if scope and scope in granted:
            roles.append(role)
    if claims.get("sub") in settings.operator_subjects and "operator" not in roles:
        roles.append("operator")
    return roles
