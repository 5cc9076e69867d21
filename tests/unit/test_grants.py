"""The settings of the roles' sessions."""

from local_stack.database_roles import role_statements
from roadmap_content.platform.postgres.engine import SESSION_DEFAULTS, session_limits


def test_the_roles_have_the_limits_of_sessions_that_set_their_own() -> None:
    limits = {**session_limits(), "row_security": "off"}
    expected = {
        f"ALTER ROLE roadmap_{role} SET {name} = '{value}'"
        for role, settings in (("migrator", SESSION_DEFAULTS), ("writer", limits), ("reader", limits))
        for name, value in settings.items()
    }
    assert {one for one in role_statements() if one.startswith("ALTER")} == expected
