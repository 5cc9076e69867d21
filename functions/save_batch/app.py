"""Lambda of the state Save: saves the staged items of a batch."""

from roadmap_content.contracts import BatchRequest
from roadmap_content.steps.handler import step_handler
from roadmap_content.steps.save import save_batch

handler = step_handler(BatchRequest, save_batch)
