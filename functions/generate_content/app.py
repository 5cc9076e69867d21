"""Lambda of the state Generate: generates and stages the items of a batch that are not staged."""

from roadmap_content.contracts import BatchRequest
from roadmap_content.steps.generate import generate_content
from roadmap_content.steps.handler import step_handler

handler = step_handler(BatchRequest, generate_content)
