"""The oracle: checks the invariants I1–I10 and I12 and reports the items that violate them.

For I8, it checks that rows change only on request. The tests that perform the product's operations check that
they do not fail.

It shares no code with the product: its SQL, its reading of the bucket and its expectations of a task's row
are derived only from the design document. It keeps earlier snapshots, because "never lost" and "only
increase" compare two points in time.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from math import ceil
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from sqlalchemy import Engine, text

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

from tests.support.evidence import (
    CONCEPT_METADATA,
    HAS_CONCEPT_METADATA,
    LOOK,
    LOOK_AT_ONE_OF_MANY,
    OTHER_CONCEPT_METADATA,
    OURS,
    PRODUCT_TYPES,
    TABLES,
    TYPES,
    Item,
    Log,
    Row,
    TaskSnapshot,
)

OVERSUBSCRIPTION = 1.3
"""Granted batches per slot, from the design document."""


class Broken(NamedTuple):
    """A broken invariant and its evidence."""

    invariant: str
    what: str
    items: tuple[object, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.items[:10])) + (" …" if len(self.items) > 10 else "")
        return f"{self.invariant}: {self.what}" + (f": {shown}" if self.items else "")


class InvariantsBroken(AssertionError):  # noqa: N818 - a finding, not an error of the test
    """The broken invariants, and the log of the previous actions."""


class Oracle:
    """Checks one task of one bundle."""

    statement = LOOK

    def __init__(self, engine: Engine, s3: "S3Client", bucket: str, bundle: Row, log: Log) -> None:
        self._engine, self._s3, self._bucket, self._log = engine, s3, bucket, log
        self._task_id = bundle["task"]["task_id"]
        self._roadmap_id = bundle["roadmap"]["roadmap_id"]
        self._loaded = json.loads(json.dumps(bundle["roadmap"]["framework_data"]))
        self._staged = {
            (entry["concept_id"], kind) for entry in bundle["content"] for kind in TYPES if kind in entry
        }
        self._seen_rows: dict[tuple[str, str], Row] = {}
        self._seen_objects: dict[str, str] = {}
        self._seen_claims: dict[int, str] = {}
        self._seen_attempt = 0
        self._others = self.look().others

    def require(self, *broken: Iterable[Broken]) -> None:
        """Raise if an invariant is broken.

        Raises:
            InvariantsBroken: contains each broken invariant with its items, and the log.
        """
        if found := list(chain(*broken)):
            lines = [*map(str, found), "", "what was done:", *self._log.injected]
            raise InvariantsBroken("\n".join(lines))

    def at_any_time(self) -> list[Broken]:
        """The checks for any point in time, including after a fault: I3, I4, I5, I6, and nothing generated
        twice.
        """
        now = self.look()
        return [
            *self._i3(now),
            *self._i4(now),
            *self._i5(now),
            *self._i6(now),
            *self._i12(now),
            *self._generated(now),
        ]

    def at_rest(self) -> list[Broken]:
        """The checks when no execution is running and the records are reconciled: I1, I2, I9, I12."""
        now = self.look()
        return [*self._i1(now), *self._i2(now), *self._i9(now), *self._i12_at_rest(now)]

    def accounted(self) -> list[Broken]:
        """The checks after each recovery has had time to end and a sweep has delivered the events: I9,
        I10.
        """
        now = self.look()
        return [*self._i9_of_recoveries(now), *self._i10(now)]

    def healed(self) -> list[Broken]:
        """The check after one retry or redrive without a fault: I7."""
        now = self.look()
        return [*self._i7(now), *self._generated(now)]

    # One method per invariant.

    def _i1(self, now: TaskSnapshot) -> Iterator[Broken]:
        missing = set(now.missing())
        attempt = now.task["attempt"]
        if attempt == 0:
            return
        failed = _items(now.failures, attempt)
        not_started = missing - failed if now.is_cancelled(attempt) else set()
        if both := failed - missing - now.not_replaced(attempt):
            yield Broken("I1", f"failed in attempt {attempt}, and yet completed or none", _sorted(both))
        if neither := missing - failed - not_started:
            yield Broken("I1", f"neither completed nor failed in attempt {attempt}", _sorted(neither))
        summary = now.task["execution_summary"] or {}
        for kind in TYPES:
            wanted = {
                "total": len(now.concepts),
                "completed": sum(item_kind == kind for _, item_kind in set(now.items()) - missing),
                "failed": sum(item_kind == kind for _, item_kind in missing - not_started),
            }
            if summary.get(kind) != wanted:
                yield Broken("I1", f"execution_summary says of {kind} {summary.get(kind)}, it is {wanted}")
        for planned_by, planned in self._manifests(now):
            accounted = set(now.items()) - missing | _items(now.failures, planned_by)
            if now.is_cancelled(planned_by):
                continue  # what is missing was not started
            if lost := (planned & set(now.items())) - accounted:
                yield Broken("I1", f"attempt {planned_by} planned them and lost them", _sorted(lost))

    def _i2(self, now: TaskSnapshot) -> Iterator[Broken]:
        missing = now.missing()
        task = now.task
        if task["attempt"] == 0:
            return
        usable = [node for node in _nodes(now.framework) if _has_id(node)]
        is_whole = len(now.concepts) == len(list(_nodes(now.framework)))
        if not missing and is_whole:
            status = "completed"
        else:
            status = "failed" if len(missing) == len(now.items()) else "partial_failure"
        if task["status"] not in (status, "cancelled"):
            yield Broken("I2", f"status is {task['status']}, the tables say {status}")
        if task["completed_at"] is None:
            yield Broken("I2", "completed_at is not set")
        # After a cancellation the message is kept, even if items are missing.
        if task["status"] != "cancelled" and (task["error_message"] is None) != (status == "completed"):
            yield Broken("I2", f"error_message is {task['error_message']!r}, missing are", tuple(missing))
        failures = {
            (row["concept_id"], row["content_type"]): row
            for row in now.failures
            if row["attempt"] == task["attempt"]
        }
        cancelled = now.is_cancelled(task["attempt"])
        failed = [
            {"concept_id": item[0], "content_type": item[1]}
            | {key: failures.get(item, {}).get(key) for key in ("stage", "error_code", "reason")}
            for item in missing
            if item in failures or not cancelled
        ]
        concept_ids = list(dict.fromkeys(item["concept_id"] for item in failed))
        wanted = {"count": len(concept_ids), "concept_ids": concept_ids, "items": failed} if failed else None
        if task["failed_concepts"] != wanted:
            yield Broken("I2", f"failed_concepts is {task['failed_concepts']}, the tables say {wanted}")
        for kind in TYPES:
            completed = now.completed(kind)
            for node in usable:
                if wrong := _unlike(node, kind, completed.get(node["concept_id"])):
                    yield Broken("I2", f"framework_data says {wrong}", ((node["concept_id"], kind),))
        yield from self._concept_metadata(now)
        product = self._log.framework or self._loaded
        if _without_ours(now.framework) != _without_ours(product):
            yield Broken("I2", "framework_data lost or gained something that is the product's")

    def _concept_metadata(self, now: TaskSnapshot) -> Iterator[Broken]:
        if now.concept_metadata is None:
            return
        known = {row["concept_id"]: row for row in now.concept_metadata}
        completed = {kind: now.completed(kind) for kind in PRODUCT_TYPES}
        for concept_id in now.concepts:
            row = known.get(concept_id)
            if row is None:
                yield Broken("I2", "concept_metadata has no row", (concept_id,))
                continue
            ids = {
                kind: rows[concept_id][TABLES[kind][1]] if concept_id in rows else None
                for kind, rows in completed.items()
            }
            wanted: Row = {"overall_status": "completed" if all(ids.values()) else "partial_failed"}
            for kind, row_id in ids.items():
                wanted |= {f"{kind}_status": "completed" if row_id else "failed", f"{kind}_id": row_id}
            times = {f"{kind}_completed_at": ids[kind] is not None for kind in PRODUCT_TYPES}
            times["all_content_completed_at"] = all(ids.values())
            wrong = {key: row[key] for key, value in wanted.items() if row[key] != value}
            wrong |= {key: row[key] for key, is_set in times.items() if (row[key] is not None) != is_set}
            if wrong:
                yield Broken("I2", f"concept_metadata says {wrong}", (concept_id,))

    def _i3(self, now: TaskSnapshot) -> Iterator[Broken]:
        for kind in TYPES:
            current = Counter(
                row["concept_id"] for row in now.rows[kind] if kind != "tutorial" or row["is_latest"]
            )
            if several := [(concept_id, kind) for concept_id, count in current.items() if count > 1]:
                yield Broken("I3", "more than one current row", _sorted(several))
        highest = now.completed("tutorial")
        for row in now.rows["tutorial"]:
            top = highest.get(row["concept_id"])
            if top is None or row["content_status"] != "completed":
                continue
            if row["is_latest"] != (row["content_version"] == top["content_version"]):
                yield Broken(
                    "I3",
                    f"version {row['content_version']} has is_latest={row['is_latest']}, the highest "
                    f"is {top['content_version']}",
                    ((row["concept_id"], "tutorial"),),
                )

    def _i4(self, now: TaskSnapshot) -> Iterator[Broken]:
        completed = {
            (kind, row[TABLES[kind][1]]): row
            for kind in TYPES
            for row in now.rows[kind]
            if kind != "tutorial" or row["content_status"] == "completed"
        }
        replaced = now.replaced()
        for (kind, row_id), before in self._seen_rows.items():
            after = completed.get((kind, row_id))
            item = ((before["concept_id"], kind),)
            if before["concept_id"] in self._log.rewritten:
                continue
            if after is None:
                if before["revision"] in replaced.get(item[0], ()) and before["concept_id"] in now.completed(
                    kind
                ):
                    continue
                yield Broken("I4", f"the completed row {row_id} is gone", item)
                continue
            was_requested = item[0] in self._log.restored or before["revision"] in replaced.get(item[0], ())
            if after["revision"] != before["revision"] and was_requested:
                former = {key: value for key, value in before.items() if key != "revision"}
                if former not in now.archive:
                    yield Broken("I4", f"the revision {before['revision']} is lost", item)
                continue
            changed = [
                key
                for key in before
                if key != "is_latest" and before[key] != after[key]  # a newer version may become the latest
            ]
            if changed:
                yield Broken("I4", f"the completed row {row_id} changed in {', '.join(changed)}", item)
            if after.get("is_latest") and not before["is_latest"]:
                yield Broken("I4", f"version {after['content_version']} came back as the latest", item)
        for row in now.rows["tutorial"]:
            if row["content_status"] == "completed" and row["content_url"] not in now.objects:
                yield Broken("I4", f"no text at {row['content_url']}", ((row["concept_id"], "tutorial"),))
        # Texts with a row, rejected content and manifests are written once and never changed.
        pointed_to = {row["content_url"] for row in now.rows["tutorial"]}
        for key, digest in self._seen_objects.items():
            if now.objects.get(key) != digest:
                yield Broken("I4", "an object was lost or overwritten", (key,))
        self._seen_rows = completed
        self._seen_objects = {
            key: digest
            for key, digest in now.objects.items()
            if key in pointed_to or key.startswith(("rejected/", "manifests/"))
        }

    def _i5(self, now: TaskSnapshot) -> Iterator[Broken]:
        attempt, execution = now.task["attempt"], now.task["execution_arn"]
        if attempt < self._seen_attempt:
            yield Broken("I5", f"attempt {attempt} came after attempt {self._seen_attempt}")
        if attempt and self._seen_claims.setdefault(attempt, execution) != execution:
            yield Broken("I5", f"attempt {attempt} went from one execution to another", (execution,))
        if late := self._log.generated_late:
            yield Broken("I5", "generated for an attempt that is over", _sorted(late))
        if len(self._log.live) > 1:
            yield Broken("I5", "more than one live attempt", tuple(sorted(self._log.live.items())))
        self._seen_attempt = max(attempt, self._seen_attempt)

    def _i6(self, now: TaskSnapshot) -> Iterator[Broken]:
        for table, before in self._others.items():
            if changed := set(before) ^ set(now.others[table]):
                yield Broken("I6", f"rows of {table} that are another's changed (I8)", _sorted(changed))

    def _i7(self, now: TaskSnapshot) -> Iterator[Broken]:
        if missing := now.missing():
            reasons = {
                (row["concept_id"], row["content_type"]): (row["error_code"], row["reason"])
                for row in now.failures
            }
            yield Broken(
                "I7", "still missing", tuple((*item, *reasons.get(item, ("no reason",))) for item in missing)
            )
        if now.task["status"] not in ("completed", "cancelled"):
            yield Broken("I7", f"status is {now.task['status']}: {now.task['error_message']}")

    def _i12(self, now: TaskSnapshot) -> Iterator[Broken]:
        """Each admission found the sum of the grants below the limit; a claimed attempt is in the queue."""
        limit = ceil(now.capacity["slots"] * OVERSUBSCRIPTION)
        granted = sum(row["grants"] for row in now.admitted[:-1])
        if now.admitted and now.admitted[-1]["grants"] and granted >= limit:
            yield Broken("I12", f"{granted} of {limit} were granted, and another was admitted")
        if now.least_charged is not None and now.least_charged < 0:
            yield Broken("I12", f"a user's counter is {now.least_charged}")
        if now.task["status"] == "cancelled" or now.task.get("celery_task_id") is not None:
            # If the process of a cancellation dies, the sweep records the end of the attempt, and after the
            # product's own work if that has begun.
            return
        ended = {row["attempt"] for row in now.attempts if row["ended_at"] is not None}
        for row in now.queue:
            current = row["attempt"] == now.task["attempt"] and row["attempt"] not in ended
            if current and row["state"] == "ended":
                yield Broken("I12", f"attempt {row['attempt']} left the queue and has no end")

    def _i12_at_rest(self, now: TaskSnapshot) -> Iterator[Broken]:
        """No slot is held by an attempt that is over, and none waits while there is capacity."""
        held = sum(row["grants"] for row in now.admitted)
        slots, stopped = now.capacity["slots"], now.capacity["stopped_reason"] is not None
        keys = set(map(_key, now.admitted))
        bulk_at_work = any(queue_class == "bulk" for queue_class, _ in keys)
        ended = {row["attempt"] for row in now.attempts if row["ended_at"] is not None}
        for row in now.queue:
            has_more = _key(row) in keys or (row["class"] == "bulk" and bulk_at_work)
            limit = slots if has_more else slots * OVERSUBSCRIPTION
            own = sum(each["grants"] for each in now.admitted if _key(each) == _key(row))
            is_half = 2 * own >= slots  # others may use the queue
            if row["state"] == "waiting" and not stopped and held < limit and not is_half:
                yield Broken("I12", f"attempt {row['attempt']} waits while there is capacity")
            if row["state"] != "ended" and row["attempt"] in ended:
                yield Broken("I12", f"attempt {row['attempt']} is over and in the queue as {row['state']}")

    def _i9(self, now: TaskSnapshot) -> Iterator[Broken]:
        numbers = [row["attempt"] for row in now.attempts]
        if numbers != list(range(1, now.task["attempt"] + 1)):
            yield Broken("I9", f"attempt {now.task['attempt']} has these audit rows", tuple(numbers))
        missing = Counter(kind for _, kind in now.missing())
        for row in now.attempts:
            scope = row["scope"] or {"concept_id": None, "content_type": None}
            failing = {
                (concept_id, kind)
                for concept_id, kind in now.missing()
                if scope["concept_id"] in (None, concept_id) and scope["content_type"] in (None, kind)
            }
            of_its_scope = Counter(kind for _, kind in failing | now.not_replaced(row["attempt"]))
            if row["ended_at"] is None:
                yield Broken("I9", f"attempt {row['attempt']} is over and has no end")
                continue
            # What was unknown at the end of an earlier attempt stays so: its items are a later one's since.
            is_current = row["attempt"] == now.task["attempt"]
            if is_current and row["saved"] == {} and now.task["failed_concepts"] is not None:
                yield Broken("I9", f"attempt {row['attempt']} has unknown counts, and the task has them")
            for kind in TYPES if row["planned"] and row["saved"] != {} else ():
                planned, saved, failed = (row[name][kind] for name in ("planned", "saved", "failed"))
                cancelled = row["outcome"] == "cancelled"
                if planned != saved + failed and not (cancelled and planned > saved + failed):
                    yield Broken(
                        "I9", f"attempt {row['attempt']} does not add up", (kind, planned, saved, failed)
                    )
                left = planned - saved if cancelled else failed
                if is_current and left != min(planned, of_its_scope[kind]):
                    yield Broken("I9", f"attempt {row['attempt']} says that {left} of {kind} are left")
        if now.attempts and now.is_cancelled(now.task["attempt"]):
            missing &= Counter(kind for _, kind in _items(now.failures, now.task["attempt"]))
        if now.attempts and now.current_failures != sum(missing.values()):
            yield Broken(
                "I9", f"{now.current_failures} current failures of {sum(missing.values())} missing items"
            )

    def _i9_of_recoveries(self, now: TaskSnapshot) -> Iterator[Broken]:
        claimed = {row["actor"].partition(":")[2]: row["attempt"] for row in now.attempts}
        for task in now.recoveries:
            recovery_id = task["recovery_id"]
            if task["recovery_ended_at"] is None:
                yield Broken("I9", f"{recovery_id} is stuck in {task['state']}")
            if task["result"] in ("waiting", "running"):
                yield Broken("I9", f"{recovery_id} leaves {task['task_id']} {task['result']}")
            if task["task_id"] == self._task_id and task["attempt"] != claimed.get(recovery_id):
                yield Broken(
                    "I9",
                    f"{recovery_id} says attempt {task['attempt']} ({task['result']}), the audit trail "
                    f"{claimed.get(recovery_id)}",
                )

    def _i10(self, now: TaskSnapshot) -> Iterator[Broken]:
        recorded = {row["event_id"] for row in now.events}
        if lost := [row["event_id"] for row in now.events if row["event_id"] not in self._log.delivered]:
            yield Broken("I10", "recorded but not delivered", _sorted(lost))
        if invented := set(self._log.delivered) - recorded:
            yield Broken("I10", "delivered for a change that was rolled back", _sorted(invented))
        of = {
            kind: [
                row["detail"]["data"]
                for row in now.events
                if row["detail_type"] == kind and row["task_id"] in (None, self._task_id)
            ]
            for kind in ("Attempt Queued", "Attempt Started", "Task Finalized", "Recovery Ended")
        }
        # An attempt that was cancelled while it waited has not started.
        unstarted = {data["attempt"] for data in of["Attempt Queued"]}
        unstarted -= {data["attempt"] for data in of["Attempt Started"]}
        started = sorted([*(data["attempt"] for data in of["Attempt Started"]), *unstarted])
        if started != list(range(1, now.task["attempt"] + 1)):
            yield Broken("I10", f"of {now.task['attempt']} attempts these have an event", tuple(started))
        ended = Counter(data["recovery_id"] for data in of["Recovery Ended"])
        for recovery_id in {task["recovery_id"] for task in now.recoveries if task["recovery_ended_at"]}:
            if ended[recovery_id] != 1:
                yield Broken("I10", f"{recovery_id} has {ended[recovery_id]} events of its end")
        finalized = [data["attempt"] for data in of["Task Finalized"]]
        if now.task["attempt"] and now.task["status"] != "cancelled" and now.task["attempt"] not in finalized:
            yield Broken("I10", f"attempt {now.task['attempt']} has no event of its outcome")

    def _generated(self, now: TaskSnapshot) -> Iterator[Broken]:
        """The second half of I7: an item is generated only if it was never staged, and again after each
        rejection, and once for each row that it is to replace.
        """
        rejected: Counter[Item] = Counter()
        for key in now.objects:
            match [unquote(segment) for segment in key.split("/")]:
                case ["rejected", "items", self._roadmap_id, kind, concept_id, _]:
                    rejected[concept_id, kind] += 1
        replaced = now.replaced()
        for item, count in Counter(self._log.generated).items():
            allowed = (item not in self._staged) + rejected[item] + self._log.unstaged[item]
            allowed += len(replaced.get(item, ()))
            if count > allowed:
                yield Broken("I7", f"generated {count} times, {allowed} would do", (item,))

    # Reading the current state.

    def look(self) -> TaskSnapshot:
        """Read the tables in one statement, and so in one snapshot, and the bucket."""
        mine = {"task_id": self._task_id, "roadmap_id": self._roadmap_id}
        with self._engine.connect() as connection:
            now = connection.scalar(text(self.statement), mine)
            concept_metadata = None
            if connection.scalar(HAS_CONCEPT_METADATA):
                concept_metadata = connection.scalar(CONCEPT_METADATA, mine)
                if now["others"]:
                    now["others"]["concept_metadata"] = connection.scalar(OTHER_CONCEPT_METADATA, mine)
        assert now is not None
        now["framework"] = json.loads(now["framework"])  # as text, because the driver makes it storable
        concepts = {node["concept_id"]: node for node in _nodes(now["framework"]) if _has_id(node)}
        rows = {kind: now[kind] for kind in TYPES}
        others = now["others"]
        return TaskSnapshot(
            now["task"],
            now["framework"],
            concepts,
            rows,
            now["archive"],
            now["failures"],
            now["attempts"],
            now["current_failures"],
            now["recoveries"],
            now["queue"],
            now["admitted"],
            now["capacity"],
            now["least_charged"],
            now["events"],
            self.objects(),
            others,
            concept_metadata,
        )

    def objects(self) -> dict[str, str]:
        """The objects in the bucket: digest by key."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}

    def _manifests(self, now: TaskSnapshot) -> Iterator[tuple[int, set[Item]]]:
        """The planned items of each recorded attempt, one set per manifest."""
        for key in now.objects:
            match key.split("/"):
                case ["manifests", "tasks", task_id, name] if unquote(task_id) == self._task_id:
                    attempt = int(name.split("-")[0])
                case _:
                    continue
            if attempt in self._log.recorded:
                lines = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read().splitlines()
                yield (
                    attempt,
                    {
                        (entry["concept"]["concept_id"], kind)
                        for line in lines
                        for entry in json.loads(line)
                        for kind in entry["missing"]
                    },
                )


