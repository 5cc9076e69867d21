"""The case of the bug report on a separate stack: three real faults, their correct record, and one retry.

No code of the product is patched. The faults are a row of another roadmap, invalid staged content, and a
function that is killed while it waits for a lock.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.text import Text
from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from local_stack.builds import LOCAL
from local_stack.errors import RefusedError
from local_stack.lock_waiters import processes_waiting_for
from local_stack.stack import LocalStack
from roadmap_command import views
from roadmap_command.interface import command_name
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run, task_status
from roadmap_command.target import Target
from roadmap_command.terminal import Terminal
from roadmap_content.content.bundle import Bundle, BundleTask, parse_bundle, read_bundle
from roadmap_content.content.generation.generator import GenerationRequest, generator_named
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import Framework, read_framework
from roadmap_content.contracts.api.tasks import TaskStatus
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import PermanentError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import fingerprint, rejected_key, staged_key

SAMPLE = Path(__file__).parent / "sample" / "roadmap.json"
console = Terminal(stderr=True)


class DemoError(PermanentError, code="Demo"):
    """The demonstration had an unexpected result, which is a defect."""


TUTORIAL_ID = text("""
SELECT tutorial_id FROM tutorial_metadata WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id
""")

# The state that the replaced design left: saved rows, and a task without failed concepts.
SAVED_BEFORE = text("""
INSERT INTO tutorial_metadata
    (tutorial_id, concept_id, roadmap_id, title, content_status, content_version, is_latest)
SELECT md5(concept_id), concept_id, :roadmap_id, 'Saved before', 'completed', 1, true
FROM json_array_elements_text(CAST(:concept_ids AS json)) AS concept_id
""")
LEFT_FAILED = text("""
UPDATE roadmap_tasks SET status = 'failed', failed_concepts = NULL,
    error_message = 'duplicate key value violates unique constraint "tutorial_metadata_pkey"'
WHERE task_id = :task_id
""")

# Another roadmap's row with the same id, not committed: Save waits for this transaction.
HOLD_RESOURCES = text("""
INSERT INTO resource_recommendation_metadata
    (id, concept_id, roadmap_id, resources, resources_count, search_queries_used, generated_at)
VALUES (:id, 'an-older-roadmap:c-1-1-1', 'an-older-roadmap', '[]', 0, '[]', timezone('utc', now()))
""")

# The id of the first concept's tutorial: the duplicate key of the bug report.
OTHER_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at)
VALUES ('an-older-roadmap', 'another-user', 'An older roadmap', '{}', timezone('utc', now()))
""")
OTHER_TUTORIAL = text("""
INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,
    content_status, content_version, is_latest, estimated_completion_time, generated_at)
VALUES (:tutorial_id, 'an-older-roadmap:c-1-1-1', 'an-older-roadmap', 'An older tutorial', '', '',
    'completed', 1, true, 10, timezone('utc', now()))
""")


PARAMETERS = {"BatchSize": "2", "MaxConcurrency": "4"}
"""The parameters of the demo's stack: batches of 20 staged concepts, so that the failed batch has only the
last two of the 22 that are staged.
"""

NOT_GENERATED = slice(-10, -2)
"""Concepts of the sample without content. The first run generates it."""


def run_demo(*, keep: bool = False, fresh: bool = False, generator: Path | None = None) -> None:
    """Run the demonstration, and print its result as one JSON object.

    With `keep`, the stack is the one that `roadmap up` would start. It keeps running until `roadmap down`.
    `fresh` first deletes the data of an earlier stack. `generator`: see `LocalStack.start`.

    Raises:
        RefusedError: with `keep`, there is data that the stack would replace.
    """
    bundle = demo_bundle()
    if keep and LocalStack.has_data() and not fresh:
        raise RefusedError(
            "the local stack has data, which the demonstration would replace;"
            f" delete it with: {command_name()} demo --keep --fresh"
        )
    if keep:
        LocalStack.forget()
    with ExitStack() as undo:
        directory = LOCAL if keep else Path(undo.enter_context(TemporaryDirectory(prefix="roadmap-demo-")))
        console.rule(Text("1. A separate stack", style="bold"))
        with console.working("PostgreSQL, the local cloud, the template's functions and its state machine"):
            stack = LocalStack.start(
                directory,
                parameters=PARAMETERS,
                wait_scale=0.1,
                detached=keep,
                keep=keep,
                generator=generator,
            )
        if not keep:
            undo.enter_context(stack)
        told = _tell(Target.local(stack), stack.database_url, bundle)
    if keep:
        console.rule(Text("7. The console", style="bold"))
        say("The stack is kept until `roadmap down`. This link signs you in as an operator for an hour:")
        console.print(stack.console_link())
    sys.stdout.write(json.dumps(told) + "\n")


