"""Run the functions of one source tree for a task, in one process; print the used processor seconds.

Started by `benchmarks.processor` with a tree as its working directory and on its path. It uses only
interfaces of every release: the handlers in `functions/*/app.py`, their events and their environment.
"""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Context:
    """The context that Lambda passes to a handler."""

    function_name, memory_limit_in_mb, aws_request_id = "benchmark", 512, "benchmark"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:benchmark"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Return ten minutes."""
        return 600_000


def handler(name: str) -> Any:  # noqa: ANN401 - a handler of any release
    """Import the handler of a function of the tree."""
    spec = importlib.util.spec_from_file_location(name, Path("functions") / name / "app.py")
    assert spec is not None  # noqa: S101
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.handler


def main() -> None:
    """Read task ids from standard input, run each task, and print one JSON document for each."""
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - the discarded log of the functions
    plan, generate, save, finalize = map(
        handler, ("plan_batches", "generate_content", "save_batch", "finalize_task")
    )
    for task_id in map(str.strip, sys.stdin):
        seconds: dict[str, float] = {}

        def run(step: str, function: Any, event: object, into: dict[str, float] = seconds) -> Any:  # noqa: ANN401
            started = time.process_time()
            answer = function(event, Context())
            into[step] = into.get(step, 0.0) + time.process_time() - started
            return answer

        arn = f"arn:aws:states:us-east-1:123456789012:execution:benchmark:{task_id}-r1"
        start = {"input": {"task_id": task_id}, "execution": {"Id": arn, "RedriveCount": 0}}
        planned = run("plan", plan, start)
        for batch in planned["batches"]:
            request = {"plan": planned["plan"], "batch": batch, "execution_arn": arn}
            run("generate", generate, request)
            run("save", save, request)
        outcome = run("finalize", finalize, start | {"plan": planned["plan"], "lost": []})
        items = sum(planned["plan"]["planned"].values())
        document = {
            "complete": outcome["complete"],
            "items": items,
            "batches": len(planned["batches"]),
            "seconds": seconds,
        }
        answers.write(json.dumps(document) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
