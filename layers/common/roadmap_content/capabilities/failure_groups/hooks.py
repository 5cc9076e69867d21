"""The hooks of failure groups."""

from ...state.services import Capability, Retention
from .states import are_known, count_groups
from .sums import change_sums

FAILURE_GROUPS = Capability(
    failures_changed=change_sums,
    after_outcome=are_known,
    sweep=(Retention("content_failure_hours", 400, "hour"),),
    health=count_groups,
)
