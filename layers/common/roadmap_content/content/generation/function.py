"""A function of the team: one call for an item, and one more for a correction. It calls any model."""

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any

from pydantic import ValidationError

from ...contracts.documents import MAX_STAGED, Document, storable_text
from ...contracts.errors import (
    ContentError,
    InvalidContentError,
    ModelDeclinedError,
    ModelRefusedRequestError,
    TransientError,
)
from ...contracts.generation import EventLearner, GenerationEvent, GeneratorAnswer, GeneratorError
from ...contracts.items import REFUSED_BY_GENERATOR
from ...contracts.payloads import first_fault
from ...platform.aws.team_function import Fault, NoAnswerError, TeamFunction, team_function
from ...platform.runtime.settings import Settings
from ...platform.storage.bucket import PARALLEL
from ...platform.storage.keys import fingerprint
from ..registry import CONTENT_KINDS
from .generator import GenerationRequest, Generator, OutOfTimeError
from .model import Answer, AnswerLostError, ModelBusyError, ModelGenerator, ModelThrottledError, Rejected
from .quota import Need, Usage


class GeneratorFailedError(TransientError, code="GeneratorFailed"):
    """The function raised an error, or its answer does not match its contract."""


class _NamedError(ContentError, code="Generator"):
    """The function has answered with an error. It is recorded with the prefix `Generator.`."""

    def __init__(self, error: GeneratorError) -> None:
        super().__init__(error.reason)
        self._code = f"{REFUSED_BY_GENERATOR}{error.code}"
        self.retry_after = error.retry_after or 0.0

    @property
    def recorded_code(self) -> str:
        return self._code


class GeneratorRefusedError(_NamedError, ModelDeclinedError, code="Generator"):
    """The same request would be refused again."""


class GeneratorDelayedError(_NamedError, TransientError, code="Generator"):
    """A later attempt may succeed."""


class GeneratorThrottledError(_NamedError, ModelThrottledError, code="Generator"):
    """The function has named the seconds after which it may be called again."""


@dataclass(frozen=True)
class FunctionModel:
    """A `Model` that is a function of the team."""

    function: TeamFunction
    most_tokens: int
    """Tokens that are reserved for a call; a content type has its share."""

    @property
    def socket_timeout(self) -> float:
        """Timeout of a call, in seconds."""
        return self.function.seconds

    def question(self, request: GenerationRequest) -> GenerationRequest:
        """The function gets the whole request."""
        return request

    def need(self, request: GenerationRequest, _rejected: Rejected | None) -> Need:
        """The most tokens that a call may use. Its input is not known before the answer."""
        return Need(0, ceil(self.most_tokens * CONTENT_KINDS[request.content_type].output_share))

    def ask(self, request: GenerationRequest, rejected: Rejected | None) -> Answer:
        """Call the function; see `Model.ask`."""
        event = self.event(request, rejected).model_dump()  # not as JSON: pydantic refuses half an emoji
        try:
            # The caller has made sure that the time left covers the call.
            answer = GeneratorAnswer.model_validate(self.function.call(event, self.function.seconds))
        except NoAnswerError as no_answer:
            return _without_answer(no_answer)
        except ValidationError as fault:
            return Answer(None, error=GeneratorFailedError(f"wrong answer: {first_fault(fault)}"))
        used, error = answer.usage, _error_of(answer.error)
        if used is None:
            return Answer(None, answer.content, error=error)
        return Answer(
            Usage(used.tokens_in, used.tokens_out),
            answer.content,
            error=error,
            model_id=used.model_id,
            prompt_version=used.prompt_version,
        )

    def event(self, request: GenerationRequest, rejected: Rejected | None) -> GenerationEvent:
        """The event of a request, or of the correction of an answer."""
        token, refused = request.idempotency_token, request.refused
        if rejected is not None:
            # Another question: a function that keeps its answers must not repeat the rejected one.
            output = json.dumps(rejected.answer.output).encode()
            token = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{token} {fingerprint(output)}"))
            refused = rejected.fault
        # Without validation, because texts of the framework may have half an emoji.
        learner = EventLearner.model_construct(
            language=request.learner.language,
            preferences=_sendable(dict(request.learner.preferences)),
            course=dict(request.learner.course),
        )
        return GenerationEvent.model_construct(
            task_id=request.task_id,
            roadmap_id=request.roadmap_id,
            attempt=request.attempt,
            concept=_sendable(dict(request.concept.fields)),
            content_type=request.content_type,
            learner=learner,
            refused=refused,
            instruction=None if request.change is None else storable_text(request.change.instruction),
            present=None if request.change is None else _sendable(request.change.present),
            idempotency_token=token,
            seconds=self.function.seconds,
        )

    def read(self, request: GenerationRequest, answer: Answer) -> Document:
        """The content of an answer, valid as staged content. Its id and its version are assigned later."""
        kind, content = CONTENT_KINDS[request.content_type], answer.output
        assert isinstance(content, dict)  # noqa: S101 - an answer without content has an error or a fault
        concept_id = request.concept.concept_id
        if content.get("concept_id", concept_id) != concept_id:
            raise InvalidContentError(f"the content is not that of the concept {concept_id!r}")
        completed = content
        with suppress(KeyError, TypeError):  # a field is missing or has another type: the check names it
            completed = content | kind.complete(content, 1)  # any version and id: see the docstring
        kind.check(completed | {kind.id_field: "assigned"})
        size = len(json.dumps(content))
        if size > MAX_STAGED:
            raise InvalidContentError(f"the content has {size} bytes; {MAX_STAGED} are accepted")
        return content


