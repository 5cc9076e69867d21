"""Lambda of the state Finalize: records the outcome of an attempt."""

from roadmap_content.capabilities.recoveries.hooks import RECOVERIES
from roadmap_content.runs.steps.finalize import FinalizeRequest, finalize_task
from roadmap_content.runs.steps.handler import step_handler

handler = step_handler(FinalizeRequest, finalize_task, capabilities=(RECOVERIES,))
