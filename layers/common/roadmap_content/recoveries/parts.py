"""The executions of a recovery. They run one after another; each is named after the recovery and a number."""

from ..services import Services


def part_name(recovery_id: str, part: int) -> str:
    """The name of a recovery's execution number `part`."""
    return f"{recovery_id}-p{part}"


def part_arn(services: Services, recovery_id: str, part: int) -> str:
    """The ARN that a recovery's execution has, or will have."""
    return services.recovery_executions.named_arn(part_name(recovery_id, part))


def start_part(services: Services, recovery_id: str, part: int) -> None:
    """Start a recovery's execution. Does nothing if it has been started already.

    Raises:
        ExecutionsUnavailableError: it is unknown whether the execution started.
    """
    name = part_name(recovery_id, part)
    services.recovery_executions.start_named(name, {"recovery_id": recovery_id, "turn": 0})
