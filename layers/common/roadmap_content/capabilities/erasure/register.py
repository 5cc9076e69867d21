"""The register of erasures: the table `content_erasures`, and a copy of each entry in the bucket, so that a
restore of either does not lose it. An entry identifies its user by a keyed hash; only while the erasure runs,
its row also names the user, and stops claims.
"""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, text

from ...contracts.erasure import Receipt, Removed
from ...contracts.errors import InvalidRequestError
from ...platform.storage.bucket import Bucket, in_parallel
from ...platform.storage.keys import ERASURES, encode
from ...state.services import HealthPart
from ...state.tasks.task import Task

_MARK = "erasure:"

_COLUMNS = "erasure_id, user_hash, actor, product_rows, began_at, ended_at, removed"

# Begins the erasure of a user, or continues the one that runs. Guarantees: at most one runs. The rows of the
# product go if one of its requests asks for that.
BEGIN = text(f"""
INSERT INTO content_erasures AS e (erasure_id, user_hash, user_id, actor, product_rows, removed)
VALUES (:erasure_id, :user_hash, :user_id, :actor, :product_rows, '{{}}')
ON CONFLICT (user_id) WHERE user_id IS NOT NULL DO UPDATE SET
    product_rows = e.product_rows OR excluded.product_rows, requested_at = now()
RETURNING {_COLUMNS}
""")

# Lets an erasure of this user run again, after a restore.
REOPEN = text(f"""
UPDATE content_erasures SET user_id = :user_id, requested_at = now()
WHERE erasure_id = :erasure_id AND user_hash = :user_hash RETURNING {_COLUMNS}
""")

# Reads the numbers so far, and keeps others from adding to them.
LOCK = text("SELECT removed, last_counted FROM content_erasures WHERE erasure_id = :erasure_id FOR UPDATE")

# Writes the numbers, and the id of the part that was added last.
ADD = text("""
UPDATE content_erasures SET removed = CAST(:removed AS json), last_counted = coalesce(:part, last_counted)
WHERE erasure_id = :erasure_id
""")

# Ends an erasure, and removes the user's name. One that is applied again keeps its first end, which decides
# what is older.
END = text(f"""
UPDATE content_erasures SET user_id = NULL, ended_at = coalesce(ended_at, now())
WHERE erasure_id = :erasure_id RETURNING {_COLUMNS}
""")

# Counts the erasures that nobody continues: a request is repeated within minutes until the erasure ends.
UNFINISHED = text("""
SELECT count(*) FROM content_erasures
WHERE user_id IS NOT NULL AND requested_at < now() - interval '1 hour'
""")

READ = text(f"SELECT {_COLUMNS} FROM content_erasures WHERE erasure_id = :erasure_id")

ALL = text(f"SELECT {_COLUMNS} FROM content_erasures ORDER BY began_at, erasure_id")

# Restores an entry from its copy, which names no actor; to an entry that exists, it only adds the end.
INSERT = text(f"""
INSERT INTO content_erasures ({_COLUMNS})
VALUES (:erasure_id, :user_hash, 'register', :product_rows, :began_at, :ended_at, CAST(:removed AS json))
ON CONFLICT (erasure_id) DO UPDATE SET ended_at = coalesce(content_erasures.ended_at, excluded.ended_at)
""")


class Entry(NamedTuple):
    """An entry of the register."""

    erasure_id: str
    user_hash: str
    actor: str
    product_rows: bool
    began_at: datetime
    ended_at: datetime | None
    removed: Removed

    @property
    def receipt(self) -> Receipt:
        return Receipt.model_validate(self, from_attributes=True)


def hash_user(key: str, user_id: str) -> str:
    """The keyed hash of a user, with the mark of the key in place of its first characters."""
    mark = mark_of_key(key)
    return mark + _keyed_hash(key, user_id)[len(mark) :]


def mark_of_key(key: str) -> str:
    """The start of each hash with this key, by which an entry of another key is recognised."""
    return _keyed_hash(key, "")[:8]


