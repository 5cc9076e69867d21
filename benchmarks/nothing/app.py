"""A function that does nothing: it answers with the fields that each state of the state machine needs."""

from typing import Any

CONTENT_TYPES = ("tutorial", "resources", "quiz")


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer as Plan (with a batch for each content type), as Generate and Save, or as Finalize."""
    if "lost" in event:
        return {"complete": True, "status": "completed"}
    if "batch" in event:
        return {"batch": event["batch"]}
    batches = [{"number": number, "content_type": name} for number, name in enumerate(CONTENT_TYPES)]
    return {"plan": {"task_id": event["input"]["task_id"]}, "batches": batches}