def demo_bundle() -> Bundle:
    """The project's sample, with content from the offline generator."""
    bundle = parse_bundle(SAMPLE.read_bytes())
    roadmap, task = bundle.roadmap.model_dump(), bundle.task.model_dump()
    document = with_offline_content({"roadmap": roadmap, "task": task})
    del document["content"][NOT_GENERATED]
    return read_bundle(document)


def with_offline_content(document: Document) -> Document:
    """A bundle with content from the offline generator for every concept."""
    framework = read_framework(document["roadmap"]["framework_data"])
    return document | {"content": [_content(framework, concept_id) for concept_id in framework.nodes]}


def _content(framework: Framework, concept_id: str) -> Document:
    generator = generator_named("offline")
    entry: Document = {"concept_id": concept_id}
    for content_type, kind in CONTENT_KINDS.items():
        draft = generator.generate(GenerationRequest(framework.concept(concept_id), content_type))
        own_id = f"{content_type}-{concept_id}"[-64:]
        entry[content_type] = {kind.id_field: own_id} | draft | kind.complete(draft, 1)
    return entry


def run_with_faults(target: Target, database_url: str, bundle: Bundle) -> TaskStatus:
    """The first run: three real faults, after which some items are missing."""
    task_id = bundle.task.task_id
    concepts = list(read_framework(bundle.roadmap.framework_data).nodes)
    items = len(concepts) * len(ContentType)

    console.rule(Text("2. Content is generated, paid for, and staged", style="bold"))
    load_bundle(bundle, target.engine, target.bucket, Deadline.after(60))
    staged = len(bundle.content)
    say(
        f"{staged} of {items} items are staged in S3. The others are not generated yet, and nothing is saved."
    )

    console.rule(Text("3. Three faults", style="bold"))
    _take_id(target.engine, bundle.content[Item(concepts[0], ContentType.TUTORIAL)])
    say(f"The tutorial id of {concepts[0]} already belongs to another roadmap: the report's duplicate key.")
    _poison(target, bundle, Item(concepts[1], ContentType.QUIZ))
    say(f"The quiz of {concepts[1]} contains a NUL character, which PostgreSQL cannot store.")
    victim = concepts[-1]
    say(f"The function that saves the content of {victim} will be killed, each time it is tried.")

    console.rule(Text("4. The first run", style="bold"))
    resources = bundle.content[Item(victim, ContentType.RESOURCES)]
    with _killing_the_saver_of(database_url, resources["id"]) as kills:
        first = _run(target, task_id)
    say(f"{len(kills)} processes were killed. All other items are saved, and the missing ones are listed:")
    console.print(views.outcome(first))
    return first


def _tell(target: Target, database_url: str, bundle: Bundle) -> dict[str, Any]:
    concepts = list(read_framework(bundle.roadmap.framework_data).nodes)
    first = run_with_faults(target, database_url, bundle)

    console.rule(Text("5. One retry over HTTP, without manual repairs", style="bold"))
    second = _retry(target, bundle.task)
    console.print(views.outcome(second))
    say(_what_became_of(target, bundle, concepts))

    console.rule(Text("6. The task of the bug report itself", style="bold"))
    report = the_report(bundle)
    saved = load_the_report(target, report)
    say(f"The task is failed and lists no failures. {saved} tutorials are saved, the other items are not.")
    healed = _retry(target, report.task)
    console.print(views.outcome(healed))
    if healed.status != second.status:
        raise DemoError(f"the bug report's task ended {healed.status}")
    return {
        "items": len(concepts) * len(ContentType),
        "first_run": _counts(first, before=0),
        "second_run": _counts(second, before=_saved(first)),
        "missing": sum(progress.missing for progress in second.progress.values()),
        "status": second.status,
    }


def say(sentence: str) -> None:
    """Print a sentence of the narration."""
    console.print(sentence)  # the terminal wraps it: no ARN is split by a line feed


def _run(target: Target, task_id: str) -> TaskStatus:
    return _follow(target, task_id, start_run(target.stepfunctions, target.state_machine_arn, task_id))


