"""The examples of the OpenAPI document: by operation and status, each with a name."""

from collections.abc import Mapping
from typing import Any

Examples = Mapping[str, Mapping[str, Any]]

_AT = "2026-11-25T02:41:07Z"
_ARN = "arn:aws:states:eu-central-1:123456789012:execution:save-content"
_TASK = "task-7f3a"
_ROADMAP = "prompt-engineering-9b2c8d4e"
_CONCEPT = f"{_ROADMAP}:c-1-1-2"
_ZEROS = {"tutorial": 0, "resources": 0, "quiz": 0}

_GROUP = {
    "error_code": "InvalidContent",
    "stage": "save",
    "content_type": "quiz",
    "reason": "questions.<n>.options: List should have at least <n> items",
}
_REMEDY = {
    "remedy": "reject_and_generate",
    "remedy_text": "The next attempt moves the invalid content to rejected/ and generates the item again.",
    "needs_person": False,
}
_REASON = "questions[3].options: List should have at least 2 items"

_TASK_ROW = {
    "task_id": _TASK,
    "roadmap_id": _ROADMAP,
    "title": "Prompt engineering",
    "user_id": "user-1",
    "status": "partial_failure",
    "current_step": "content_generation",
    "attempt": 1,
    "updated_at": _AT,
    "created_at": "2026-11-25T02:30:00Z",
    "completed_at": _AT,
    "progress": {"total": 90, "saved": 89, "missing": 1},
    "top_reason": {**_GROUP, "items": 1},
    "needs_person": False,
    "ours": True,
}

_CONTENT = {
    "concept_id": _CONCEPT,
    "content_type": "resources",
    "generated_at": _AT,
    "content": {
        "id": "5d1c7f0a-0f0e-4a5e-9d52-0c9a5b8f6f11",
        "resources": [{"title": "Prompt design", "url": "https://example.org/prompts", "type": "article"}],
        "search_queries_used": ["prompt design tutorial"],
    },
    "content_link": None,
}

_CHANGES = {
    "items": [
        {
            "cursor": "WyJjaGFuZ2VzIHRhc2stN2YzYSIsIDQyXQ",
            "id": "0b0a3c1e-6c1f-5c67-8a43-1d2f1a1d9b0e",
            "type": "Item Saved",
            "time": _AT,
            "data": {
                "task_id": _TASK,
                "roadmap_id": _ROADMAP,
                "attempt": 1,
                "concept_id": _CONCEPT,
                "content_type": "resources",
            },
        }
    ],
    "next_cursor": "WyJjaGFuZ2VzIHRhc2stN2YzYSIsIDQyXQ",
    "status": "processing",
    "more": False,
}

_STATUS = {
    "task_id": _TASK,
    "roadmap_id": _ROADMAP,
    "status": "partial_failure",
    "current_step": "content_generation",
    "attempt": 1,
    "execution_arn": f"{_ARN}:{_TASK}-1-5c1f",
    "progress": {
        "tutorial": {"total": 30, "saved": 30, "missing": 0},
        "resources": {"total": 30, "saved": 30, "missing": 0},
        "quiz": {"total": 30, "saved": 29, "missing": 1},
    },
    "failed_items": [
        {
            "concept_id": _CONCEPT,
            "content_type": "quiz",
            "stage": "save",
            "error_code": "InvalidContent",
            "reason": _REASON,
        }
    ],
    "error_message": "1 of 90 items is missing",
    "updated_at": _AT,
    "completed_at": _AT,
    "title": "Prompt engineering",
    "created_at": "2026-11-25T02:30:00Z",
    "user_id": "user-1",
    "live": False,
    "execution_url": None,
    "actions": {"retry": True, "cancel": False, "checkpoint": True, "narrow": True},
    "tokens": {"used": 0, "budget": 2_000_000},
}

_ITEMS = {
    "task_id": _TASK,
    "roadmap_id": _ROADMAP,
    "concepts": 2,
    "first_concept": 0,
    "stages": [
        {
            "name": "Foundations",
            "modules": [
                {
                    "name": "Prompts",
                    "concepts": [
                        [f"{_ROADMAP}:c-1-1-1", "What a prompt is"],
                        [_CONCEPT, "Few-shot examples"],
                    ],
                }
            ],
        }
    ],
    "states": "SSSSSF",
    "reasons": [{**_GROUP, **_REMEDY, "items": 1}],
    "reason_of": [[5, 0]],
    "next_cursor": None,
}

