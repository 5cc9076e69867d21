"""Read, validate and check the staged contents of items, and publish their texts.

Each step raises the error of an item; `_each` catches it, and the other items go on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from ...content.content_check import (
    RejectedByCheckError,
    Rejection,
    TooMuchToCheckError,
    ask_check,
    corrected,
    read_verdict,
)
from ...content.kind import require_indexable, with_origin
from ...content.manifest import Batch
from ...content.registry import CONTENT_KINDS
from ...contracts.documents import Document
from ...contracts.errors import ContentCheckFailedError, ContentError, NotStagedError
from ...contracts.items import Failure, Item
from ...contracts.payloads import BatchRequest, Origin
from ...platform.aws.team_function import TeamFunction
from ...platform.postgres.transactions import RESERVE
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.storage.bucket import ObjectTooLargeError, in_parallel
from ...platform.storage.keys import fingerprint
from ...platform.storage.staging import Staging
from ...state.services import Services
from .entries import Entry, Prepared, failure_of


def _each(
    step: Callable[[Entry], Entry],
    entries: Sequence[Entry],
    run: Callable[[Callable[[Entry], Entry | Failure], Sequence[Entry]], Iterable[Entry | Failure]] = map,
) -> tuple[list[Entry], list[Failure]]:
    """Run a step for each item, with `map` or `in_parallel`; return the results, and the failures of the
    items for which it raised an error.
    """

    def attempt(entry: Entry) -> Entry | Failure:
        try:
            return step(entry)
        except ObjectTooLargeError as error:
            return failure_of(entry.item, error, error.fingerprint)
        except ContentError as error:
            return failure_of(entry.item, error, entry.content_fingerprint)

    outcomes = list(run(attempt, entries))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    return [outcome for outcome in outcomes if not isinstance(outcome, Failure)], failures


class SavePreparation:
    """The preparation of the items of one batch."""

    def __init__(
        self,
        request: BatchRequest,
        services: Services,
        batch: Batch,
        deadline: Deadline,
        instruction: str | None = None,
    ) -> None:
        self._request = request
        self._plan = request.plan
        self._services = services
        self._batch = batch
        self._deadline = deadline
        self._staging = Staging(services.bucket, request.plan.roadmap_id, batch.replaces, instruction)
        self.origins: dict[Item, Origin] = {}
        """The origins of the contents that were read."""

    def prepare(self, items: Sequence[Item]) -> Prepared:
        """Prepare some items of the batch. The threads only wait for S3: threads that compute would slow each
        other down, because one interpreter runs one of them at a time.
        """
        staged, unread = _each(self._read, list(map(Entry, items)), in_parallel)
        valid, invalid = _each(self._validate, staged)
        checked, refused = _each(partial(self._apply_verdict, self._verdicts(valid)), valid)
        ready, unpublished = _each(self._publish, checked, in_parallel)
        return Prepared(ready, [*unread, *invalid, *refused, *unpublished])

    def _read(self, entry: Entry) -> Entry:
        """The entry with its staged content.
        Raises NotStagedError: there is none; if Generate has failed as a whole, with its error.
        """
        require_indexable(self._plan.roadmap_id, entry.item.concept_id)
        staged = self._staging.get(entry.item)
        if staged is None:
            error = self._request.generate_error
            raise NotStagedError(
                "nothing is staged for the item" if error is None else f"{error.error}: {error.reason}"
            )
        self.origins[entry.item] = Origin.of_metadata(staged.metadata)
        return Entry(entry.item, fingerprint(staged.body), len(staged.body), staged.body)

    def _validate(self, entry: Entry) -> Entry:
        """The entry with its content and row. Raises InvalidContentError."""
        content = CONTENT_KINDS[entry.item.content_type].parse(entry.body)
        return self._with_content(entry._replace(body=b""), content)

    def _with_content(self, entry: Entry, content: Document) -> Entry:
        """The entry with this valid content, and the row that has it."""
        plan, item = self._plan, entry.item
        row = CONTENT_KINDS[item.content_type].to_row(plan.roadmap_id, item.concept_id, content)
        origin, content_fingerprint = self.origins[item], entry.content_fingerprint or ""
        row = with_origin(row, origin, plan.task_id, plan.attempt, content_fingerprint)
        if item in self._batch.replaces:
            row["replaces"] = self._batch.replaces[item]
        return entry._replace(content=content, row=row)

    def _verdicts(self, validated: Sequence[Entry]) -> Mapping[Item, object]:
        """The verdicts of the product's check on these contents, by item; empty if there is no check."""
        check = self._services.content_check
        if check is None:
            return {}
        to_check = [entry for entry in validated if self._is_checked(entry.item)]
        return self._ask(check, to_check) if to_check else {}

    def _is_checked(self, item: Item) -> bool:
        """Whether an item's content is checked: by default, all but the product's own."""
        return self._services.settings.checks_all_content or self.origins[item].generator != "product"

    def _ask(self, check: TeamFunction, to_check: Sequence[Entry]) -> dict[Item, object]:
        """Ask the check with one call; if the contents do not fit into it, about each half. Returns the
        verdict on each item, not validated yet, or the ContentCheckFailedError if the check has not answered.
        """
        try:
            verdicts = ask_check(check, self._question(to_check), self._deadline.remaining - RESERVE)
        except ContentCheckFailedError as error:
            if isinstance(error, TooMuchToCheckError) and len(to_check) > 1:
                middle = len(to_check) // 2
                return self._ask(check, to_check[:middle]) | self._ask(check, to_check[middle:])
            return {entry.item: error for entry in to_check}
        return {entry.item: verdict for entry, verdict in zip(to_check, verdicts, strict=True)}

    def _question(self, to_check: Sequence[Entry]) -> Document:
        """The request to the product's check."""
        plan = self._plan
        return {
            "task_id": plan.task_id,
            "roadmap_id": plan.roadmap_id,
            "attempt": plan.attempt,
            "items": [
                {
                    **entry.item._asdict(),
                    "concept_name": self._batch.concepts[entry.item].name,
                    "origin": self.origins[entry.item].model_dump(mode="json"),
                    "content": entry.content,
                }
                for entry in to_check
            ],
        }

    def _apply_verdict(self, verdicts: Mapping[Item, object], entry: Entry) -> Entry:
        """The entry with the content that the check accepted, or as it corrected it.

        Raises:
            RejectedByCheckError: the check refuses the content.
            ContentCheckFailedError: it has not judged the items, and a setting does not let unchecked content
                pass; or this verdict is malformed, and so may be a refusal, which never passes.
        """
        item = entry.item
        if item not in verdicts:
            return entry
        verdict = verdicts[item]
        if isinstance(verdict, ContentCheckFailedError):
            passes = self._services.settings.saves_unchecked_content
            logger.warning("content_not_checked", item=item, reason=str(verdict), passes=passes)
            if not passes:
                raise verdict
            return entry
        judgement = read_verdict(verdict)
        if isinstance(judgement, Rejection):
            raise RejectedByCheckError(judgement)
        if judgement.content is None:
            return entry
        content = corrected(CONTENT_KINDS[item.content_type], entry.content, judgement.content)
        logger.info("content_corrected", item=item)
        return self._with_content(entry, content)

    def _publish(self, entry: Entry) -> Entry:
        """Write the text of a content that is not wholly in its row (a tutorial's) to its key."""
        text = CONTENT_KINDS[entry.item.content_type].stored_text
        if text is not None:
            self._services.bucket.put_text(entry.row[text.key_column], entry.content[text.field])
        return entry
