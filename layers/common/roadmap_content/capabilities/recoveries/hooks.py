"""The hooks of recoveries."""

from ...platform.runtime.deadline import Deadline
from ...state.services import Capability, Job, Services
from .advance import advance_all, advance_if_possible
from .recovery import WAITING, count_unfinished_recoveries, recovery_of


def _advance_after(services: Services, actor: str, deadline: Deadline) -> None:
    """Advance the recovery that started an attempt, if one did."""
    recovery_id = recovery_of(actor)
    if recovery_id is not None:
        advance_if_possible(services, recovery_id, deadline)


RECOVERIES = Capability(
    sweep=(Job("recoveries", 30, advance_all),),
    waiting=WAITING,
    after_run=_advance_after,
    health=count_unfinished_recoveries,
)
