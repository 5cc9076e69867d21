"""Content by a language model, whoever provides it: the conversation, its failures and its limits.

A provider fills `Model` and is one file; `bedrock.py` shows how. Everything else is the same for all of them:
the prompt, what is accepted, the one time that an answer is sent back, waiting and trying again, and the
tokens that are reserved before they are spent.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..content.kind import Draft
from ..documents import Document
from ..errors import ContentError, InvalidContentError, PermanentError, TransientError
from ..items import ContentType
from ..postgres.transactions import RESERVE
from ..roadmaps.framework import Concept
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from .allowance import Allowance, Usage
from .drafting import read_draft
from .generator import OutOfTimeError
from .learner import ANYONE, Learner
from .prompting import Prompt, prompt_for

MAX_TRIES = 8
"""Of one call, while there is time: with the pauses between them, a minute or two."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0


class ModelError(TransientError):
    """The model did not answer, for as long as there was time."""

    code = "Model"


class ModelBusyError(ModelError):
    """The model is throttled, overloaded or failed: it did not answer, and nothing is to be paid."""

    code = "ModelBusy"


class AnswerLostError(ModelError):
    """The model took the call and its answer did not come: it may have to be paid."""

    code = "AnswerLost"


class ModelRefusedRequestError(PermanentError):
    """The provider does not take such a request: the model, its access or a parameter is wrong."""

    code = "ModelRefusedRequest"


class ModelDeclinedError(PermanentError):
    """The model, or a filter around it, will not write about this."""

    code = "ModelDeclined"


@dataclass(frozen=True)
class Answer:
    """What a model answered, and what that took."""

    usage: Usage
    output: object = None
    """What it called the tool with."""

    fault: str | None = None
    """Why there is no whole output: cut off, or something else was said."""

    declined: str | None = None
    """Why there will be none."""

    original: list[Document] | None = None
    """The answer as the provider wrote it, to be sent back."""


@dataclass(frozen=True)
class Rejected:
    """An answer that was not accepted, and why."""

    answer: Answer
    fault: str


class Model(Protocol):
    """One model of one provider; several threads may ask it."""

    @property
    def socket_timeout(self) -> float:
        """Seconds after which a call that has not been answered is given up."""

    @property
    def max_output(self) -> int:
        """Tokens of an answer, at most."""

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Ask once, showing the answer that was rejected before, if one was.

        Raises:
            ModelBusyError, AnswerLostError: asking again may help.
            PermanentError: it cannot.
        """
        ...


class ModelGenerator:
    """A `Generator` that asks a model."""

    def __init__(self, model: Model, sleep: Callable[[float], None] = time.sleep) -> None:
        self._model = model
        self._sleep = sleep

    def generate(
        self,
        concept: Concept,
        content_type: ContentType,
        learner: Learner = ANYONE,
        allowance: Allowance | None = None,
        /,
    ) -> Draft:
        """Make an item; an answer that is not valid is sent back once, with what is wrong.

        Raises:
            InvalidContentError: nor was the second answer valid.
            ModelDeclinedError, ModelRefusedRequestError: there will be no answer.
            ModelBusyError, AnswerLostError, OutOfTimeError: there was none in time.
            ContentError: the allowance did not suffice; see `Budget.reserve`.
        """
        allowance = allowance or Allowance(Deadline.after(float("inf")))
        prompt = prompt_for(concept, content_type, learner)
        answer = self._ask(prompt, None, allowance)
        try:
            return _accept(content_type, answer)
        except InvalidContentError as error:
            logger.warning(
                "answer_sent_back",
                concept_id=concept.concept_id,
                content_type=content_type,
                reason=str(error),
            )
            rejected = Rejected(answer, str(error))
        return _accept(content_type, self._ask(prompt, rejected, allowance))

    def _ask(self, prompt: Prompt, rejected: Rejected | None, allowance: Allowance) -> Answer:
        """Ask until there is an answer, or no time for another try.

        A call begins only if its answer can be waited for: one that is given up is paid for and lost.
        """
        needed = self._model.socket_timeout + 2 * RESERVE
        longest = FIRST_PAUSE
        for tries_left in reversed(range(MAX_TRIES)):
            if allowance.deadline.remaining < needed:
                raise OutOfTimeError("too little of the invocation was left to wait for the model's answer")
            try:
                return self._ask_once(prompt, rejected, allowance)
            except ModelError as error:
                pause = random.uniform(0, longest)  # noqa: S311 - jitter, so that rivals part
                if not tries_left or allowance.deadline.remaining - pause < needed:
                    raise
                logger.warning(
                    "model_asked_again", error_code=error.code, reason=str(error), wait_seconds=pause
                )
            self._sleep(pause)
            longest = min(2 * longest, LONGEST_PAUSE)
        raise AssertionError("the last try returns or raises")

    def _ask_once(self, prompt: Prompt, rejected: Rejected | None, allowance: Allowance) -> Answer:
        most = self._most_tokens(prompt, rejected)
        allowance.reserve(most)
        try:
            answer = self._model.ask(prompt, rejected)
        except AnswerLostError:
            raise  # it stays counted at its most
        except ContentError:
            allowance.finalize_attempt(most, Usage())
            raise
        allowance.finalize_attempt(most, answer.usage)
        return answer

    def _most_tokens(self, prompt: Prompt, rejected: Rejected | None) -> int:
        if rejected is None:
            return prompt.most_tokens + self._model.max_output
        return rejected.answer.usage.total + len(rejected.fault.encode()) + self._model.max_output


def _accept(content_type: ContentType, answer: Answer) -> Draft:
    if answer.declined is not None:
        raise ModelDeclinedError(answer.declined)
    if answer.fault is not None:
        raise InvalidContentError(answer.fault)
    return read_draft(content_type, answer.output)
