"""What a SQLSTATE means here: the server, or the rows. Each class stands once, in this module. No I/O.

The codes are those of PostgreSQL's Appendix A. pg8000 raises one exception type for all of them.
"""

import re

# Class 08 connection, 40 rollback (deadlock, serialization), 53 resources (connections, memory, disk),
# 55 object not in the required state (lock timeout), 57 operator intervention (shutdown, statement timeout),
# 58 system error. 28 is invalid authorization, which a rotated password explains.
_TRANSIENT_CLASSES = ("08", "28", "40", "53", "55", "57", "58")

# 25006 read-only transaction (a server that is failing over), 25P03 idle-in-transaction timeout.
_TRANSIENT_STATES = ("25006", "25P03")

DATA_STATES = "^(21|22|23|54|P0001$)"
"""A regular expression, in Python's and PostgreSQL's syntax: class 21 cardinality, 22 data, 23 integrity,
54 program limit; P0001 is what a trigger raises by default.
"""

FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"


def is_transient(sqlstate: str) -> bool:
    """Whether the same statement may work later. An empty SQLSTATE means a lost connection: it may."""
    return not sqlstate or sqlstate[:2] in _TRANSIENT_CLASSES or sqlstate in _TRANSIENT_STATES


def is_about_data(sqlstate: str) -> bool:
    """Whether the server refused the rows, and not the statement or the circumstances."""
    return re.match(DATA_STATES, sqlstate) is not None


def is_about_content(sqlstate: str) -> bool:
    """Whether the refused row's own values were refused.

    A foreign key or a unique constraint also concerns other rows: the next attempt may succeed.
    """
    return is_about_data(sqlstate) and sqlstate not in (FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION)
