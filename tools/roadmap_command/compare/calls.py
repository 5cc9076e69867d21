"""The calls of a comparison: limited, paced, and kept, so that no answer is paid for twice."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from roadmap_content.content.generation.model import Answer, AnswerLostError, Rejected
from roadmap_content.content.generation.prompting import Prompt
from roadmap_content.content.generation.quota import Usage
from roadmap_content.contracts.errors import ContentError, PermanentError

if TYPE_CHECKING:
    from roadmap_content.content.generation.bedrock import BedrockModel

ANSWERS = Path("compare-answers")
"""The folder of the kept answers, and of the calls that were sent without an answer being kept."""


class TokensUsedUpError(PermanentError, code="TokensUsedUp"):
    """The comparison's limit of tokens does not cover another call."""


class Limits:
    """The limits of all calls of a run. Safe for several threads."""

    def __init__(
        self, tokens: int, calls_per_minute: float, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.tokens = tokens
        self.paid = 0
        """The tokens of the answers, and the most of calls in progress or with a lost answer."""

        self._interval = 60 / calls_per_minute
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = float("-inf")

    def begin(self, most_tokens: int) -> None:
        """Reserve the tokens of a call, and wait for its turn. Raises TokensUsedUpError."""
        with self._lock:
            if self.paid + most_tokens > self.tokens:
                raise TokensUsedUpError(
                    f"the {self.tokens} of --tokens cover no other call: continue with more"
                )
            self.paid += most_tokens
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval
        self._sleep(turn - now)

    def give_back(self, tokens: int) -> None:
        """Give back the reserved tokens that a call did not use."""
        with self._lock:
            self.paid -= tokens


class KeptModel:
    """A `Model` for the calls about one item, whose answers are kept in files."""

    def __init__(self, model: "BedrockModel", limits: Limits, subject: str) -> None:
        """`subject` is the item, for people."""
        self._model, self._limits, self._subject = model, limits, subject
        self.model_id, self.max_output = model.model_id, model.max_output
        self.socket_timeout = model.socket_timeout
        self.seconds = 0.0
        """The duration of the answers, also of those that an earlier run paid for."""

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Return the kept answer; without one, send the request and keep its answer."""
        kept = ANSWERS / f"{self._key(prompt, rejected)}.json"
        if not kept.exists():
            self._send(kept, prompt, rejected)
        document = json.loads(kept.read_text("utf-8"))
        self.seconds += document.pop("seconds")
        return Answer(**document | {"usage": Usage(*document["usage"])})

    def _send(self, kept: Path, prompt: Prompt, rejected: Rejected | None) -> None:
        most = prompt.most_tokens + prompt.most_output(self.max_output)
        if rejected is not None:
            most += rejected.answer.usage.total
        self._limits.begin(most)
        sent = kept.with_suffix(".sent")
        sent.write_text(f"{self._subject} by {self.model_id}", "utf-8")
        begun = time.monotonic()
        try:
            answer = self._model.ask(prompt, rejected)
        except AnswerLostError:  # it may have to be paid
            raise
        except ContentError:
            sent.unlink()
            self._limits.give_back(most)
            raise
        self._limits.give_back(most - answer.usage.total)
        partial = kept.with_suffix(".part")
        partial.write_text(json.dumps({**vars(answer), "seconds": time.monotonic() - begun}), "utf-8")
        partial.replace(kept)
        sent.unlink()

    def _key(self, prompt: Prompt, rejected: Rejected | None) -> str:
        """The name of the file: a hash of everything that decides about the answer."""
        model = [self.model_id, self._model.temperature, self._model.strict]
        fault = rejected and [rejected.fault, rejected.answer.original]
        parts = [model, vars(prompt), prompt.most_output(self.max_output), fault]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def in_flight() -> list[str]:
    """The calls that an earlier run sent without keeping an answer, because it ended suddenly or lost the
    answer. They may have been paid.
    """
    return sorted(path.read_text("utf-8") for path in ANSWERS.glob("*.sent"))
