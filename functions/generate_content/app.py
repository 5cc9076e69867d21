"""Lambda of the state Generate: generates and stages the items of a batch that are not staged."""

from roadmap_content.contracts.payloads import BatchRequest
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.handler import step_handler

handler = step_handler(BatchRequest, generate_content)
