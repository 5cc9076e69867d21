"""Make the candidate's items and examine the pairs: findings of both, doubtful questions, preferences."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from roadmap_command.compare.calls import Calls, KeptModel
from roadmap_command.compare.candidates import BedrockCandidate, Candidate
from roadmap_command.compare.findings import Finding
from roadmap_command.compare.judge import DOUBTFUL, SHOWN, Judge, Preference
from roadmap_command.compare.sample import StoredItem
from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.model import ModelGenerator
from roadmap_content.content.generation.quota import Usage
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import ContentError, InvalidContentError, ModelDeclinedError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline

ITEM_SECONDS = 1_800
"""The time for one item, and for the judge's answers about it: enough for calls that are throttled."""


class Examined(NamedTuple):
    """One content of a pair."""

    content: Document | None
    """`None` if the candidate could not generate it."""

    findings: Sequence[Finding]
    """It counts as faulty for the verdict if there is one. The doubtful questions are among them."""

    questions: int = 0
    """The questions that the judge has answered."""

    @property
    def doubtful(self) -> int:
        """The number of doubtful questions."""
        return sum(finding.code == DOUBTFUL for finding in self.findings)


class Pair(NamedTuple):
    """A stored item and the candidate's, examined."""

    item: StoredItem
    present: Examined
    candidate: Examined
    preference: Preference | None
    usage: Usage | None
    """The candidate's tokens, with a correction; `None` if an answer had none."""

    seconds: float


class NotCompared(NamedTuple):
    """An item without a result, and the reason."""

    item: StoredItem
    reason: str


@dataclass
class Comparison:
    """Compares items. Safe for several threads, with one item per thread."""

    calls: Calls
    candidate: Candidate[Any]
    judge: BedrockCandidate | None

    def compare(self, item: StoredItem) -> Pair | NotCompared:
        """Make the candidate's item, and examine both."""
        kept = KeptModel(self.candidate, self.calls, item.name)
        request = GenerationRequest(
            item.concept,
            item.content_type,
            item.learner,
            roadmap_id=item.roadmap_id,
            idempotency_token=str(uuid.uuid4()),  # a function may keep its answers by it
        )
        content: Document | None
        try:
            content = ModelGenerator(kept).generate(request, Allowance(Deadline.after(ITEM_SECONDS)))
            findings = item.findings(content)
        except (InvalidContentError, ModelDeclinedError) as error:
            content, findings = None, [Finding("not-generated", "item", f"{error.recorded_code}: {error}")]
        except ContentError as error:
            return NotCompared(item, f"{error.recorded_code}: {error}")
        present = Examined(item.content, item.findings(item.content))
        candidate = Examined(content, findings)
        preference: Preference | None = None
        if self.judge is not None:
            try:
                present, candidate, preference = self._judged(self.judge, item, present, candidate)
            except ContentError as error:
                return NotCompared(item, f"judge: {error.code}: {error}")
        return Pair(item, present, candidate, preference, kept.usage, kept.seconds)

    def _judged(
        self, model: BedrockCandidate, item: StoredItem, present: Examined, candidate: Examined
    ) -> tuple[Examined, Examined, Preference | None]:
        generator = ModelGenerator(KeptModel(model, self.calls, item.name))
        judge = Judge(generator, Allowance(Deadline.after(ITEM_SECONDS)))
        name = item.concept.name

        def solved(side: Examined) -> Examined:
            if side.content is None:
                return side
            doubts = judge.solve(name, side.content)
            return Examined(side.content, [*doubts, *side.findings], len(side.content["questions"]))

        if item.content_type is ContentType.QUIZ:
            return solved(present), solved(candidate), None
        if present.content is None or candidate.content is None or item.content_type not in SHOWN:
            return present, candidate, None
        return present, candidate, judge.prefer(name, item.content_type, present.content, candidate.content)
