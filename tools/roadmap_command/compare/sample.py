"""The sample: saved items of bundles, with the input of a generator to write them again."""

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from roadmap_command.compare.findings import Finding, findings_of
from roadmap_command.compare.siblings import Siblings, siblings_of
from roadmap_content.content.bundle import Bundle, parse_bundle
from roadmap_content.content.course_texts import lines_of
from roadmap_content.content.generation.generator import Learner, learner_from
from roadmap_content.content.language import language_of
from roadmap_content.content.roadmaps.framework import Concept, concept_from, read_framework
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType


class StoredItem(NamedTuple):
    """A saved item of a course."""

    roadmap_id: str
    concept: Concept
    content_type: ContentType
    learner: Learner
    language: str
    """The requested one, or that of the course's names, or of the concept's; empty if they do not show it."""

    content: Document
    origin: Document
    """Empty if the bundle has none."""

    siblings: Siblings

    @property
    def name(self) -> str:
        """The item for people."""
        return f"{self.content_type}/{self.concept.concept_id}"

    def findings(self, content: Document) -> list[Finding]:
        """The findings of its content, or of a draft in its place."""
        of_course = self.siblings.find(self.concept.concept_id, content)
        alone = findings_of(self.content_type, content, self.language)
        return alone + [each for each in of_course if each.code not in {finding.code for finding in alone}]


class Course(NamedTuple):
    """The items of a bundle."""

    items: Sequence[StoredItem]
    refused: Sequence[str]
    """The faults of contents that are not valid. They are no part of a sample."""


def read_course(body: bytes, name: str) -> Course:
    """Read a bundle. `name` is for messages. Raises InvalidBundleError: it is none."""
    bundle = parse_bundle(body, strict=False, name=name)
    requested = learner_from(bundle.task.user_request).language
    framework = read_framework(bundle.roadmap.framework_data)
    concepts = {concept_id: concept_from(framework.description(concept_id)) for concept_id in framework.nodes}
    texts = {
        concept_id: "\n".join((each.name, each.description, each.module, each.stage))
        for concept_id, each in concepts.items()
    }
    language = requested or language_of("\n".join(texts.values()))
    origins: dict[Any, Document] = {
        (origin.get("concept_id"), origin.get("content_type")): origin
        for origin in json.loads(body).get("origins", [])
    }
    siblings = siblings_of(
        {concept_id: each.name for concept_id, each in concepts.items()},
        list(bundle.content.values()),
        language,
    )
    items = [
        StoredItem(
            roadmap_id=bundle.roadmap.roadmap_id,
            concept=concepts[item.concept_id],
            content_type=item.content_type,
            learner=_learner(bundle, item.concept_id),
            language=language or language_of(texts[item.concept_id]),
            content=content,
            origin=origins.get(tuple(item), {}),
            siblings=siblings,
        )
        for item, content in bundle.content.items()
    ]
    return Course(items, [each.fault for each in bundle.invalid])


def _learner(bundle: Bundle, concept_id: str) -> Learner:
    """The learner, as for an item of this concept that is missing; see `course_texts`."""
    learner = learner_from(bundle.task.user_request)
    if learner.language:
        return learner
    course = {"title": bundle.roadmap.title}
    siblings = (content for item, content in bundle.content.items() if item.concept_id != concept_id)
    if sibling := next(siblings, None):
        course["lines"] = lines_of(sibling)
    return replace(learner, course=course)


def draw(items: Sequence[StoredItem], number: int, seed: int) -> list[StoredItem]:
    """Draw items by chance, in turn of each content type. The same seed draws the same items, whatever the
    order of the bundles; a larger number draws the same ones first.
    """
    distinct = {(item.roadmap_id, item.name): item for item in items}
    shuffled = [distinct[key] for key in sorted(distinct)]
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - a sample, no secret
    by_type = [[item for item in shuffled if item.content_type == each] for each in ContentType]
    in_turn = chain.from_iterable(zip_longest(*by_type))
    return [item for item in in_turn if item is not None][:number]
