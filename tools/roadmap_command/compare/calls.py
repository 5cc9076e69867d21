"""The calls of a comparison: limited, paced, and kept, so that no answer is paid for twice."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadmap_content.content.generation.model import Answer, AnswerLostError, Rejected
from roadmap_content.content.generation.prompting import Prompt, PromptedModel
from roadmap_content.content.generation.quota import Usage
from roadmap_content.contracts.errors import ContentError, PermanentError

if TYPE_CHECKING:
    from roadmap_content.content.generation.bedrock import BedrockModel


class TokensUsedUpError(PermanentError, code="TokensUsedUp"):
    """The comparison's limit of tokens does not cover another call."""


class Calls:
    """The limits of all calls of a run, and the folder of the kept answers. Safe for several threads."""

    def __init__(
        self,
        folder: Path,
        most_tokens: int,
        calls_per_minute: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._most_tokens = most_tokens
        self._interval = 60 / calls_per_minute
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Condition()
        self._next = float("-inf")
        self._reserved = 0
        self.paid = 0
        """The tokens of this run's answers, and the most of calls with a lost answer."""

    def in_flight(self) -> list[str]:
        """The calls that were sent without an answer being kept, by an earlier run that ended suddenly or
        with a lost answer. They may have been paid.
        """
        return sorted(path.read_text("utf-8") for path in self.folder.glob("*.sent"))

    def begin(self, most_tokens: int) -> None:
        """Reserve the tokens of a call, and wait for its turn. Raises TokensUsedUpError."""
        with self._lock:
            # Calls in progress will return most of their tokens.
            while self.paid + most_tokens <= self._most_tokens < self.paid + self._reserved + most_tokens:
                self._lock.wait()
            if self.paid + most_tokens > self._most_tokens:
                raise TokensUsedUpError(f"all {self._most_tokens} of --tokens are used: continue with more")
            self._reserved += most_tokens
            turn = max(self._clock(), self._next)
            self._next = turn + self._interval
            pause = turn - self._clock()
        if pause > 0:
            self._sleep(pause)

    def end(self, most_tokens: int, paid: int) -> None:
        """Replace the reservation of a call by the tokens that were paid."""
        with self._lock:
            self._reserved -= most_tokens
            self.paid += paid
            self._lock.notify_all()


class KeptModel(PromptedModel):
    """A `Model` for the calls about one item. It keeps its answers in files."""

    def __init__(
        self, model: "BedrockModel", calls: Calls, subject: str, prompts: Path | None = None
    ) -> None:
        """`subject` is the item, for people."""
        self.prompts = prompts
        self._model, self._calls, self._subject = model, calls, subject
        self.model_id, self.max_output = model.model_id, model.max_output
        self.socket_timeout = model.socket_timeout
        self.usage, self.seconds = Usage(), 0.0
        """The tokens and the duration of the answers, also of those that an earlier run paid for."""

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Return the kept answer; without one, send the request and keep its answer."""
        kept = self._calls.folder / f"{self._key(prompt, rejected)}.json"
        if kept.exists():
            return self._count(json.loads(kept.read_text("utf-8")))
        need = prompt.most_tokens + prompt.most_output(self.max_output)
        if rejected is not None and rejected.answer.usage is not None:
            need += rejected.answer.usage.total
        self._calls.begin(need)
        sent = kept.with_suffix(".sent")
        sent.write_text(f"{self._subject} by {self.model_id}", "utf-8")
        begun = time.monotonic()
        paid = need  # unless it is known to be less
        try:
            answer = self._model.ask(prompt, rejected)
            document = {**vars(answer), "seconds": time.monotonic() - begun}
            partial = kept.with_suffix(".part")
            partial.write_text(json.dumps(document), "utf-8")
            partial.replace(kept)
            sent.unlink()
            paid = need if answer.usage is None else answer.usage.total
        except AnswerLostError:
            raise
        except ContentError:  # refused: nothing is paid
            sent.unlink()
            paid = 0
            raise
        finally:
            self._calls.end(need, paid)
        return self._count(document)

    def _key(self, prompt: Prompt, rejected: Rejected | None) -> str:
        """The name of the file: a hash of everything that decides about the answer."""
        model = [self.model_id, self._model.temperature, self._model.strict]
        fault = rejected and [rejected.fault, rejected.answer.original]
        parts = [model, vars(prompt), prompt.most_output(self.max_output), fault]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _count(self, document: dict[str, Any]) -> Answer:
        self.seconds += document.pop("seconds")
        usage = Usage(*document["usage"])
        self.usage = self.usage.plus(usage)
        return Answer(**document | {"usage": usage})
