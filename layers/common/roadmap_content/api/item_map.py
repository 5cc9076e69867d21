"""`GET /api/v1/tasks/{task_id}/items`: the state of every item, one letter each, in framework order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby, islice
from typing import NamedTuple

from ..content.roadmaps.framework import Framework
from ..contracts.api.items import ItemMap, ModuleMap, ReasonRow, StageMap
from ..contracts.items import ContentType, Failure, Item, RecordedFailure
from ..contracts.reasons import sentence_of
from ..contracts.states import NextAction
from ..state.failures.groups import GroupKey, group_of
from ..state.tasks.next_actions import advice_for
from ..state.tasks.scope import WHOLE_TASK, Scope
from ..state.tasks.snapshot import TaskSnapshot

SAVED, STAGED, MISSING, REJECTED, GENERATING, FAILED = "S", "T", "M", "R", "G", "F"

DEFAULT_CONCEPTS, MAX_CONCEPTS = 1_000, 3_000


class ItemStates(NamedTuple):
    """The letters of some concepts' items, and their failures by index in the letters."""

    letters: str
    failures: Mapping[int, Failure]


def item_states(
    concept_ids: Sequence[str],
    saved: Mapping[ContentType, frozenset[str]],
    failures: Mapping[Item, RecordedFailure],
    staged: frozenset[Item],
    *,
    attempt: int,
    live: bool,
    scope: Scope = WHOLE_TASK,
) -> ItemStates:
    """The states of all items of these concepts. No I/O.

    A failure of an earlier attempt counts only if staged content was refused because of the content itself.
    While an attempt runs, an item of its scope without a failure in it counts as being generated.
    """
    letters: list[str] = []
    shown: dict[int, Failure] = {}
    for concept_id in concept_ids:
        for content_type in ContentType:
            item = Item(concept_id, content_type)
            if concept_id in saved[content_type]:
                letters.append(SAVED)
                continue
            seen_by, failure = failures.get(item, (0, None))
            if failure is not None and seen_by == attempt:
                shown[len(letters)] = failure
                letters.append(REJECTED if _is_rejected(failure) else FAILED)
            elif live and scope.includes(item):
                letters.append(GENERATING)
            else:
                letters.append(STAGED if item in staged else MISSING)
    return ItemStates("".join(letters), shown)


def _is_rejected(failure: Failure) -> bool:
    return advice_for(failure.error_code, failure.stage).action is NextAction.REJECT_AND_GENERATE


def unexplained(states: str, concept_ids: Sequence[str]) -> list[Item]:
    """The missing items without a failure. They may be staged."""
    types = list(ContentType)
    return [
        Item(concept_ids[index // len(types)], types[index % len(types)])
        for index, letter in enumerate(states)
        if letter == MISSING
    ]


def item_map(
    task_id: str,
    snapshot: TaskSnapshot,
    page: range,
    states: ItemStates,
    *,
    with_stages: bool,
    next_cursor: str | None,
) -> ItemMap:
    """The response for a page of concepts. No I/O."""
    groups: dict[GroupKey, Counter[ContentType]] = {}
    numbers: dict[GroupKey, int] = {}
    reason_of: list[tuple[int, int]] = []
    for index, failure in states.failures.items():
        key = group_of(failure)
        groups.setdefault(key, Counter())[failure.item.content_type] += 1
        reason_of.append((index, numbers.setdefault(key, len(numbers))))
    return ItemMap(
        task_id=task_id,
        roadmap_id=snapshot.task.roadmap_id,
        concepts=len(snapshot.framework.nodes),
        first_concept=page.start,
        stages=_stages(snapshot.framework, page) if with_stages else None,
        states=states.letters,
        reasons=[_reason(key, by_type) for key, by_type in groups.items()],
        reason_of=reason_of,
        next_cursor=next_cursor,
    )


def _reason(key: GroupKey, by_type: Counter[ContentType]) -> ReasonRow:
    advice = advice_for(key.error_code, key.stage)
    return ReasonRow(
        **key._asdict(),
        sentence=sentence_of(key.error_code),
        remedy=advice.action,
        remedy_text=advice.text,
        needs_person=advice.needs_person,
        items=by_type.total(),
        by_type=by_type,
    )


def _stages(framework: Framework, page: range) -> list[StageMap]:
    """Stages and modules of a page's concepts."""
    shown = islice(framework.places.items(), page.start, page.stop)
    return [
        StageMap(
            name=stage,
            modules=[
                ModuleMap(
                    name=module,
                    concepts=[(concept_id, framework.concept(concept_id).name) for concept_id, _ in concepts],
                )
                for module, concepts in groupby(modules, key=lambda entry: entry[1][1])
            ],
        )
        for stage, modules in groupby(shown, key=lambda entry: entry[1][0])
    ]