def _keyed_hash(key: str, value: str) -> str:
    return hmac.new(key.encode(), value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def begin_erasure(
    connection: Connection, user_id: str, user_hash: str, actor: str, *, product_rows: bool
) -> Entry:
    """Begin the erasure of a user, or continue the one that runs. From its COMMIT on, no task is claimed."""
    parameters = {"erasure_id": str(uuid.uuid4()), "user_id": user_id, "user_hash": user_hash, "actor": actor}
    return _entry(connection.execute(BEGIN, parameters | {"product_rows": product_rows}).one())


def reopen_erasure(connection: Connection, erasure_id: str, user_id: str, user_hash: str) -> Entry:
    """Begin to apply an erasure again. Raises InvalidRequestError: the user has no such erasure."""
    parameters = {"erasure_id": erasure_id, "user_id": user_id, "user_hash": user_hash}
    row = connection.execute(REOPEN, parameters).one_or_none()
    if row is None:
        raise InvalidRequestError("the register has no such erasure of this user")
    return _entry(row)


def count_unfinished(connection: Connection, _waiting: str) -> HealthPart:
    """Count the erasures that nobody has continued for an hour: no task of their users starts."""
    unfinished = int(connection.scalar(UNFINISHED) or 0)
    return HealthPart({"erasures_unfinished": unfinished}, ("erasures_unfinished", unfinished))


def mark_of_task(erasure_id: str) -> str:
    """The mark in `execution_arn` of a task that an erasure has made the product's own again."""
    return f"{_MARK}{erasure_id}"


def read_receipt(connection: Connection, task: Task) -> dict[str, Receipt | None]:
    """The field `erased` of a task's detail: the receipt of the erasure that has made the task the product's
    own again; `None` if none has.
    """
    erasure_id = (task.disowned_by or "").removeprefix(_MARK)
    row = connection.execute(READ, {"erasure_id": erasure_id}).one_or_none() if erasure_id else None
    return {"erased": None if row is None else _entry(row).receipt}


def add_removed(connection: Connection, erasure_id: str, removed: Removed, part: str | None = None) -> None:
    """Add to the numbers of an erasure. Without a `part`, in the transaction that deletes the counted rows.
    Objects are deleted before: with a new id as `part`, a repeated try of the transaction adds nothing.
    """
    before = connection.execute(LOCK, {"erasure_id": erasure_id}).one()
    if part is None or before.last_counted != part:
        total = (Removed.model_validate(before.removed) + removed).model_dump_json()
        connection.execute(ADD, {"erasure_id": erasure_id, "removed": total, "part": part})


def end_erasure(connection: Connection, erasure_id: str) -> Entry:
    """Record the end. The user may be claimed for again, as a new user."""
    return _entry(connection.execute(END, {"erasure_id": erasure_id}).one())


def store_copy(bucket: Bucket, entry: Entry) -> None:
    """Write an entry into the bucket, without its actor."""
    document = entry._asdict() | {"removed": entry.removed.model_dump(mode="json"), "actor": None}
    bucket.put(_key_of(entry.erasure_id), json.dumps(document, default=datetime.isoformat).encode())


def read_copies(bucket: Bucket) -> list[dict[str, Any]]:
    """The copies of all entries in the bucket."""
    keys = bucket.all_keys(ERASURES, after=ERASURES)
    return [json.loads(found.body) for found in in_parallel(bucket.get, keys) if found is not None]


def add_copies(connection: Connection, copies: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Add the entries and the ends to the database that only the copies have; return all entries, the oldest
    first.
    """
    for copy in copies:
        connection.execute(INSERT, {**copy, "removed": json.dumps(copy["removed"])})
    return [_entry(row) for row in connection.execute(ALL)]


def complete_copies(bucket: Bucket, copies: Sequence[Mapping[str, Any]], entries: Sequence[Entry]) -> None:
    """Write the copies of the entries that have none, or one without their end."""
    has_end_in_copy = {copy["erasure_id"]: copy["ended_at"] is not None for copy in copies}
    for entry in entries:
        if has_end_in_copy.get(entry.erasure_id) != (entry.ended_at is not None):
            store_copy(bucket, entry)


def _entry(row: Row[Any]) -> Entry:
    return Entry(**{**row._mapping, "removed": Removed.model_validate(row.removed)})


def _key_of(erasure_id: str) -> str:
    """The key of an erasure's entry in the register. It names no user."""
    return f"{ERASURES}{encode(erasure_id)}.json"
