"""Uses a client that was generated from docs/openapi.json; run by its own interpreter.

`python use_generated_client.py URL TOKEN TASK_ID` prints one JSON document with the API's responses.
"""

import json
import sys
from importlib import import_module
from typing import Any


def call(tag: str, operation: str, *arguments: Any, **parameters: Any) -> Any:
    """Call an operation; return its typed response."""
    module = import_module(f"roadmap_content_client.api.{tag}.{operation}")
    return module.sync(*arguments, **parameters)


def main(url: str, token: str, task_id: str) -> None:
    """Read, preview, retry and read again."""
    package = import_module("roadmap_content_client")
    models = import_module("roadmap_content_client.models")
    client = package.AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
    statuses = ["failed", "partial_failure"]
    page = call("tasks", "list_tasks", client=client, status=statuses, q=task_id)
    preview = call("tasks", "retry_task", task_id, client=client, dry_run=True)
    started = call("tasks", "retry_task", task_id, client=client, reason="from a generated client")
    item_type = models.ContentType.QUIZ
    absent = call("tasks", "get_item", task_id, item_type, client=client, concept_id="no such concept")
    request = models.RecoveryRequest(
        filter_=models.RecoveryFilter(task_ids=[task_id]), reason="preview", dry_run=True
    )
    recovery = call("recoveries", "create_recovery", client=client, body=request)
    intruder = package.AuthenticatedClient(base_url=url, token="none", raise_on_unexpected_status=True)
    refused = call("caller", "get_me", client=intruder)
    answers = {
        "me": call("caller", "get_me", client=client),
        "page": page,
        "preview": preview,
        "started": started,
        "attempts": call("tasks", "list_attempts", task_id, client=client),
        "absent": absent,
        "recovery": recovery,
        "refused": refused,
    }
    types = {name: type(answer).__name__ for name, answer in answers.items()}
    documents = {name: answer.to_dict() for name, answer in answers.items()}
    sys.stdout.write(json.dumps({"types": types, "answers": documents}))


if __name__ == "__main__":
    main(*sys.argv[1:])