_ITEM = {
    "concept_id": _CONCEPT,
    "name": "Few-shot examples",
    "content_type": "quiz",
    "stage": "Foundations",
    "module": "Prompts",
    "state": "rejected",
    "next_action": "reject_and_generate",
    "next_action_text": _REMEDY["remedy_text"],
    "needs_person": False,
    "failures": [
        {
            "attempt": 1,
            "stage": "save",
            "error_code": "InvalidContent",
            "reason": _REASON,
            "transient": False,
            "occurred_at": _AT,
        }
    ],
    "staged": {"size": 2310, "stored_at": "2026-11-25T02:35:10Z", "fingerprint": "9a0364b9e99bb480"},
    "rejected": [],
    "saved": None,
}

_ATTEMPTS = {
    "items": [
        {
            "attempt": 1,
            "actor": "user:user-1",
            "cause": "first_run",
            "reason": None,
            "execution_arn": f"{_ARN}:{_TASK}-1-5c1f",
            "redrive_count": 0,
            "step": "ended",
            "claimed_at": "2026-11-25T02:30:01Z",
            "ended_at": _AT,
            "outcome": "partial_failure",
            "planned": {"tutorial": 30, "resources": 30, "quiz": 30},
            "saved": {"tutorial": 30, "resources": 30, "quiz": 29},
            "failed": {**_ZEROS, "quiz": 1},
            "generated": _ZEROS,
            "tokens": 0,
            "scope": None,
        }
    ],
    "next_cursor": None,
}

_FAILURES = {
    "items": [
        {
            "group_id": "1f0c6c8e2f3a4b5d",
            **_GROUP,
            "example": {"task_id": _TASK, "concept_id": _CONCEPT, "reason": _REASON},
            "tasks": 366,
            "items": 682,
            "first_seen": "2026-11-25T02:12:00Z",
            "last_seen": _AT,
            "transient": False,
            **_REMEDY,
            "by_hour": [["2026-11-25T02:00:00Z", 682]],
        }
    ],
    "next_cursor": None,
}

_HEALTH = {
    "status": "attention",
    "stuck_tasks": 0,
    "drifted_tasks": 0,
    "last_sweep": {
        "at": "2026-11-25T02:40:00Z",
        "seconds": 1.9,
        "checked": 214,
        "repaired": 0,
        "refused": 0,
        "finished": True,
    },
    "dead_letters": 2,
    "outbox_waiting": 0,
    "outbox_aside": 0,
    "tokens": {"spent_24h": 1_204_311, "saved_by_staging_24h": 310_020},
    "tasks": {"completed": 48_210, "failed": 634, "partial_failure": 366, "processing": 12},
    "tasks_estimated": ["completed"],
    "recoveries_running": 1,
    "schema_revision": "0015",
    "release": "3f9c2ab",
    "attention": [
        {
            "what": "dead_letters",
            "text": "2 events were not handled. The sweep does their work; read the queue.",
            "runbook": "docs/runbook.md#dead-letters",
        }
    ],
}

_RETRY = {
    "success": True,
    "recovery_type": "content_retry",
    "task_id": _TASK,
    "roadmap_id": _ROADMAP,
    "status": "processing",
    "items_to_retry": {**_ZEROS, "quiz": 1},
    "total_items": 1,
    "attempt": 2,
    "execution_arn": f"{_ARN}:{_TASK}-2-5c1f",
    "message": "Attempt started for the missing items",
}

_RECOVERY = {
    "recovery_id": "rec-0b1f5a2c9d3e4f60",
    "state": "running",
    "actor": "operator:op-1",
    "reason": "The database was down from 02:10 to 02:40",
    "filter": {"status": ["failed"], "error_code": "DatabaseUnavailable"},
    "rate_per_minute": 60,
    "concurrency": 10,
    "token_budget": None,
    "canary": 5,
    "created_at": "2026-11-25T02:45:00Z",
    "started_at": "2026-11-25T02:45:01Z",
    "ended_at": None,
    "counts": {
        "total": 634,
        "waiting": 301,
        "running": 10,
        "recovered": 320,
        "still_failing": 2,
        "refused": 1,
    },
    "tokens_used": 0,
    "rate_actual": 59.8,
    "execution_arn": f"{_ARN.replace('save-content', 'recover-tasks')}:rec-0b1f5a2c9d3e4f60-p1",
    "stop_reason": None,
}
_PAUSED = {**_RECOVERY, "state": "paused"}
_CANCELLED = {
    **_RECOVERY,
    "state": "cancelled",
    "counts": {**_RECOVERY["counts"], "waiting": 0, "refused": 302},  # type: ignore[dict-item]
}

