"""Callers: the verified user with their roles and permissions. No I/O."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..contracts.api.filters import TaskFilter
from ..contracts.api.system import Identity
from ..contracts.errors import ForbiddenError
from ..contracts.states import Role


class Caller(NamedTuple):
    """The sender of a request."""

    user_id: str
    roles: frozenset[Role]
    tenant: str | None = None

    @property
    def sees_all(self) -> bool:
        """Whether the caller may read other users' tasks."""
        return bool(self.roles & {Role.VIEWER, Role.OPERATOR})

    @property
    def changes_all(self) -> bool:
        """Whether the caller may change other users' tasks."""
        return Role.OPERATOR in self.roles

    @property
    def actor(self) -> str:
        """The caller's name in the audit trail."""
        return f"{'operator' if self.changes_all else 'user'}:{self.user_id}"

    @property
    def queue_tenant(self) -> str | None:
        """The tenant that shares its capacity with the attempts that the caller starts. An operator also
        starts other users' attempts, which keep their share.
        """
        return None if self.changes_all else self.tenant

    @property
    def identity(self) -> Identity:
        """The answer of `GET /api/v1/me`."""
        return Identity(user_id=self.user_id, roles=sorted(self.roles))

    def may_change(self, user_id: str) -> bool:
        """Whether the caller may change the tasks of a user."""
        return self.changes_all or (Role.VIEWER not in self.roles and self.user_id == user_id)

    def reads_for(self, user_id: str | None) -> str | None:
        """The user whose tasks a request reads; `None` means all users.
        Raises ForbiddenError: the request names another user, and the caller has no scope for that.
        """
        return user_id if self.sees_all else self._own(user_id)

    def filter(self, user_id: str | None, **conditions: object) -> TaskFilter:
        """A filter of the tasks that the caller may see. Raises ForbiddenError: as `reads_for`."""
        return TaskFilter.in_utc({"user_id": self.reads_for(user_id), **conditions})

    def changes_for(self, user_id: str | None) -> str | None:
        """The user whose task a request changes; `None` means any user.
        Raises ForbiddenError: the caller may not change tasks, or not those of this user.
        """
        if not self.may_change(self.user_id):
            raise ForbiddenError("a viewer may not change anything")
        return user_id if self.changes_all else self._own(user_id)

    def require_operator(self) -> None:
        """Require the operator's scope. Raises ForbiddenError: the caller lacks it."""
        if not self.changes_all:
            raise ForbiddenError("the operator's scope is required")

    def require_sight(self) -> None:
        """Require the operator's or the viewer's scope. Raises ForbiddenError: the caller has neither."""
        if not self.sees_all:
            raise ForbiddenError("the operator's or the viewer's scope is required")

    def _own(self, user_id: str | None) -> str:
        if user_id is not None and user_id != self.user_id:
            raise ForbiddenError("user_id is not the user of the token")
        return self.user_id


def caller_of(event: Mapping[str, Any]) -> Caller:
    """The caller, as verified by the authorizer. Raises ForbiddenError: there is none."""
    match event:
        case {"requestContext": {"authorizer": {"user_id": str(user_id), **context}}} if user_id:
            named = str(context.get("roles") or "").split(",")
            roles = frozenset(role for role in Role if role in named) | {Role.OWNER}
            return Caller(user_id, roles, str(context.get("tenant") or "") or None)
        case _:
            raise ForbiddenError("the request has no verified user")
