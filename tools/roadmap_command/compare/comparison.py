"""Make the candidate's items and examine the pairs: findings of both, doubtful questions, preferences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from roadmap_command.compare.calls import Calls, KeptModel
from roadmap_command.compare.judge import DOUBTFUL, SHOWN, Judge, Preference
from roadmap_command.compare.sample import StoredItem
from roadmap_content.content.findings import Finding
from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.model import ModelGenerator
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import ContentError, InvalidContentError, ModelDeclinedError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline

if TYPE_CHECKING:
    from roadmap_content.content.generation.bedrock import BedrockModel

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
    tokens_in: int
    tokens_out: int
    seconds: float
    """The tokens and the time of the candidate's item, with a correction."""


class NotCompared(NamedTuple):
    """An item without a result, and the reason."""

    item: StoredItem
    reason: str


@dataclass
class Comparison:
    """Compares items. Safe for several threads, with one item per thread."""

    calls: Calls
    candidate: "BedrockModel"
    judge: "BedrockModel | None"
    prompts: Path | None = None
    """A folder with changed templates; see `prompt_for`."""

    def compare(self, item: StoredItem) -> Pair | NotCompared:
        """Make the candidate's item, and examine both."""
        kept = KeptModel(self.candidate, self.calls, item.name, self.prompts)
        request = GenerationRequest(item.concept, item.content_type, item.learner, is_bulk=True)
        content: Document | None
        try:
            content = ModelGenerator(kept).generate(request, Allowance(Deadline.after(ITEM_SECONDS)))
            findings = item.findings(content)
        except (InvalidContentError, ModelDeclinedError) as error:
            content, findings = None, [Finding("not-generated", "item", f"{error.code}: {error}")]
        except ContentError as error:
            return NotCompared(item, f"{error.code}: {error}")
        present = Examined(item.content, item.findings(item.content))
        candidate = Examined(content, findings)
        preference: Preference | None = None
        if self.judge is not None:
            try:
                present, candidate, preference = self._judged(self.judge, item, present, candidate)
            except ContentError as error:
                return NotCompared(item, f"judge: {error.code}: {error}")
        return Pair(item, present, candidate, preference, *kept.usage, kept.seconds)

    def _judged(
        self, model: "BedrockModel", item: StoredItem, present: Examined, candidate: Examined
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
