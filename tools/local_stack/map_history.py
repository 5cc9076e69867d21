"""The history of an execution, with the iterations of a Map and the order of events in each of them.

Emulated from documentation (API reference, HistoryEvent and HistoryEventType): `previousEventId` leads from
each event to the one before it in the same iteration; an iteration begins with MapIterationStarted, which has
its index, and its states are entered and exited. ministack has only the calls of the Tasks in an iteration.

For the local cloud's own Python: standard library and ministack only.
"""

import json
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from ministack.services import stepfunctions as engine

_last_event: ContextVar[int] = ContextVar("last_event", default=0)
"""The last event of the execution, or of the iteration. ministack runs each iteration in a copy of the
context, so an iteration begins with the last event before the Map.
"""

_execution_of_iteration: ContextVar[Any] = ContextVar("execution_of_iteration", default=None)
"""The execution to which an iteration belongs; `None` outside of a Map."""

Handler = Callable[..., tuple[Any, Any]]


def install() -> None:
    """Record the iterations of a Map, and link each event to the one before it."""
    add_event, run_states = engine._add_event, engine._run_sub_machine
    one_at_a_time = threading.Lock()  # an event's id is its position

    def add(execution: Any, event_type: str, details: Any = None) -> Any:  # noqa: ANN401 - ministack's
        with one_at_a_time:
            event = add_event(execution, event_type, details)
        event["previousEventId"] = _last_event.get()
        _last_event.set(event["id"])
        return event

    def run_iteration(states: Any, start_at: str, data: Any, execution: Any, context: Any) -> Any:  # noqa: ANN401
        if "Map" not in context:
            return run_states(states, start_at, data, execution, context)
        _execution_of_iteration.set(execution)
        iteration = {"name": context["State"]["Name"], "index": context["Map"]["Item"]["Index"]}
        add(execution, "MapIterationStarted", {"mapIterationStartedEventDetails": iteration})
        output = run_states(states, start_at, data, execution, context)
        add(execution, "MapIterationSucceeded", {"mapIterationSucceededEventDetails": iteration})
        return output

    def with_visit(handle: Handler) -> Handler:
        """The handler of a state that, in an iteration, records that the state is entered and exited."""

        def visit(state: Any, data: Any, *rest: Any) -> tuple[Any, Any]:  # noqa: ANN401 - ministack's
            execution = _execution_of_iteration.get()
            if execution is None:
                return handle(state, data, *rest)
            name, kind = rest[-1]["State"]["Name"], state["Type"]
            entered = {"name": name, "input": json.dumps(data)}
            add(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": entered})
            output, following = handle(state, data, *rest)
            exited = {"name": name, "output": json.dumps(output)}
            add(execution, f"{kind}StateExited", {"stateExitedEventDetails": exited})
            return output, following

        return visit

    engine._add_event = add
    engine._run_sub_machine = run_iteration
    engine._execute_task = with_visit(engine._execute_task)
    engine._execute_pass = with_visit(engine._execute_pass)
