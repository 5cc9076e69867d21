"""Lambda of the state Finalize: records the outcome of an attempt."""

from roadmap_content.reconciliation.finish import finish_run
from roadmap_content.steps.finalize import FinalizeRequest
from roadmap_content.steps.handler import step_handler

handler = step_handler(FinalizeRequest, finish_run)
