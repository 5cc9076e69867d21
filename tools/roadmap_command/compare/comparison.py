"""Make the candidate's items and examine the pairs: findings of both, doubtful questions, preferences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from roadmap_command.compare.calls import KeptModel, Limits
from roadmap_command.compare.judge import DOUBTFUL, ITEM_SECONDS, Judge, Preference
from roadmap_command.compare.sample import StoredItem
from roadmap_content.content.findings import Finding, findings_of
from roadmap_content.content.generation.generator import Allowance
from roadmap_content.content.generation.model import ModelGenerator
from roadmap_content.content.generation.quota import Usage
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import ContentError, InvalidContentError, ModelDeclinedError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline

if TYPE_CHECKING:
    from roadmap_content.content.generation.bedrock import BedrockModel


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
    usage: Usage
    seconds: float
    """The tokens and the time of the candidate's item, with a correction."""


class NotCompared(NamedTuple):
    """An item without a result, and the reason."""

    item: str
    reason: str


@dataclass
class Comparison:
    """Compares items. Safe for several threads, with one item per thread."""

    limits: Limits
    candidate: "BedrockModel"
    judge: "BedrockModel | None"
    prompts: Path | None
    """A folder with changed templates; see `prompt_for`."""

    def compare(self, item: StoredItem) -> Pair | NotCompared:
        """Make the candidate's item, and examine both."""
        kept = KeptModel(self.candidate, self.limits, item.name)
        allowance = Allowance(Deadline.after(ITEM_SECONDS), is_bulk=True)
        content: Document | None = None
        findings: list[Finding] = []
        try:
            draft = ModelGenerator(kept, prompts=self.prompts).generate(
                item.concept, item.content_type, item.learner, allowance
            )
            content = draft.model_dump(mode="json")
            findings = findings_of(item.content_type, content, item.language)
        except (InvalidContentError, ModelDeclinedError) as error:
            findings = [Finding("not-generated", "item", f"{error.code}: {error}")]
        except ContentError as error:
            return NotCompared(item.name, f"{error.code}: {error}")
        present = Examined(item.content, findings_of(item.content_type, item.content, item.language))
        pair = Pair(item, present, Examined(content, findings), None, allowance.usage, kept.seconds)
        try:
            return pair if self.judge is None else self._judged(self.judge, pair)
        except ContentError as error:
            return NotCompared(item.name, f"judge: {error.code}: {error}")

    def _judged(self, model: "BedrockModel", pair: Pair) -> Pair:
        """The pair with doubtful questions or a preference."""
        judge = Judge(ModelGenerator(KeptModel(model, self.limits, pair.item.name)))
        concept = pair.item.concept.name
        if pair.item.content_type is not ContentType.QUIZ:
            if pair.candidate.content is None:
                return pair
            preference = judge.prefer(concept, pair.item.content, pair.candidate.content)
            return pair._replace(preference=preference)

        def solved(quiz: Examined) -> Examined:
            if quiz.content is None:
                return quiz
            questions: list[Document] = quiz.content["questions"]
            findings = [*judge.solve(concept, questions), *quiz.findings]
            return Examined(quiz.content, findings, len(questions))

        return pair._replace(present=solved(pair.present), candidate=solved(pair.candidate))
