"""Records how an attempt ended."""

from roadmap_content.steps.finalize import FinalizeRequest, finalize_task
from roadmap_content.steps.handler import step_handler

handler = step_handler(FinalizeRequest, finalize_task)
