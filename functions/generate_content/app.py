"""Stages what a batch misses."""

from roadmap_content.contracts import BatchRequest
from roadmap_content.steps.generate import generate_content
from roadmap_content.steps.handler import step_handler

handler = step_handler(BatchRequest, generate_content)
