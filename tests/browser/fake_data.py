"""The generated data of the simulated API, in the format of docs/openapi.json: see `Scenario`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from roadmap_content.contracts.items import ContentType
from tests.support.factories import counts

TYPES = tuple(map(str, ContentType))
N = len(TYPES)
HOSTILE = "<img src=x onerror=\"document.title='run'\"><style>*{display:none}</style>{{7*7}}${8*8}"
RTL = "\u202eשלום \u202dبرمجة\u202c\u2066 end"
LONG = "x" * 1000
CONSOLE = "https://eu-central-1.console.aws.amazon.com/states/home#/executions/details"

Document = dict[str, Any]


@dataclass
class Scenario:
    """The data of the API for one subject. `fails` answers every request but `/me` with a status."""

    roles: tuple[str, ...] = ("operator",)
    tasks: int = 60
    concepts: Mapping[str, int] = field(default_factory=dict)
    fails: int | None = None
    hostile: bool = False
    total: int | None = None
    scanned: int | None = None
    """The number of tasks that a page of tasks reads, whether they match or not."""

    stopped: str | None = None
    """The reason why generation is stopped."""


SCENARIOS: Mapping[str, Scenario] = {
    "operator": Scenario(),
    "viewer": Scenario(roles=("viewer",)),
    "owner": Scenario(roles=("owner",), tasks=5),
    "stopped": Scenario(stopped="the bill"),
    "empty": Scenario(tasks=0),
    "expired": Scenario(fails=401),
    "down": Scenario(fails=503),
    "busy": Scenario(fails=429),
    "forbidden": Scenario(roles=("owner",), fails=403),
    "hostile": Scenario(hostile=True, tasks=3),
    "million": Scenario(total=10_000),
    "scanned": Scenario(total=10_000, scanned=10),
}


def at(**ago: float) -> str:
    """The time `seconds` ago."""
    return (datetime.now(UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


UNDECIDED: Document = {
    "state": "new",
    "state_by": None,
    "state_at": None,
    "note": None,
    "ignored_until": None,
    "ignored_until_tasks": None,
}
"""The state of a failure group about which nobody has decided."""

REASONS: list[Document] = [
    {
        "error_code": "IdTaken",
        "stage": "save",
        "content_type": "tutorial",
        "reason": "SQLSTATE 23505: the tutorial id belongs to a concept of another roadmap",
        "remedy": "replace_id",
        "remedy_text": "The next attempt gives it a new id and saves what is staged.",
        "needs_person": False,
    },
    {
        "error_code": "InvalidContent",
        "stage": "save",
        "content_type": "quiz",
        "reason": "questions[1].explanation holds a NUL character at character 4",
        "remedy": "reject_and_generate",
        "remedy_text": "The next attempt moves the content to rejected/ and generates it again.",
        "needs_person": False,
    },
    {
        "error_code": "BatchLost",
        "stage": "workflow",
        "content_type": "resources",
        "reason": "Runtime.ExitError: the function that saved this batch ended without an answer",
        "remedy": "save",
        "remedy_text": "The next attempt saves the content that is staged.",
        "needs_person": False,
    },
    {
        "error_code": "BudgetExhausted",
        "stage": "generate",
        "content_type": "quiz",
        "reason": "the task has used 5,000,000 of 5,000,000 tokens",
        "remedy": "person",
        "remedy_text": "A person must act.",
        "needs_person": True,
    },
]

TUTORIAL = """# Attention

## What it does

