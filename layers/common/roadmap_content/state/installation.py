"""Compare the database with what this system has installed in it, and with what it needs of the product."""

from sqlalchemy import Connection

from ..contracts.api.system import DatabaseFinding
from .visibility import find_hidden


def find_differences(connection: Connection) -> list[DatabaseFinding]:
    """Every difference, in one list: health and `roadmap doctor` show it, and the sweep counts it."""
    return find_hidden(connection)