def _follow(target: Target, task_id: str, execution_arn: str) -> TaskStatus:
    with views.bars(console) as bars:
        follow_run(
            target.stepfunctions, execution_arn, lambda: bars.show(task_status(target.engine, task_id))
        )
    return task_status(target.engine, task_id)


def _retry(target: Target, task: BundleTask) -> TaskStatus:
    answer = target.client(task.user_id).retry(task.task_id)
    say(f"POST /api/v1/tasks/{task.task_id}/retry")
    say(answer.model_dump_json())
    if answer.execution_arn is None:
        raise DemoError(f"the retry was answered {answer.status}: {answer.message}")
    return _follow(target, task.task_id, answer.execution_arn)


def _what_became_of(target: Target, bundle: Bundle, concepts: list[str]) -> str:
    """Describe how the first two faults were repaired, from the tables and the bucket."""
    roadmap_id = bundle.roadmap.roadmap_id
    taken = bundle.content[Item(concepts[0], ContentType.TUTORIAL)]["tutorial_id"]
    with target.engine.connect() as connection:
        where = {"roadmap_id": roadmap_id, "concept_id": concepts[0]}
        given = connection.execute(TUTORIAL_ID, where).scalar_one()
    poisoned = Item(concepts[1], ContentType.QUIZ)
    refused = fingerprint(_poisoned(bundle, poisoned))
    rejected = target.bucket.get(rejected_key(roadmap_id, poisoned, 1, refused))
    if given == taken or rejected is None:
        raise DemoError("the faults were not repaired as expected")
    return (
        f"The tutorial kept its text and got the id {given}; the invalid quiz was moved to rejected/"
        f" ({len(rejected.body)} bytes) and generated again; the staged content of the lost batch was saved."
    )


def the_report(bundle: Bundle) -> Bundle:
    """The same roadmap with other ids, with content for every other concept."""
    document = {
        "roadmap": bundle.roadmap.model_dump(),
        "task": bundle.task.model_dump() | {"task_id": "the-task-of-the-bug-report"},
        "content": [],
    }
    renamed = json.loads(json.dumps(document).replace(bundle.roadmap.roadmap_id, "the-bug-report"))
    complete = with_offline_content(renamed)
    return read_bundle(complete | {"content": complete["content"][::2]})


def load_the_report(target: Target, report: Bundle) -> int:
    """Load it in the state that the replaced design left after the duplicate key; return the saved
    tutorials.
    """
    load_bundle(report, target.engine, target.bucket, Deadline.after(60))
    concepts = list(read_framework(report.roadmap.framework_data).nodes)
    half = concepts[: len(concepts) // 2]
    with target.engine.begin() as connection:
        rows = {"roadmap_id": report.roadmap.roadmap_id, "concept_ids": json.dumps(half)}
        connection.execute(SAVED_BEFORE, rows)
        connection.execute(LEFT_FAILED, {"task_id": report.task.task_id})
    return len(half)


def _saved(status: TaskStatus) -> int:
    return sum(progress.saved for progress in status.progress.values())


def _counts(status: TaskStatus, *, before: int) -> dict[str, int]:
    return {"saved": _saved(status) - before, "failed": len(status.failed_items)}


def _take_id(engine: Engine, tutorial: Document) -> None:
    with engine.begin() as connection:
        connection.execute(OTHER_ROADMAP)
        connection.execute(OTHER_TUTORIAL, {"tutorial_id": tutorial["tutorial_id"]})


def _poison(target: Target, bundle: Bundle, item: Item) -> None:
    target.bucket.put(staged_key(bundle.roadmap.roadmap_id, item), _poisoned(bundle, item))


def _poisoned(bundle: Bundle, item: Item) -> bytes:
    quiz = json.loads(json.dumps(bundle.content[item]))
    quiz["questions"][0]["explanation"] += "\x00"
    return json.dumps(quiz).encode()


@contextmanager
def _killing_the_saver_of(database_url: str, resources_id: str) -> Iterator[list[int]]:
    """Kill every process that tries to save these resources during the block; yields their process ids."""
    killed: list[int] = []
    over = threading.Event()
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        connection.execute(HOLD_RESOURCES, {"id": resources_id})
        killer = threading.Thread(target=_kill_whoever_waits, args=(connection, over, killed))
        killer.start()
        try:
            yield killed
        finally:
            over.set()
            killer.join()
            connection.rollback()


def _kill_whoever_waits(connection: Connection, over: threading.Event, killed: list[int]) -> None:
    while not over.wait(0.05):
        for process in processes_waiting_for(connection):
            killed.append(process.pid)
            process.kill()
