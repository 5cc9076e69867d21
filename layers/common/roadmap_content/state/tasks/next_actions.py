"""The next attempt's action for a missing item, as a code and as a sentence. No I/O."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from ...content.remedies import Remedy, remedy_of_code
from ...contracts.errors import (
    ConceptIdTooLongError,
    InvalidFrameworkError,
    MissingSettingError,
    ModelDeclinedError,
    ModelRefusedRequestError,
    RoadmapNotFoundError,
    TokenBudgetExhaustedError,
)
from ...contracts.items import Stage


class NextAction(StrEnum):
    """The action of the next attempt for an item."""

    NONE = "none"
    SAVE = "save"
    GENERATE = "generate"
    REPLACE_ID = "replace_id"
    NEXT_VERSION = "next_version"
    REJECT_AND_GENERATE = "reject_and_generate"
    WAIT = "wait"
    PERSON = "person"


class Advice(NamedTuple):
    """An action and its description for an operator."""

    action: NextAction
    text: str

    @property
    def needs_person(self) -> bool:
        """Whether a retry alone is not sufficient."""
        return self.action is NextAction.PERSON


_TEXTS: Mapping[NextAction, str] = {
    NextAction.NONE: "The item is saved. The next attempt does nothing.",
    NextAction.SAVE: "The content is staged. The next attempt saves it and generates nothing.",
    NextAction.GENERATE: "The next attempt saves the item if it is staged, and generates it otherwise.",
    NextAction.REPLACE_ID: "The next attempt gives the staged content a new id and saves it.",
    NextAction.NEXT_VERSION: "The next attempt saves the staged tutorial as the next free version.",
    NextAction.REJECT_AND_GENERATE: (
        "The next attempt moves the invalid content to rejected/ and generates the item again."
    ),
    NextAction.WAIT: "An attempt is running. Wait for its end.",
}

# Errors that recur until a person changes something, by error code.
_FOR_A_PERSON: Mapping[str, str] = {
    TokenBudgetExhaustedError.code: "The task has used its token budget. Raise TaskTokenBudget, then retry.",
    ModelRefusedRequestError.code: (
        "The model refuses the request. Check the model's id, its access and its limits, then retry."
    ),
    ModelDeclinedError.code: (
        "The model declines to write this content. Change the concept's text or the model, then retry."
    ),
    MissingSettingError.code: ("A setting of the deployment is missing or invalid. Correct it, then retry."),
    RoadmapNotFoundError.code: ("The task's roadmap does not exist or is deleted. Restore it, then retry."),
    ConceptIdTooLongError.code: (
        "The concept's id is too long to be saved. Change it in the roadmap, then retry."
    ),
    InvalidFrameworkError.code: "framework_data cannot be read. Correct it, then retry.",
}

_ACTIONS: Mapping[Remedy, NextAction] = {
    Remedy.NEW_ID: NextAction.REPLACE_ID,
    Remedy.NEXT_VERSION: NextAction.NEXT_VERSION,
    Remedy.REJECT: NextAction.REJECT_AND_GENERATE,
}


def action_of(remedy: Remedy) -> NextAction:
    return _ACTIONS.get(remedy, NextAction.GENERATE if remedy is Remedy.GENERATE else NextAction.SAVE)


def advice(action: NextAction) -> Advice:
    """The advice for an action that needs no person."""
    return Advice(action, _TEXTS[action])


def advice_for(error_code: str, stage: Stage) -> Advice:
    """The advice for items that failed with this code in this stage."""
    if error_code in _FOR_A_PERSON:
        return Advice(NextAction.PERSON, _FOR_A_PERSON[error_code])
    if stage is not Stage.SAVE:
        return advice(NextAction.GENERATE)
    return advice(_ACTIONS.get(remedy_of_code(error_code), NextAction.SAVE))
