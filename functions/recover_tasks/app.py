"""Lambda of the recovery's state machine: runs one turn of a recovery."""

from roadmap_content.recoveries.advance import AdvanceRequest, advance
from roadmap_content.steps.handler import step_handler

handler = step_handler(AdvanceRequest, advance)
