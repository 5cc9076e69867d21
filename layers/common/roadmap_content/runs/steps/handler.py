"""Create the Lambda handler of a step: parse the event, run the step, return its result."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...contracts.errors import ContentError, frames_of, named
from ...contracts.payloads import Payload, PayloadT, parse
from ...platform.aws.awake import keeps_awake
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.outbox import deliver_events
from ...state.services import Capability, Services

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

DELIVERY_SECONDS = 10.0
"""The time limit for sending events at an invocation's end. The sweep sends the rest."""

Handler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]


def step_handler(
    request_type: type[PayloadT],
    step: Callable[[PayloadT, Services, Deadline], Payload],
    services: Services | None = None,
    *,
    capabilities: Sequence[Capability] | None = None,
    is_alarmed: bool = True,
) -> Handler:
    """Create the handler of a step. Its services are kept for the next invocation; `capabilities` are those
    that they compose. `is_alarmed`: StepErrorsAlarm counts Lambda's errors of the function; those that are
    part of the normal course (`is_excused`) are counted here, and subtracted.
    """
    services = services or Services(capabilities=capabilities)

    @keeps_awake
    @logger.inject_lambda_context(clear_state=True)
    def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        logger.set_correlation_id(_execution_arn(event))
        logger.append_keys(**_identifiers(event))
        request = parse(request_type, event)
        deadline = Deadline.of(context)
        try:
            result = step(request, services, deadline)
        except ContentError as known:
            if known.is_excused and is_alarmed:
                emit({Metric.STEPS_EXCUSED: 1})
            raise
        except Exception as unnamed:  # noqa: BLE001 - raised again as a named error
            error = named(unnamed)
            logger.error("step_failed", **error.why, frames=frames_of(unnamed))
            # `from None`: the error in Step Functions and in the log must not quote SQL or content.
            raise error from None
        finally:
            deliver_events(services, deadline.within(DELIVERY_SECONDS))
        return result.model_dump(mode="json")

    return handler


def _identifiers(event: dict[str, Any]) -> dict[str, Any]:
    """The ids in a step's request, for each log entry. The event is not validated yet."""
    run, plan, batch = (event.get(part) or {} for part in ("input", "plan", "batch"))
    if not all(isinstance(part, dict) for part in (run, plan, batch)):
        return {}
    ids = {
        "task_id": plan.get("task_id", run.get("task_id")),
        "attempt": plan.get("attempt", run.get("attempt")),
        "roadmap_id": plan.get("roadmap_id"),
        "batch": batch.get("number"),
    }
    return {name: value for name, value in ids.items() if value is not None}


def _execution_arn(event: dict[str, Any]) -> str | None:
    """The execution in a step's request, of Plan, Finalize and AwaitRedrive, or of the steps of a batch."""
    match event:
        case {"execution": {"Id": str(arn)}} | {"execution_arn": str(arn)}:
            return arn
        case _:
            return None
