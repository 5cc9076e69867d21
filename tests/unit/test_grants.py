"""The settings of the roles' sessions."""

from local_stack.database_roles import role_statements
from roadmap_content.platform.postgres.engine import session_limits


def test_the_roles_have_the_limits_of_sessions_that_set_their_own() -> None:
    expected = {
        f"ALTER ROLE roadmap_{role} SET {name} = '{value}'"
        for role in ("writer", "reader")
        for name, value in {**session_limits(), "row_security": "off"}.items()
    }
    assert {one for one in role_statements() if one.startswith("ALTER")} == expected
