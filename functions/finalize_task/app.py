"""Lambda of the state Finalize: records the outcome of an attempt."""

from roadmap_content.capabilities.composed import EVERY
from roadmap_content.runs.steps.finalize import FinalizeRequest, finalize_task
from roadmap_content.runs.steps.handler import step_handler

handler = step_handler(FinalizeRequest, finalize_task, capabilities=EVERY)
