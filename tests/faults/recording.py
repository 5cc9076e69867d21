"""A generator that records its calls in the log of the oracle."""

from typing import Any

from roadmap_content.content.generation.generator import Generator
from roadmap_content.content.kind import Draft
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.items import ContentType
from tests.support.evidence import Log


class RecordingGenerator:
    """A `Generator` that records every call, because every call would be paid for."""

    def __init__(self, generator: Generator, log: Log) -> None:
        self._generator = generator
        self._log = log

    def generate(self, concept: Concept, content_type: ContentType, *how: Any) -> Draft:
        """Generate an item and record the call."""
        self._log.generated.append((concept.concept_id, str(content_type)))
        return self._generator.generate(concept, content_type, *how)
