"""`roadmap findings`, `compare`: faults of contents, and a candidate beside the stored contents."""

import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from local_stack.errors import RefusedError
from roadmap_command.commands.content import exported_from
from roadmap_command.compare.calls import Calls
from roadmap_command.compare.candidates import BedrockCandidate, Candidate, function_candidate
from roadmap_command.compare.comparison import Comparison, NotCompared, Pair
from roadmap_command.compare.report import page_of
from roadmap_command.compare.sample import StoredItem, draw, read_course
from roadmap_command.compare.settings import settings_for
from roadmap_command.compare.summary import summary_of, table_of
from roadmap_command.interface import (
    ExitCode,
    Json,
    Stack,
    bar,
    confirmed,
    errors,
    if_interrupted,
    output,
    print_json,
)
from roadmap_command.views import counted
from roadmap_content.content.generation.prompting import prompt_for
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.log import logger

group = typer.Typer()

THREADS = 8
"""Items at a time."""


@group.command()
def findings(
    course: Annotated[
        str, typer.Argument(metavar="FILE|TASK_ID", help="A bundle, or a task whose contents are read.")
    ],
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List what a careful reader sees in saved contents without knowing the subject. The exit code is 1 if
    there is anything.
    """
    path = Path(course)
    body = path.read_bytes() if path.is_file() else json.dumps(exported_from(stack, course).bundle).encode()
    items = _items_of(body, course)
    found = [
        {"concept_id": item.concept.concept_id, "content_type": item.content_type, **finding._asdict()}
        for item in items
        for finding in item.findings(item.content)
    ]
    if as_json:
        print_json({"items": len(items), "findings": found})
    else:
        for each in found:
            name = f"{each['content_type']}/{each['concept_id']}"
            output().print(f"{name}  {each['code']}  {each['place']}: {each['sentence']}")
        errors.print(f"{counted(len(found), 'finding')} in {counted(len(items), 'item')}")
    if found:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


@group.command()
def compare(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE.json…", exists=True, help="Bundles, of `roadmap export`.")
    ],
    model: Annotated[
        str | None, typer.Option("--model", help="The candidate: a model's or a profile's id or ARN.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", exists=True, file_okay=False, help="Changed prompts (docs/generation.md)."),
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            "--generator",
            metavar="FILE.py|ARN",
            help="The candidate: a function of yours (docs/generation.md).",
        ),
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", help="A model of another family, as the judge.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="The models' AWS region.")] = None,
    items: Annotated[int, typer.Option("--items", min=1, help="Items to compare.")] = 400,
    seed: Annotated[int, typer.Option("--seed", help="The seed of the sample.")] = 1,
    content_type: Annotated[list[ContentType] | None, typer.Option("--type", help="Only this type.")] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0.5, max=50, help="More faulty items per 100 that are accepted.")
    ] = 5,
    tokens: Annotated[int, typer.Option("--tokens", help="Maximum tokens of this run.")] = 5_000_000,
    calls_per_minute: Annotated[
        float, typer.Option("--calls-per-minute", min=0.1, help="The pace of the requests.")
    ] = 60,
    answers: Annotated[
        Path, typer.Option("--answers", file_okay=False, help="The folder of the kept answers.")
    ] = Path("compare-answers"),
    out: Annotated[Path | None, typer.Option("--out", help="Write a page with all pairs.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the contents are sent.")] = False,
    as_json: Json = False,
) -> None:
    """Compare another model, changed prompts or your function with stored contents, before a stack changes.

    The candidate generates stored items again; nothing is saved. The faulty items of both are counted: those
    with a finding, or with a question whose answer the judge doubts. Exit codes: 0 no worse, 1 worse, 2 not
    decided. Answers are kept, so that another run or another judge pays nothing twice.
    """
    from roadmap_content.content.generation.bedrock import create_model  # boto3 is slow

    stored = [
        item
        for bundle in bundles
        for item in _items_of(bundle.read_bytes(), str(bundle))
        if item.content_type in (content_type or ContentType)
    ]
    sample = draw(stored, items, seed)
    if not sample:
        raise RefusedError("the bundles have no saved item of this selection")
    if generator is not None and (model or prompts):
        raise RefusedError("--generator is the candidate: --model and --prompts are of another one")
    settings = settings_for(model, region)
    candidate: Candidate[Any] = (
        BedrockCandidate(create_model(settings), prompts)
        if generator is None
        else function_candidate(generator, settings)
    )
    judging = BedrockCandidate(create_model(settings_for(judge, region))) if judge else None
    calls = Calls(answers, tokens, calls_per_minute)
    in_flight = calls.in_flight()
    for message in (
        *_announcement(sample, candidate, judging),
        f"At most {tokens:,} tokens. They may be of a quota that production uses, too.",
        *(f"An earlier run has sent this, and may have paid for the answer: {call}" for call in in_flight),
    ):
        errors.print(message)
    if not yes and not confirmed("Send it?"):
        raise RefusedError("nothing was sent; --yes sends without a question")
    kept = f"The answers are kept in {answers}: the same command continues."
    with if_interrupted(kept), redirect_stdout(sys.stderr):  # a function in a file may print
        results = _run(Comparison(calls, candidate, judging), sample)
    pairs = [result for result in results if isinstance(result, Pair)]
    verdict, summary = summary_of(pairs, margin)
    summary |= {
        "model": candidate.name,
        "judge": judging and judging.name,
        "seed": seed,
        "sample": _described(sample),
        "tokens_paid": calls.paid,
        "in_flight": in_flight,
        "not_compared": [
            {"item": result.item.name, "reason": result.reason}
            for result in results
            if isinstance(result, NotCompared)
        ],
    }
    if out is not None:
        out.write_text(page_of(summary, pairs), "utf-8")
    if as_json:
        print_json(summary)
    else:
        output().print(f"{summary['sample']} (seed {seed})")
        output().print(table_of(summary))
        for line in _remarks(summary):
            errors.print(line)
    raise typer.Exit(verdict)


def _items_of(body: bytes, name: str) -> Sequence[StoredItem]:
    """The items of a bundle; invalid ones are named."""
    course = read_course(body, name)
    for fault in course.refused:
        errors.print(f"{name}: left out: {fault}")
    return course.items


def _described(sample: Sequence[StoredItem]) -> str:
    """The sample for people: its courses, types and languages."""
    courses = len({item.roadmap_id for item in sample})
    parts = [
        ", ".join(f"{number} {name}" for name, number in Counter(names).most_common())
        for names in ([item.content_type for item in sample], [item.language for item in sample])
    ]
    return f"{counted(len(sample), 'item')} of {counted(courses, 'course')}: {'; '.join(parts)}"


def _announcement(
    sample: Sequence[StoredItem], candidate: Candidate[Any], judge: BedrockCandidate | None
) -> Iterator[str]:
    """The requests that are sent to each model. Raises RefusedError: the changed prompts cannot be used."""
    yield f"To {candidate.place}: the concepts of {_described(sample)}."
    if isinstance(candidate, BedrockCandidate):
        versions = _versions(sample, candidate.prompts)
        if candidate.prompts is not None and versions == _versions(sample, None):
            raise RefusedError("--prompts has no template of the sample: TYPE/prompt.LANGUAGE.md")
        yield f"Prompts: {', '.join(sorted(versions))}"
    preferences = {json.dumps(item.learner.preferences, ensure_ascii=False) for item in sample}
    yield f"With the preferences of {counted(len(preferences), 'learner')}:"
    yield from sorted(f"  {each:.500}" for each in preferences)
    if judge is not None:
        yield f"To {judge.place}: the contents of these items, and the candidate's."


def _versions(sample: Sequence[StoredItem], prompts: Path | None) -> set[str]:
    try:
        return {
            prompt_for(item.concept, item.content_type, item.learner, None, prompts).version
            for item in sample
        }
    except (KeyError, ValueError, OSError) as error:
        raise RefusedError(f"--prompts: a template cannot be filled in: {error!r:.200}") from error


def _run(comparison: Comparison, sample: Sequence[StoredItem]) -> list[Pair | NotCompared]:
    """Compare all items, with a bar. If it is interrupted, the calls that were sent are received and kept."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)  # it writes to stdout; each item has its own reason
    try:
        with bar("comparing", len(sample)) as advance, ThreadPoolExecutor(THREADS) as threads:
            futures = [threads.submit(comparison.compare, item) for item in sample]
            try:
                for _ in as_completed(futures):
                    advance()
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise
            return [future.result() for future in futures]
    finally:
        logger.setLevel(level)


def _remarks(summary: dict[str, Any]) -> Iterator[str]:
    for reason, number in Counter(each["reason"] for each in summary["not_compared"]).items():
        yield f"Not compared: {counted(number, 'item')}: {reason}"
    yield f"Paid by this run: {summary['tokens_paid']:,} tokens"
    if summary["items_to_decide"] is not None:
        yield f"About {summary['items_to_decide']} items would decide, if the shares stay as they are."
