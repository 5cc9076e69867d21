"""Lambda of the state Save: saves the staged items of a batch."""

from roadmap_content.contracts.payloads import BatchRequest
from roadmap_content.runs.steps.handler import step_handler
from roadmap_content.runs.steps.save import save_batch

handler = step_handler(BatchRequest, save_batch)
