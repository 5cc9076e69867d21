"""The next attempt's action for a missing item, as a code and as a sentence. No I/O."""

from collections.abc import Mapping
from typing import NamedTuple

from ...content.remedies import remedy_of_code
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
from ...contracts.states import NextAction


class Advice(NamedTuple):
    """An action and its description for an operator."""

    action: NextAction
    text: str

    @property
    def needs_person(self) -> bool:
        """Whether a retry alone is not sufficient."""
        return self.action is NextAction.PERSON


_TEXTS: Mapping[NextAction, str] = {
    NextAction.NONE: "None: it is saved.",
    NextAction.SAVE: "The next attempt saves the staged content. It costs no tokens.",
    NextAction.GENERATE: "The next attempt generates it, unless it is staged.",
    NextAction.REPLACE_ID: (
        "The next attempt gives it a new id and saves the content that is staged. It costs no tokens."
    ),
    NextAction.NEXT_VERSION: "The next attempt saves it under the next free version. It costs no tokens.",
    NextAction.REJECT_AND_GENERATE: (
        "The next attempt moves the content to rejected/ and generates it again."
    ),
    NextAction.WAIT: "An attempt is running. Wait for its end.",
}

# Errors that recur until a person changes something, by error code.
_FOR_A_PERSON: Mapping[str, str] = {
    TokenBudgetExhaustedError.code: "Raise TaskTokenBudget, then retry.",
    ModelRefusedRequestError.code: "Check the model's id, its access and its limits, then retry.",
    ModelDeclinedError.code: "Change the concept's text or the model, then retry.",
    MissingSettingError.code: "Correct the setting, then retry.",
    RoadmapNotFoundError.code: "Restore the roadmap, then retry.",
    ConceptIdTooLongError.code: "Change the concept's id in the roadmap, then retry.",
    InvalidFrameworkError.code: "Correct framework_data, then retry.",
}


def advice(action: NextAction) -> Advice:
    """The advice for an action; not for `PERSON`, whose text depends on the error."""
    return Advice(action, _TEXTS[action])


def advice_for(error_code: str, stage: Stage) -> Advice:
    """The advice for items that failed with this code in this stage."""
    if error_code in _FOR_A_PERSON:
        return Advice(NextAction.PERSON, _FOR_A_PERSON[error_code])
    if stage is not Stage.SAVE:
        return advice(NextAction.GENERATE)  # nothing was staged
    return advice(remedy_of_code(error_code))
