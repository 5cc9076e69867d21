"""The calls of a comparison: limited, paced, and kept, so that no answer is paid for twice."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic

from roadmap_command.compare.candidates import Candidate
from roadmap_content.content.generation.model import Answer, AnswerLostError, QuestionT, Rejected
from roadmap_content.content.generation.quota import Usage
from roadmap_content.contracts.errors import ContentError, PermanentError


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


class KeptModel(Generic[QuestionT]):
    """A `Model` for the calls about one item. It keeps the answers of a candidate in files."""

    def __init__(self, candidate: Candidate[QuestionT], calls: Calls, subject: str) -> None:
        """`subject` is the item, for people."""
        self._candidate, self._calls, self._subject = candidate, calls, subject
        self.socket_timeout = candidate.socket_timeout
        self.question, self.need, self.read = candidate.question, candidate.need, candidate.read
        self.usage: Usage | None = Usage()
        """The tokens of the answers, also of an earlier run's; `None` if not all are known."""

        self.seconds = 0.0
        """The duration of the answers."""

    def ask(self, question: QuestionT, rejected: Rejected | None) -> Answer:
        """Return the kept answer; without one, send the request and keep its answer. An error is not kept."""
        key = json.dumps(self._candidate.key(question, rejected), sort_keys=True)
        kept = self._calls.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
        if kept.exists():
            return self._count(json.loads(kept.read_text("utf-8")))
        need = self.need(question, rejected).total
        self._calls.begin(need)
        sent = kept.with_suffix(".sent")
        sent.write_text(f"{self._subject} by {self._candidate.name}", "utf-8")
        begun = time.monotonic()
        paid = need  # unless it is known to be less
        try:
            answer = self._candidate.ask(question, rejected)
            paid = need if answer.usage is None else answer.usage.total
            document = {**vars(answer), "seconds": time.monotonic() - begun}
            if answer.error is None:
                partial = kept.with_suffix(".part")
                partial.write_text(json.dumps(document), "utf-8")
                partial.replace(kept)
            sent.unlink()
        except AnswerLostError:
            raise
        except ContentError:  # refused: nothing is paid
            sent.unlink()
            paid = 0
            raise
        finally:
            self._calls.end(need, paid)
        return self._count(document)

    def _count(self, document: dict[str, Any]) -> Answer:
        self.seconds += document.pop("seconds")
        usage = document["usage"] and Usage(*document["usage"])
        self.usage = self.usage.plus(usage) if self.usage and usage else None
        return Answer(**document | {"usage": usage})
