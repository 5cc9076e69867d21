"""This project's saver: through the handler, and its database part alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from roadmap_content.connections import Connections
from roadmap_content.contracts import BatchRequest
from roadmap_content.deadline import Deadline
from roadmap_content.handler import step_handler
from roadmap_content.items import Failure
from roadmap_content.manifest import read_batch
from roadmap_content.saving import Ready, Saver, save_batch

from ..stock import Stock

_PATIENCE = 600.0


@dataclass(frozen=True)
class Context:
    """What Lambda gives to a handler."""

    function_name: str = "save_batch"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:benchmark"
    aws_request_id: str = "benchmark"

    def get_remaining_time_in_millis(self) -> int:
        """As much as it takes."""
        return int(_PATIENCE * 1000)


def through_the_handler(stock: Stock, connections: Connections, batch_size: int) -> Callable[[], object]:
    """Events in, answers out: staged objects are read, checked, encoded and saved."""
    connections.bucket = stock.bucket
    handler = step_handler(BatchRequest, save_batch, connections)
    events = [json.loads(request.model_dump_json()) for request in stock.requests(batch_size)]
    return lambda: [handler(event, Context()) for event in events]


def database_part(stock: Stock, connections: Connections, batch_size: int) -> Callable[[], list[Failure]]:
    """From checked, encoded rows to the commit: a transaction per batch, which is of one content type."""
    connections.bucket = stock.bucket
    batches: list[tuple[Saver, list[Ready]]] = []
    for request in stock.requests(batch_size):
        saver = Saver(request, connections)
        concepts = read_batch(connections.bucket, request.plan.manifest, request.batch)
        ready = [outcome for outcome in map(saver.prepare, concepts) if isinstance(outcome, Ready)]
        assert len(ready) == request.batch.items  # noqa: S101 - or something else would be measured
        batches.append((saver, ready))

    def save() -> list[Failure]:
        engine, deadline = connections.engine, Deadline.after(_PATIENCE)
        return [failure for saver, ready in batches for failure in saver.save(engine, ready, [], deadline)]

    return save
