"""A generator that records its calls in the log of the oracle."""

from roadmap_content.content.generation.generator import Allowance, GenerationRequest, Generator
from roadmap_content.contracts.documents import Document
from tests.support.evidence import Log


class RecordingGenerator:
    """A `Generator` that records every call, because every call would be paid for."""

    def __init__(self, generator: Generator, log: Log) -> None:
        self._generator = generator
        self._log = log

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        """Generate an item and record the call."""
        self._log.generated.append((request.concept.concept_id, str(request.content_type)))
        return self._generator.generate(request, allowance)