class OracleOfOne(Oracle):
    """Looks at one of many tasks that change at the same time."""

    statement = LOOK_AT_ONE_OF_MANY


def _nodes(framework: Row) -> Iterator[Row]:
    for stage in framework["stages"]:
        for module in stage["modules"]:
            yield from module["concepts"]


def _has_id(node: Row) -> bool:
    """Whether a concept has an id that PostgreSQL can store. Others have no items, nor has a repeated one."""
    concept_id = node.get("concept_id")
    return isinstance(concept_id, str) and re.fullmatch("[^\0\ud800-\udfff]+", concept_id) is not None


def _without_ours(framework: Row) -> str:
    """The product's part of a framework, as text, so that the order of keys counts."""
    copy = json.loads(json.dumps(framework))
    for node in _nodes(copy):
        for key in chain(*OURS.values()):
            node.pop(key, None)
    return json.dumps(copy)


def _unlike(node: Row, kind: str, row: Row | None) -> Row:
    """The fields of a concept that differ from its current row, with their values."""
    status, row_id, *_ = OURS[kind]
    if row is None:
        wanted: Row = {status: "failed", row_id: None}
    elif kind == "tutorial":
        wanted = {
            status: "completed",
            row_id: row["tutorial_id"],
            "content_ref": row["content_url"],
            "content_version": f"v{row['content_version']}",
            "content_summary": row["summary"] and row["summary"][:300],
        }
    elif kind == "resources":
        count = len(row["resources"])
        wanted = {status: "completed", row_id: row["id"], "resources_count": count}
    elif kind == "quiz":
        count = row["total_questions"]
        wanted = {status: "completed", row_id: row["quiz_id"], "quiz_questions_count": count}
    else:
        wanted = {status: "completed", row_id: row[TABLES[kind][1]]}
    return {
        key: node.get(key, "nothing")
        for key, value in wanted.items()
        if key not in node or node[key] != value or type(node[key]) is not type(value)
    }


def _items(failures: list[Row], attempt: int) -> set[Item]:
    return {(row["concept_id"], row["content_type"]) for row in failures if row["attempt"] == attempt}


def _key(row: Row) -> tuple[object, object]:
    """The class and the user or tenant of an entry of the queue."""
    return row["class"], row["queue_key"]


def _sorted(entries: Iterable[object]) -> tuple[object, ...]:
    return tuple(sorted(entries, key=str))