def create(settings: Settings) -> Generator:
    """Create the generator. Sends no request."""
    function = team_function(settings.generator_function, settings.model_timeout, PARALLEL)
    return ModelGenerator(FunctionModel(function, settings.model_max_output_tokens))


def _sendable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A value with `None` for infinite floats, which are no JSON: Python reads them from numbers that are too
    large.
    """
    match value:
        case float() if not isfinite(value):
            return None
        case dict():
            return {key: _sendable(inner) for key, inner in value.items()}
        case list():
            return [_sendable(inner) for inner in value]
    return value


def _error_of(error: GeneratorError | None) -> ContentError | None:
    """The error for which an item fails; `None`: the answer has content. Raises GeneratorThrottledError: the
    call is repeated, if the time suffices.
    """
    if error is None:
        return None
    if not error.transient:
        return GeneratorRefusedError(error)
    if error.retry_after is not None:
        raise GeneratorThrottledError(error)
    return GeneratorDelayedError(error)


def _without_answer(error: NoAnswerError) -> Answer:
    """The record of a call that gave no content: an `Answer` if it counts as paid; otherwise
    raises the error, which decides whether the call is repeated, and whether its tokens stay counted
    (`AnswerLostError`).
    """
    reason = str(error)
    match error.fault:
        case Fault.THROTTLED:
            throttled = ModelThrottledError(reason)
            throttled.retry_after = error.retry_after
            raise throttled from error
        case Fault.BUSY:
            raise ModelBusyError(reason) from error
        case Fault.TIMED_OUT:
            raise AnswerLostError(reason) from error
        case Fault.OUT_OF_TIME:
            raise OutOfTimeError(reason) from error
        case Fault.FORBIDDEN:
            raise ModelRefusedRequestError(
                f"allow this role to invoke GeneratorFunctionArn: {reason}"
            ) from error
        case Fault.MISSING:
            raise ModelRefusedRequestError(f"GeneratorFunctionArn does not exist: {reason}") from error
        case Fault.REFUSED | Fault.REQUEST_TOO_LARGE:
            raise ModelRefusedRequestError(reason) from error
        case Fault.ANSWER_TOO_LARGE:
            return Answer(None, fault=f"the answer is too large: {reason}")
        case Fault.FAILED | Fault.NOT_JSON:
            return Answer(None, error=GeneratorFailedError(reason))
