"""Classify SQLSTATEs: environment errors and data errors. Each class is listed once, in this module. No I/O.

The codes are those of PostgreSQL's Appendix A. pg8000 raises one exception type for all of them. A trigger
may raise any code, so every code that is not known to concern the server counts as caused by the row.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

TOO_MANY_CONNECTIONS = "53300"
INSUFFICIENT_PRIVILEGE = "42501"
DEPENDENT_OBJECTS = "2BP01"
_SERVER_STATES = "^(08|28|40|53|55|57|58|25006$|25P0[34]$)"
"""Classes 08 connection, 40 rollback (deadlock, serialization), 53 resources (connections, memory, disk), 55
object not in the required state (lock timeout), 57 operator intervention (shutdown, statement timeout), 58
system error, 28 invalid authorization (a rotated password); 25006 read-only transaction (a server that is
failing over), 25P03 idle-in-transaction timeout, 25P04 transaction timeout (PostgreSQL 17).
"""

_CONTENT_STATES = "^(21|22|23|54|P0001$)"
"""Class 21 cardinality, 22 data, 23 integrity, 54 program limit; P0001: a trigger's default."""

FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"

# For users and logs. The server's own message is not used, because it may quote SQL or content.
_MEANINGS: Mapping[str, str] = {
    "08": "the connection to the database was lost",
    "21": "a statement found more rows than it expected",
    "22": "a value is not valid for its column",
    "23502": "a value is missing",
    FOREIGN_KEY_VIOLATION: "a row that is referred to does not exist",
    UNIQUE_VIOLATION: "another row has the same value, which has to be unique",
    "23514": "a check constraint does not accept a value",
    "23": "a constraint does not accept the row",
    "25006": "the database is read-only",
    "28": "the database does not accept the credentials",
    DEPENDENT_OBJECTS: "other objects use what is to be removed",
    "40P01": "a deadlock with another transaction",
    "40": "a conflict with another transaction",
    INSUFFICIENT_PRIVILEGE: "the role has no right to the table or to a row, or does not see every row",
    "42P10": "a save needs a unique key of the id alone, which the table does not have",
    "42": "the statement does not fit the database's schema",
    TOO_MANY_CONNECTIONS: "the database has no free connection for the role",
    "53": "the database has no resources left",
    "54": "a value is too large",
    "55P03": "another session held a lock for too long",
    "55": "the database is not in the required state",
    "57014": "the statement took too long",
    "57": "the database is shutting down or restarting",
    "58": "the database's system failed",
    "P0": "a trigger or a function of the database does not accept the row",
}

_IDENTIFIER = re.compile(r"[A-Za-z0-9_$]{1,63}")


def is_transient(sqlstate: str) -> bool:
    """Whether the statement may succeed later. An empty SQLSTATE means a lost connection: transient."""
    return not sqlstate or re.match(_SERVER_STATES, sqlstate) is not None


def is_about_content(sqlstate: str) -> bool:
    """Whether the values of the refused row are known to be the reason.

    A foreign key or a unique constraint also concerns other rows: the next attempt may succeed. For any other
    code, it is unknown whether other content would be accepted.
    """
    about_values = re.match(_CONTENT_STATES, sqlstate) is not None
    return about_values and sqlstate not in (FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION)


class Denial(NamedTuple):
    """A refused right, from an error of PostgreSQL with names of objects only."""

    target: str
    """The table or function, without its schema."""

    function: str
    """The function of the product's trigger that one of our statements has set off; empty: our own statement.
    """

    reason: str


_DENIED = re.compile(r"permission denied for (?P<type>[a-z ]+) (?P<target>[A-Za-z0-9_$]{1,63})")
# The beginning of a context, the innermost frame first: the statement, if there is one, and its function:
#     SQL statement "INSERT INTO audit …"
#     PL/pgSQL function public.log_change() line 3 at SQL statement
_IN_FUNCTION = re.compile(
    r'(?:(?:SQL statement "\s*+(?P<verb>\w*+)|(?:PL/pg)?SQL (?:expression|assignment) ").*)?'
    r"^PL/pgSQL function (?:\w+\.)?(?P<function>\w+)\(\)",
    re.DOTALL | re.MULTILINE,
)
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def denial(message: str, context: str) -> Denial | None:
    """The refused right in the message and the context of an error with SQLSTATE 42501; `None` if the message
    has another form: a trigger may raise a text with values. Of the context (the stack of functions), only a
    name and the first word of a statement are read.
    """
    if not (denied := _DENIED.fullmatch(message)):
        return None
    kind, target = denied["type"], denied["target"]
    if not (inner := _IN_FUNCTION.match(context)):
        return Denial(target, "", message)
    function = inner["function"]
    if right := {"schema": "USAGE", "function": "EXECUTE", "sequence": "USAGE"}.get(kind):
        place = f"{kind.upper()} {target}"
    else:  # a table or a view
        verb = (inner["verb"] or "SELECT").upper()  # an expression and an assignment only read
        right = verb if verb in _RIGHTS else "…"  # a statement that begins with WITH may do any of them
        place = target
    mending = f", in the product's function {function}: GRANT {right} ON {place} TO the writer"
    return Denial(target, function, message + mending)


def explain(
    sqlstate: str, constraint: str | None = None, table: str | None = None, column: str | None = None
) -> str:
    """A description of a database error for users and logs, with the names of objects."""
    meaning = _MEANINGS.get(sqlstate) or _MEANINGS.get(sqlstate[:2], "the database does not accept the row")
    names = [
        f'{kind} "{name}"'
        for kind, name in (("constraint", constraint), ("table", table), ("column", column))
        if name and _IDENTIFIER.fullmatch(name)
    ]
    return f"{sqlstate}: {meaning}" + (f" ({', '.join(names)})" if names else "")
