"""The hooks of automatic attempts."""

from ...state.services import Capability, Job
from .plans import plan_automatic_attempt
from .start import start_unless_held

AUTOMATIC_ATTEMPTS = Capability(
    after_outcome=plan_automatic_attempt, sweep=(Job("automatic attempts", 15, start_unless_held),)
)