_RECOVERY_TASKS = {
    "items": [
        {
            "task_id": _TASK,
            "result": "still_failing",
            "reason": "ModelDeclined: the model declined to write about this concept",
            "attempt": 2,
            "started_at": "2026-11-25T02:45:02Z",
            "ended_at": "2026-11-25T02:46:40Z",
            "canary": True,
        }
    ],
    "next_cursor": None,
}


def _one(value: object) -> Examples:
    return {"example": {"value": value}}


REQUESTS: Mapping[str, Examples] = {
    "create_recovery": {
        "after_an_outage": {
            "value": {
                "filter": {"status": ["failed"], "error_code": "DatabaseUnavailable"},
                "reason": "The database was down from 02:10 to 02:40",
                "rate_per_minute": 60,
                "canary": 5,
            }
        },
        "preview_of_one_group": {
            "value": {
                "filter": {"group_id": "1f0c6c8e2f3a4b5d"},
                "reason": "Quizzes of the previous release",
                "token_budget": 500_000,
                "dry_run": True,
            }
        },
    }
}

ANSWERS: Mapping[str, Mapping[str, Examples]] = {
    "get_me": {
        "200": _one({"user_id": "op-1", "roles": ["operator", "owner"], "expires_at": "2026-11-25T10:00:00Z"})
    },
    "list_tasks": {
        "200": _one({"items": [_TASK_ROW], "next_cursor": None, "total": 1, "total_is_exact": True})
    },
    "get_task": {"200": _one(_STATUS)},
    "list_items": {"200": _one(_ITEMS)},
    "get_item": {"200": _one(_ITEM)},
    "get_content": {"200": _one(_CONTENT)},
    "list_changes": {"200": _one(_CHANGES)},
    "list_attempts": {"200": _one(_ATTEMPTS)},
    "list_failures": {"200": _one(_FAILURES)},
    "get_health": {"200": _one(_HEALTH)},
    "retry_task": {
        "200": {
            "nothing_is_missing": {
                "value": {
                    **_RETRY,
                    "status": "completed",
                    "items_to_retry": _ZEROS,
                    "total_items": 0,
                    "attempt": 1,
                    "message": "None of the requested items is missing",
                }
            },
            "preview": {
                "value": {
                    "dry_run": True,
                    "task_id": _TASK,
                    "staged": _ZEROS,
                    "to_generate": {**_ZEROS, "quiz": 1},
                    "total_items": 1,
                    "estimated_tokens": 2_150,
                    "estimate_basis": "roadmap",
                }
            },
        },
        "202": _one(_RETRY),
    },
    "cancel_task": {
        "200": _one(
            {
                "success": True,
                "task_id": _TASK,
                "status": "cancelled",
                "attempt": 2,
                "stopped_execution": f"{_ARN}:{_TASK}-2-5c1f",
            }
        )
    },
    "create_recovery": {
        "200": _one(
            {
                "dry_run": True,
                "tasks": 366,
                "items": {"staged": _ZEROS, "to_generate": {**_ZEROS, "quiz": 682}},
                "estimated_tokens": 1_466_300,
                "estimated_minutes": 6.1,
                "refused": {},
            }
        ),
        "201": _one({**_RECOVERY, "state": "waiting", "started_at": None, "rate_actual": None}),
    },
    "list_recoveries": {"200": _one({"items": [_RECOVERY], "next_cursor": None})},
    "get_recovery": {"200": _one(_RECOVERY)},
    "list_recovery_tasks": {"200": _one(_RECOVERY_TASKS)},
    "pause_recovery": {"200": _one(_PAUSED)},
    "resume_recovery": {"200": _one(_RECOVERY)},
    "cancel_recovery": {"200": _one(_CANCELLED)},
}


def _refusal(error: str, message: str, **more: object) -> dict[str, object]:
    return {"success": False, "error": error, "message": message, "detail": message, **more}


REFUSALS: Mapping[str, object] = {
    "401": {"message": "Unauthorized"},
    "403": _refusal("Forbidden", "user_id is not the user of the token"),
    "404": _refusal("TaskNotFound", "there is no task 'task-7f3b'"),
    "409": _refusal("ClaimRefused", f"task {_TASK} is being worked on by attempt 2", attempt=2),
    "422": _refusal("InvalidRequest", "query.limit: Input should be less than or equal to 200"),
    "503": _refusal("DatabaseUnavailable", "Service Unavailable"),
}
"""The examples of error responses, the same for every operation."""
