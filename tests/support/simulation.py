"""Simulate a run of the state machine without a cloud: its states, payloads and use of the quotas.

It walks the real definition and evaluates its JSONata, with a Python callable for each function. Emulated
from the documentation of Step Functions: the events of a state, retriers and catchers, the two quotas, and
that `States.ALL` matches every error except `States.DataLimitExceeded`. It supports the kinds of states in
our definition. It simulates no time except the waits before retries: each concurrent iteration of a Map has
its own clock.
"""

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from jsonata import Jsonata

PAYLOAD_LIMIT = 256 * 1024
"""Maximum bytes of a state's input or output."""

HISTORY_LIMIT = 25_000
"""Maximum history events of an execution."""

MOST_ITERATIONS_AT_ONCE = 40
"""Maximum concurrent iterations of an inline Map."""

Function = Callable[[Any], Any]
"""Payload → response of an invocation; raises `FailedError` for a failed invocation."""

_State = Mapping[str, Any]
_RuleT = TypeVar("_RuleT", bound=Mapping[str, Any])


class FailedError(Exception):
    """An error with its name in Step Functions."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class _TimedOutError(Exception):
    """The run exceeded the timeout of its definition. No Catch handles this error."""


class Payload(NamedTuple):
    """The size of a payload in bytes, and the state."""

    size: int
    place: str


@dataclass
class Run:
    """The counts of a run and its result: an output or an error."""

    transitions: int = 0
    """States entered, and retries: the transitions that are charged."""

    events: int = 2
    """History events, including the first and last one of the execution."""

    invocations: Counter[str] = field(default_factory=Counter)
    """Invocations of each function, by logical id."""

    largest: Payload = field(default_factory=lambda: Payload(0, "nowhere"))
    output: Any = None
    error: str | None = None


def simulate(
    definition: _State, functions: Mapping[str, Function], run_input: object, execution: Mapping[str, Any]
) -> Run:
    """Run a definition with functions by logical id. `execution` is the execution in the context object."""
    run = Run()
    try:
        run.output = _Simulation(definition, functions, run).walk(
            definition, run_input, {"Execution": execution}
        )
    except FailedError as failure:
        run.error = failure.error
    except _TimedOutError:
        run.error = "States.Timeout"
    return run


class _Simulation:
    def __init__(self, definition: _State, functions: Mapping[str, Function], run: Run) -> None:
        self._functions = functions
        self._run = run
        self._expressions: dict[str, Jsonata] = {}
        self._timeout: float = definition.get("TimeoutSeconds", float("inf"))
        self._seconds = 0.0

    def walk(self, machine: _State, data: object, context: Mapping[str, Any]) -> object:
        """Run a state machine or a Map iteration to its end."""
        name = machine["StartAt"]
        while name is not None:
            state = machine["States"][name]
            self._run.transitions += 1
            self._run.events += 2  # entered, exited
            states = {"input": data, "context": context}
            try:
                data, name = self._enter(name, state, states)
            except FailedError as failure:
                catcher = _first_for(failure, state.get("Catch", ()))
                if catcher is None:
                    raise
                caught = {"Error": failure.error, "Cause": failure.cause}
                data = self._weigh(
                    f"{name}, caught", self._evaluate(catcher["Output"], states | {"errorOutput": caught})
                )
                name = catcher["Next"]
        return data

    def _enter(self, name: str, state: _State, states: dict[str, Any]) -> tuple[object, str | None]:
        """The output of a state, and the next state."""
        following = state
        match state["Type"]:
            case "Task":
                states["result"] = self._invoke(name, state, states)
            case "Map":
                states["result"] = self._iterate(name, state, states)
            case "Choice":
                chosen = (rule for rule in state["Choices"] if self._evaluate(rule["Condition"], states))
                following = next(chosen, {"Next": state["Default"]})
            case "Pass" | "Succeed":
                pass
            case unknown:
                raise NotImplementedError(unknown)
        default = states.get("result", states["input"])
        output = self._evaluate(following["Output"], states) if "Output" in following else default
        return self._weigh(name, output), following.get("Next")

    def _invoke(self, name: str, state: _State, states: dict[str, Any]) -> object:
        arguments = self._evaluate(state["Arguments"], states)
        self._weigh(f"{name}, arguments", arguments["Payload"])
        function = arguments["FunctionName"].strip("${}")
        tries: Counter[int] = Counter()
        while True:
            self._run.events += 3  # scheduled, started, succeeded or failed
            self._run.invocations[function] += 1
            try:
                answer = self._functions[function](arguments["Payload"])
                return self._weigh(f"{name}, answer", {"StatusCode": 200, "Payload": answer})
            except FailedError as failure:
                retrier = _first_for(failure, state.get("Retry", ()))
                if retrier is None or tries[id(retrier)] == retrier["MaxAttempts"]:
                    raise
                self._wait(retrier, tries[id(retrier)])
                tries[id(retrier)] += 1
                self._run.transitions += 1

    def _wait(self, retrier: _State, count: int) -> None:
        """Advance the time by the average wait before a retry."""
        delay = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** count
        delay = min(delay, retrier.get("MaxDelaySeconds", float("inf")))
        if retrier.get("JitterStrategy") == "FULL":
            delay /= 2
        self._seconds += delay
        if self._seconds > self._timeout:
            raise _TimedOutError

    def _iterate(self, name: str, state: _State, states: dict[str, Any]) -> object:
        self._run.events += 2  # the Map's start and success
        results = []
        items = self._evaluate(state["Items"], states)
        clocks = [self._seconds] * MOST_ITERATIONS_AT_ONCE
        for index, value in enumerate(items):
            self._seconds = heapq.heappop(clocks)
            self._run.events += 2  # the iteration's start and success
            context = states["context"] | {"Map": {"Item": {"Index": index, "Value": value}}}
            selected = self._evaluate(state["ItemSelector"], states | {"context": context})
            self._weigh(f"{name}, item", selected)
            try:
                results.append(self.walk(state["ItemProcessor"], selected, context))
            except _TimedOutError:
                if not clocks:
                    raise
                continue  # the others run until then, too
            heapq.heappush(clocks, self._seconds)
        if len(results) < len(items):
            raise _TimedOutError
        self._seconds = max(clocks)
        return self._weigh(f"{name}, result", results)

    def _weigh(self, place: str, value: object) -> Any:
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        self._run.largest = max(self._run.largest, Payload(size, place))
        if size > PAYLOAD_LIMIT:
            raise FailedError("States.DataLimitExceeded", f"{place}: {size} bytes")
        return value

    def _evaluate(self, template: object, states: Mapping[str, Any]) -> Any:
        """A template with its `{% expressions %}` evaluated."""
        match template:
            case dict():
                return {key: self._evaluate(value, states) for key, value in template.items()}
            case list():
                return [self._evaluate(value, states) for value in template]
            case str() if template.startswith("{%"):
                if template not in self._expressions:
                    self._expressions[template] = Jsonata(template.removeprefix("{%").removesuffix("%}"))
                expression = self._expressions[template]
                frame = expression.create_frame()
                frame.bind("states", states)
                return expression.evaluate(None, frame)
            case _:
                return template


def _first_for(failure: FailedError, rules: Iterable[_RuleT]) -> _RuleT | None:
    """The first retrier or catcher that matches an error."""
    names = {failure.error} if failure.error == "States.DataLimitExceeded" else {failure.error, "States.ALL"}
    return next((rule for rule in rules if not names.isdisjoint(rule["ErrorEquals"])), None)
