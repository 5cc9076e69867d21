"""Records how an attempt ended."""

from roadmap_content.finalizing import FinalizeRequest, finalize_task
from roadmap_content.handler import step_handler

handler = step_handler(FinalizeRequest, finalize_task)
