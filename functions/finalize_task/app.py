"""Lambda of the state Finalize: records the outcome of an attempt."""

from roadmap_content.capabilities.composed import EVERY
from roadmap_content.runs.reconciliation.finish import finish_run
from roadmap_content.runs.steps.finalize import FinalizeRequest
from roadmap_content.runs.steps.handler import step_handler

handler = step_handler(FinalizeRequest, finish_run, capabilities=EVERY)