A **query** is compared with every *key*; `softmax` makes weights of it. See [the paper](https://example.org/paper)
and [this](javascript:alert(1)).

1. Compare
2. Weigh
   - with a scale
3. Sum

> Nothing is learned here.

```python
weights = softmax(q @ k.T)
```

| part | size |
|---|---|
| query | 64 |

<img src=x onerror="document.title='run'"> ![A diagram](https://example.org/x.png)
"""

ORIGIN: Document = {
    "generator": "bedrock",
    "model_id": "model-x",
    "prompt_version": "en/tutorial@9f86d081a3c2",
    "service_tier": None,
    "tokens_in": 1_412,
    "tokens_out": 2_000,
    "content_fingerprint": None,
    "task_id": None,
    "attempt": 2,
    "actor": "user:u-1",
    "reason": None,
    "restored_from": None,
    "recorded_at": None,
}

OLDER_TUTORIAL = TUTORIAL.replace("makes weights of it", "turns it into weights").replace(
    "> Nothing is learned here.\n",
    "> Nothing is learned here, except the projections.\n\nA paragraph that was removed.\n",
)

QUESTIONS: list[Document] = [
    {
        "question_id": "q-1",
        "question_type": "single_choice",
        "question": "What is compared with the keys?",
        "options": ["The query", "The value"],
        "correct_answer": [0],
        "explanation": "Each query is compared with every key.",
        "difficulty": "easy",
    },
    {
        "question_id": "q-2",
        "question_type": "multiple_choice",
        "question": "What is learned?",
        "options": ["The projections", "The softmax", "The output"],
        "correct_answer": [0, 2],
        "explanation": "The softmax has no weights.",
        "difficulty": "hard",
    },
]
REFUSED_QUIZ: Document = {
    "quiz_id": "quiz-refused",
    "questions": [QUESTIONS[0], QUESTIONS[1] | {"explanation": "The \x00softmax has no weights."}],
    "total_questions": 2,
}

TITLES = [
    "Systems engineer",
    "Prompt engineering",
    "从零开始的数据工程",
    "Machine learning for biologists",
    "PostgreSQL internals",
    "前端性能优化",
    "Compilers",
    "Applied statistics",
]
REGENERATION = 2
"""The number of the recovery that regenerated saved items."""

BROKEN = 3
"""The number of the recovery that its breaker has paused."""

WORDS = ["Attention", "Sampling", "Tokenizers", "Decoding", "Indexes", "Locks", "Queues", "Caching"]
STATUSES = ["partial_failure", "completed", "failed", "processing", "completed", "cancelled", "pending"]


def task_id(number: int) -> str:
    """The id of the n-th task."""
    return f"task-{number:04d}-7f3c9a1e"


class Model:
    """All generated data of one subject."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.scenario = SCENARIOS.get(subject, Scenario())
        self.retried: dict[str, float] = {}
        self.recovery_state = "running"
        self.cancelled: set[str] = set()
        self.group_states: dict[str, Document] = {}
        self.group_changes: list[Document] = []
        self.histories: dict[tuple[str, str], list[tuple[Document, Document]]] = {}
        self.undo_requests = 0

    def row(self, number: int) -> Document:
        """A task of the list."""
        random = Random(number)  # noqa: S311 - data, not secrets
        status = "cancelled" if task_id(number) in self.cancelled else STATUSES[number % len(STATUSES)]
        total = N * self.size(number)
        missing = {"completed": 0, "pending": total}.get(status, random.randrange(1, max(2, total // 8)))
        reason = REASONS[number % len(REASONS)]
        broken = status in ("partial_failure", "failed")
        title = TITLES[number % len(TITLES)]
        if self.scenario.hostile:
            title = [HOSTILE, RTL, LONG][number % 3]
        return {
            "task_id": task_id(number) if not self.scenario.hostile else f"task-{number}:{HOSTILE}",
            "roadmap_id": f"{title.lower().replace(' ', '-')[:40]}-9b2c8d4e",
            "title": title,
            "user_id": self.subject if self.scenario.roles == ("owner",) else f"user-{number % 17}",
            "status": status,
            "current_step": "content_generation",
            "attempt": 0 if status == "pending" else number % 4 + 1,
            "updated_at": at(minutes=number * 7 + 2),
            "created_at": at(minutes=number * 7 + 90),
            "completed_at": at(minutes=number * 7 + 2) if status == "completed" else None,
            "progress": None
            if status == "pending"
            else {"total": total, "saved": total - missing, "missing": missing},
            "top_reason": {
                **{key: reason[key] for key in ("error_code", "stage", "content_type", "reason")},
                "items": missing,
            }
            if broken
            else None,
            "needs_person": broken and reason["needs_person"],
            "ours": status != "pending",
        }

    def size(self, number: int) -> int:
        """The number of a task's concepts."""
        return {0: 30, 1: 300, 2: 3000, 3: 24}.get(number, 30 + 10 * (number % 7))

    def number(self, name: str) -> int | None:
        """The number in a task's id."""
        if self.scenario.hostile and name.startswith("task-"):
            return int(name[5])
        parts = name.split("-")
        known = len(parts) == 3 and parts[0] == "task" and parts[1].isdigit()
        return int(parts[1]) if known and int(parts[1]) < self.scenario.tasks else None

    def states(self, number: int) -> tuple[str, list[tuple[int, int]]]:
        """One letter per item, and the reasons of the failed ones."""
        random = Random(1000 + number)  # noqa: S311 - data, not secrets
        status = self.row(number)["status"]
        letters, reason_of = [], []
        for item in range(N * self.size(number)):
            draw = random.random()
            if status == "completed" or draw < 0.86:
                letters.append("S")
            elif status == "pending":
                letters.append("M")
            elif draw < 0.9:
                letters.append("T")
            elif draw < 0.94:
                letters.append("M" if status != "processing" else "G")
            else:
                fitting = [k for k, reason in enumerate(REASONS) if reason["content_type"] == TYPES[item % N]]
                reason_of.append((item, random.choice(fitting or range(len(REASONS)))))
                letters.append("R" if REASONS[reason_of[-1][1]]["remedy"] == "reject_and_generate" else "F")
        return "".join(letters), reason_of

    def task(self, number: int) -> Document:
        """One task."""
        row = self.row(number)
        states, _ = self.states(number)
        missing = len(states) - states.count("S")
        operates = self.scenario.roles != ("viewer",)
        live = row["status"] == "processing"
        return {
            **{
                key: row[key]
                for key in ("task_id", "roadmap_id", "title", "user_id", "status", "current_step")
            },
            **{key: row[key] for key in ("attempt", "created_at", "updated_at", "completed_at")},
            "execution_arn": "arn:aws:states:eu-central-1:123456789012:execution:roadmap-save-content:x",
            "execution_url": f"{CONSOLE}/x",
            "progress": {
                kind: {
                    "total": len(states) // N,
                    "saved": states[k::N].count("S"),
                    "missing": len(states) // N - states[k::N].count("S"),
                    "generated": 0,
                }
                for k, kind in enumerate(TYPES)
            },
            "queue": {"position": 12, "at_least": False, "stopped": False, "starts_in_seconds": 240}
            if number == 10
            else None,
            "failed_items": [],
            "error_message": f"{missing} of {len(states)} items are missing" if missing else None,
            "live": live,
            "actions": {
                "retry": operates and not live and states.strip("S") != "",
                "cancel": operates and row["status"] in ("processing", "partial_failure", "failed"),
                "checkpoint": operates and row["status"] == "failed",
                "narrow": True,
            },
            "tokens": {"used": 184_230 * (number + 1), "budget": 5_000_000},
        }

    def name(self, number: int, concept: int) -> str:
        """A concept's name."""
        if self.scenario.hostile:
            return [HOSTILE, RTL, LONG, " "][concept % 4]
        return (
            f"{WORDS[concept % len(WORDS)]} and {WORDS[(concept * 7 + 3) % len(WORDS)].lower()} {concept + 1}"
        )

    def items(self, number: int, query: Mapping[str, list[str]]) -> Document:
        """A page of a task's items."""
        size = self.size(number)
        start, limit = int(query.get("cursor", ["0"])[0]), int(query.get("limit", ["1000"])[0])
        end = min(size, start + limit)
        states, reason_of = self.states(number)
        per_module = {24: 6, 30: 6}.get(size, 15)
        stages: list[Document] = []
        for concept in range(start, end):
            module, stage = concept // per_module, concept // (per_module * 5)
            stage_name = f"{WORDS[stage % len(WORDS)]} and {WORDS[(stage + 5) % len(WORDS)].lower()}"
            module_name = f"{WORDS[module % len(WORDS)]}: foundations {module + 1}"
            if not stages or stages[-1]["name"] != stage_name:
                stages.append({"name": stage_name, "modules": []})
            modules = stages[-1]["modules"]
            if not modules or modules[-1]["name"] != module_name:
                modules.append({"name": module_name, "concepts": []})
            modules[-1]["concepts"].append([f"roadmap-9b2c8d4e:c-{concept + 1}", self.name(number, concept)])
        shown = [[item - N * start, reason] for item, reason in reason_of if N * start <= item < N * end]
        page: Document = {
            "task_id": task_id(number),
            "roadmap_id": self.row(number)["roadmap_id"],
            "concepts": size,
            "first_concept": start,
            "states": states[N * start : N * end],
            "reasons": [
                {**reason, "items": sum(1 for _, which in reason_of if which == k)}
                for k, reason in enumerate(REASONS)
            ],
            "reason_of": shown,
            "next_cursor": str(end) if end < size else None,
        }
        return {**page, "stages": None if query.get("states_only") else stages}

    def item(self, number: int, kind: str, concept_id: str) -> Document:
        """One item."""
        concept = int(concept_id.rpartition("-")[2]) - 1
        states, reason_of = self.states(number)
        index = N * concept + TYPES.index(kind)
        state, found = states[index], dict(reason_of).get(index)
        reason = None if found is None else REASONS[found]
        names = {"S": "saved", "T": "staged", "G": "generating", "R": "rejected"}
        action = "none" if state == "S" else "save" if state == "T" else "generate"
        return {
            "concept_id": concept_id,
            "name": self.name(number, concept),
            "content_type": kind,
            "stage": "Matrices and decoding",
            "module": "Sampling: foundations",
            "state": names.get(state, "missing"),
            "next_action": reason["remedy"] if reason else action,
            "next_action_text": "The next attempt does it.",
            "needs_person": reason is not None and reason["needs_person"],
            "failures": []
            if reason is None
            else [
                {
                    "attempt": attempt,
                    "stage": reason["stage"],
                    "error_code": reason["error_code"],
                    "reason": reason["reason"] if not self.scenario.hostile else HOSTILE,
                    "transient": False,
                    "occurred_at": at(hours=3 - attempt),
                }
                for attempt in (2, 1)
            ],
            "staged": {
                "size": 18_231,
                "stored_at": at(hours=2),
                "fingerprint": "9f86d081",
                "text": json.dumps(self.saved(kind, concept)),
            }
            if state in "TF"
            else None,
            "rejected": [
                {
                    "key": f"rejected/roadmap-9b2c8d4e/c-{concept + 1}/quiz/1.json",
                    "attempt": 1,
                    "error_code": "InvalidContent",
                    "reason": "questions[1].explanation holds a NUL character at character 4",
                    "size": 4_211,
                    "stored_at": at(hours=2),
                    "text": json.dumps(REFUSED_QUIZ),
                }
            ]
            if state == "R"
            else [],
            "saved": self.current(kind, concept_id) if state == "S" else None,
        }

    def saved(self, kind: str, concept: int) -> Document:
        """The content of an item."""
        match kind:
            case "tutorial":
                return {
                    "tutorial_id": f"tutorial-{concept}",
                    "markdown": HOSTILE if self.scenario.hostile else TUTORIAL,
                }
            case "resources":
                link = {"type": "article", "description": "The original paper.", "language": "en"}
                return {
                    "id": f"resources-{concept}",
                    "resources": [
                        {"title": "Attention is all you need", "url": "https://example.org/paper", **link},
                        {"title": "A link without TLS", "url": "http://example.org/", **link},
                    ],
                    "search_queries_used": ["attention"],
                }
            case "quiz":
                return {
                    "quiz_id": f"quiz-{concept}",
                    "questions": QUESTIONS,
                    "total_questions": len(QUESTIONS),
                }
            case _:
                return {"id": f"{kind}-{concept}"}

    def history(self, kind: str, concept_id: str) -> list[tuple[Document, Document]]:
        """The revisions of an item with their contents, the current one first."""
        if (kind, concept_id) not in self.histories:
            concept = int(concept_id.rpartition("-")[2]) - 1
            now = self.saved(kind, concept)
            quiz = now | {"questions": [QUESTIONS[0] | {"correct_answer": [1]}, QUESTIONS[1]]}
            links = now | {"resources": now.get("resources", [])[:1]}
            text = HOSTILE if self.scenario.hostile else OLDER_TUTORIAL
            former = {"tutorial": now | {"markdown": text}, "quiz": quiz, "resources": links}.get(kind, now)
            versions = [2, 1] if kind == "tutorial" else [None, None]
            rows = [
                (f"{kind}-{concept:08x}-5bdd", versions[0], None, ORIGIN | {"recorded_at": at(hours=4)}),
                ("archive-7", versions[1], at(hours=4), None),
            ]
            self.histories[kind, concept_id] = [
                ({
                    "revision_id": name,
                    "content_id": name,
                    "current": replaced is None,
                    "version": version,
                    "generated_at": at(hours=30) if replaced else at(hours=4),
                    "replaced_at": replaced,
                    "reason": "replaced in place" if replaced else None,
                    "size": len(json.dumps(content)),
                    "origin": origin,
                }, content)
                for (name, version, replaced, origin), content in zip(rows, (now, former), strict=True)
            ]  # fmt: skip
        return self.histories[kind, concept_id]

    def current(self, kind: str, concept_id: str) -> Document:
        """The saved row of an item."""
        revision = self.history(kind, concept_id)[0][0]
        return {
            "id": revision["content_id"],
            **{name: revision[name] for name in ("version", "generated_at", "origin")},
        }

    def restore(self, kind: str, concept_id: str, revision_id: str, reason: str | None) -> Document | None:
        """Make a revision the current one; `None` if the database refuses that, as it does for resources."""
        if kind == "resources":
            return None
        history = self.history(kind, concept_id)
        ((former, content),) = [each for each in history if each[0]["revision_id"] == revision_id]
        before, _ = history[0]
        replaced = {"current": False, "replaced_at": at(), "reason": "an earlier revision was restored"}
        history[0] = (before | replaced, history[0][1])
        now = former | {
            "revision_id": f"restored-{len(history)}",
            "content_id": f"restored-{len(history)}",
            "current": True,
            "version": None if before["version"] is None else before["version"] + 1,
            "generated_at": at(),
            "replaced_at": None,
            "reason": None,
            "origin": dict.fromkeys(ORIGIN)
            | {
                "actor": "operator:op-7",
                "reason": reason,
                "restored_from": former["content_id"],
                "recorded_at": at(),
            },
        }
        history.insert(0, (now, content))
        return {"restored": True, "content_id": now["content_id"], "version": now["version"]}

    def content(self, _number: int, kind: str, concept_id: str, revision_id: str | None) -> Document:
        """The saved content of an item, or of a revision."""
        history = self.history(kind, concept_id)
        wanted = revision_id or history[0][0]["revision_id"]
        ((revision, content),) = [each for each in history if each[0]["revision_id"] == wanted]
        return {
            "concept_id": concept_id,
            "content_type": kind,
            "generated_at": revision["generated_at"],
            "content": content,
            "content_link": None,
        }

    def changes(self, number: int, query: Mapping[str, list[str]]) -> Document:
        """The changes of a task: one page, then an empty one."""
        row = self.row(number)
        names = ["Attempt Started", "Item Saved", "Item Failed", "Task Finalized"]
        concept = {"concept_id": "roadmap-9b2c8d4e:c-3", "content_type": "quiz"}
        entries = [] if query.get("after") or row["status"] == "pending" else enumerate(names)
        return {
            "items": [
                {
                    "cursor": f"c{k}",
                    "id": f"event-{k}",
                    "type": name,
                    "time": at(minutes=40 - k),
                    "data": {
                        "task_id": row["task_id"],
                        "attempt": row["attempt"],
                        **(concept if name.startswith("Item") else {}),
                        **({"error_code": "InvalidContent"} if name == "Item Failed" else {}),
                    },
                }
                for k, name in entries
            ],
            "next_cursor": "c3",
            "more": False,
            "status": row["status"],
        }

    def attempts(self, number: int) -> Document:
        """A task's audit trail."""
        row = self.row(number)
        last = row["attempt"]
        if row["status"] == "pending":
            return {"items": [], "next_cursor": None}
        causes = ["first_run", "automatic", "retry", "recovery"]
        actors = ["console", "auto", "operator:op-7", "recovery:rec-1"]
        return {
            "items": [
                {
                    "attempt": attempt,
                    "actor": actors[(attempt - 1) % 4],
                    "cause": causes[(attempt - 1) % 4],
                    "reason": "after the database outage" if attempt > 2 else None,
                    "execution_arn": "arn:…",
                    "execution_url": f"{CONSOLE}/run-{attempt}",
                    "redrive_count": 0,
                    "step": "working",
                    "claimed_at": at(hours=6 - attempt),
                    "ended_at": None
                    if attempt == last and row["status"] == "processing"
                    else at(hours=6 - attempt, minutes=-4),
                    "outcome": None
                    if attempt == last and row["status"] == "processing"
                    else (row["status"] if attempt == last else "partial_failure"),
                    "planned": counts(30),
                    "saved": counts(30, tutorial=29, resources=24, quiz=29),
                    "failed": counts(tutorial=1, resources=6, quiz=1),
                    "not_started": counts(),
                    "generated": counts(tutorial=4, quiz=2),
                    "tokens": 18_250 * attempt,
                    "scope": None,
                }
                for attempt in range(last, 0, -1)
            ],
            "next_cursor": None,
        }

    def groups(self) -> Document:
        """Failures by cause."""
        if self.scenario.tasks == 0:
            return {"items": [], "next_cursor": None}
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        return {
            "items": [
                {
                    "group_id": f"g{k}",
                    **{key: reason[key] for key in ("error_code", "stage", "content_type", "remedy")},
                    "reason": reason["reason"] if not self.scenario.hostile else HOSTILE,
                    "needs_person": reason["needs_person"],
                    "example": {
                        "task_id": task_id(k),
                        "concept_id": "roadmap-9b2c8d4e:c-3",
                        "reason": reason["reason"] if not self.scenario.hostile else HOSTILE,
                    },
                    "tasks": 412 // (k + 1),
                    "items": 2_931 // (k + 1),
                    "first_seen": at(hours=20 - k),
                    "last_seen": at(minutes=4 + 50 * k),
                    "transient": False,
                    "remedy_text": "The next attempt does it.",
                    **self.group_states.get(f"g{k}", UNDECIDED),
                    "by_hour": [
                        [(hour - timedelta(hours=h)).strftime("%Y-%m-%dT%H:00:00Z"), (h * 37 + k * 11) % 90]
                        for h in range(22, -1, -1)
                        if (h + k) % 3 and (h < 14 or k == 1)
                    ],
                }
                for k, reason in enumerate(REASONS)
            ],
            "next_cursor": None,
        }

    def group(self, group_id: str) -> Document:
        """One group with its history."""
        (found,) = [each for each in self.groups()["items"] if each["group_id"] == group_id]
        return {**found, "changes": self.group_changes[::-1], "recoveries": [self.recovery(1)]}

    def decide(self, group_id: str, change: Document) -> None:
        """Change the state of a group."""
        note = HOSTILE if self.scenario.hostile else change["note"]
        limits = change.get("until"), change.get("until_tasks")
        self.group_states[group_id] = {
            "state": change["state"],
            "state_by": "operator:op-7",
            "state_at": at(seconds=1),
            "note": note,
            "ignored_until": limits[0],
            "ignored_until_tasks": limits[1],
        }
        self.group_changes.append(
            {
                "at": at(seconds=1),
                "actor": "operator:op-7",
                "state": change["state"],
                "note": note,
                "until": limits[0],
                "until_tasks": limits[1],
            }
        )

    def recovery(self, number: int) -> Document:
        """A recovery."""
        state = (
            self.recovery_state
            if number == 0
            else ["completed", "stopped_by_canary", "cancelled", "paused_by_breaker"][number % 4]
        )
        broken = number == BROKEN
        return {
            "recovery_id": f"rec-{number}",
            "state": state,
            "actor": "operator:op-7",
            "reason": [
                "after the database outage of 02:10",
                "release 41 is fixed",
                "canary of the new prompt",
            ][number % 3],
            "filter": {"regenerate": {"content_type": "quiz", "prompt_version": "en/quiz@3b0f6c1d92aa"}}
            if number == REGENERATION
            else {"status": ["failed", "partial_failure"], "error_code": "BatchLost"},
            "rate_per_minute": 60,
            "concurrency": 10,
            "token_budget": 2_000_000 if number else None,
            "canary": 5,
            "breaker": 10 if number in (0, BROKEN) else 0,
            "dry_run": False,
            "created_at": at(minutes=9 + 300 * number),
            "started_at": at(minutes=9 + 300 * number),
            "ended_at": at(minutes=300 * number - 20) if number and not broken else None,
            "counts": {
                "total": 200,
                "waiting": 88 if number == 0 or broken else 0,
                "running": 8 if number == 0 else 0,
                "recovered": 91 if number == 0 or broken else 180,
                "still_failing": 17 if broken else 9,
                "refused": 4 if number == 0 or broken else 11,
            },
            "tokens_used": 412_330,
            "rate_actual": 53.4,
            "stop_reason": {
                "stopped_by_canary": "3 of 5 canary tasks failed",
                "paused_by_breaker": "5 of the last 7 tasks failed, the last 5 of them in the same failure"
                f" group g1: {REASONS[1]['error_code']}: {REASONS[1]['reason']}",
            }.get(state),
            "undone": self.undone() if number == REGENERATION and self.undo_requests else None,
        }

    def undone(self) -> Document:
        """The counts of the undo, which takes two requests."""
        half = self.undo_requests == 1
        return {
            "tasks_left": 80 if half else 0,
            "restored": 96 if half else 187,
            "not_replaced": 2 if half else 4,
            "left_alone": 1 if half else 2,
        }

    def recovery_tasks(self, number: int, query: Mapping[str, list[str]]) -> Document:
        """The results of a recovery's tasks."""
        left_alone = [
            {"concept_id": "roadmap-9b2c8d4e:c-3", "content_type": "quiz", "reason": "ChangedSince"},
            {
                "concept_id": "roadmap-9b2c8d4e:c-8",
                "content_type": "quiz",
                "reason": "RestoreRefused: the database refused the revision: SQLSTATE 23514",
            },
        ]
        results = ["recovered", "recovered", "still_failing", "running", "waiting", "refused"]
        wanted = query.get("result", [None])[0]
        return {
            "items": [
                {
                    "task_id": task_id(k),
                    "title": None if k == 7 else TITLES[k % len(TITLES)],
                    "result": results[k % 6],
                    "reason": {
                        "still_failing": f"{REASONS[0]['error_code']}: {REASONS[0]['reason']}",
                        "refused": "AtWorkElsewhere",
                    }.get(results[k % 6]),
                    "attempt": 3,
                    "started_at": None if results[k % 6] == "waiting" else at(minutes=k + 3),
                    "ended_at": at(minutes=k + 1) if results[k % 6] not in ("running", "waiting") else None,
                    "canary": k < 5,
                    "undone": {"restored": 3, "not_replaced": 0, "left_alone": left_alone if k == 1 else []}
                    if number == REGENERATION and self.undo_requests and results[k % 6] == "recovered"
                    else None,
                }
                for k in range(50)
                if wanted in (None, results[k % 6])
            ],
            "next_cursor": None,
        }

    def health(self) -> Document:
        """The system's health."""
        quiet = self.scenario.tasks == 0
        return {
            "status": "ok" if quiet else "attention",
            "stuck_tasks": 0 if quiet else 2,
            "more_stuck_tasks": False,
            "drifted_tasks": 0,
            "last_sweep": None
            if quiet
            else {
                "at": at(minutes=3),
                "seconds": 2.1,
                "checked": 480,
                "repaired": 1,
                "refused": 0,
                "finished": True,
            },
            "dead_letters": 0 if quiet else 1,
            "outbox_waiting": 0 if quiet else 12,
            "outbox_aside": 0,
            "queue": {
                "waiting": 0 if quiet else 37,
                "oldest_waiting_since": None if quiet else at(minutes=6),
                "at_work": 0 if quiet else 14,
                "slots": 20,
                "stopped_reason": self.scenario.stopped,
            },
            "tokens": {
                "spent_24h": 0 if quiet else 1_822_004,
                "saved_by_staging_24h": 0 if quiet else 934_100,
            },
            "tasks_estimated": [] if quiet else ["completed"],
            "tasks": {}
            if quiet
            else {"processing": 14, "partial_failure": 96, "failed": 317, "completed": 10_000},
            "recoveries_running": 0 if quiet else 1,
            "failure_groups": {
                state: sum(group["state"] == state for group in self.groups()["items"])
                for state in ("new", "regressed", "acknowledged", "ignored", "resolved")
            },
            "schema_revision": "0007",
            "release": "e456c81",
            "attention": []
            if quiet
            else [
                {
                    "what": "stuck_tasks",
                    "text": "2 tasks have an attempt without a run; the next sweep finishes them.",
                    "runbook": "docs/runbook.md#a-task-stays-in-processing",
                },
                {
                    "what": "dead_letters",
                    "text": "1 event was not handled. The sweep does its work; read the queue.",
                    "runbook": "docs/runbook.md#dead-letters",
                },
                {
                    "what": "failure_groups",
                    "text": "Groups of failures that are new or have come back: 4. "
                    "Acknowledge or ignore each, or start a recovery for it.",
                    "runbook": "docs/runbook.md#failure-groups",
                },
            ],
        }
