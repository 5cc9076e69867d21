"""Stages what a batch misses."""

from roadmap_content.contracts import BatchRequest
from roadmap_content.generating import generate_content
from roadmap_content.handler import step_handler

handler = step_handler(BatchRequest, generate_content)
