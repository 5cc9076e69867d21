"""This project's Save: through the handler, and only its database work."""

import json
from collections.abc import Callable

from aws_lambda_powertools.utilities.typing import LambdaContext

from roadmap_content.content.manifest import read_batch
from roadmap_content.contracts.items import Failure
from roadmap_content.contracts.payloads import BatchRequest
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.steps.entries import Prepared
from roadmap_content.runs.steps.handler import step_handler
from roadmap_content.runs.steps.prepare import SavePreparation
from roadmap_content.runs.steps.save import save_batch
from roadmap_content.runs.steps.write import Writer
from roadmap_content.state.services import Services

from ..stock import Stock

_PATIENCE = 600.0


class Context(LambdaContext):
    """A Lambda context."""

    _function_name = "save_batch"
    _memory_limit_in_mb = 512
    _invoked_function_arn = "arn:benchmark"
    _aws_request_id = "benchmark"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Enough time for any batch."""
        return int(_PATIENCE * 1000)


def through_the_handler(stock: Stock, services: Services, batch_size: int) -> Callable[[], object]:
    """From events to responses: staged objects are read, validated, encoded and saved."""
    services.bucket = stock.bucket
    handler = step_handler(BatchRequest, save_batch, services)
    events = [json.loads(request.model_dump_json()) for request in stock.requests(batch_size)]
    return lambda: [handler(event, Context()) for event in events]


def database_part(stock: Stock, services: Services, batch_size: int) -> Callable[[], list[Failure]]:
    """From validated, encoded rows to the commit, with one transaction per batch."""
    services.bucket = stock.bucket
    prepared: list[tuple[Writer, Prepared]] = []
    for request in stock.requests(batch_size):
        batch = read_batch(services.bucket, request.plan.manifest, request.batch)
        preparer = SavePreparation(request, services, batch, Deadline.after(_PATIENCE))
        contents = preparer.prepare(list(batch.concepts))
        assert not contents.failed  # noqa: S101 - otherwise the wrong work would be measured
        prepared.append((Writer(request, services, batch, preparer.origins), contents))

    def save() -> list[Failure]:
        deadline = Deadline.after(_PATIENCE)
        return [failure for writer, contents in prepared for failure in writer.save(contents, deadline)]

    return save
