"""`roadmap findings`, `compare`: faults of contents, and a candidate beside the stored contents."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from local_stack.errors import RefusedError
from roadmap_command.commands.content import exported_from
from roadmap_command.compare.calls import ANSWERS, Limits, in_flight
from roadmap_command.compare.comparison import Comparison, NotCompared, Pair
from roadmap_command.compare.figures import HEADER, decision_of, figures_of
from roadmap_command.compare.report import page_of
from roadmap_command.compare.sample import StoredItem, draw, read_course
from roadmap_command.compare.settings import settings_for
from roadmap_command.interface import (
    ExitCode,
    Json,
    Stack,
    bar,
    confirmed,
    errors,
    if_interrupted,
    output,
    print_answer,
    print_json,
)
from roadmap_command.views import counted
from roadmap_content.content.findings import findings_of
from roadmap_content.content.generation.prompting import prompt_for
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.storage.bucket import in_parallel

group = typer.Typer()


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
        {"item": item.name, **finding._asdict()}
        for item in items
        for finding in findings_of(item.content_type, item.content, item.language)
    ]
    if as_json:
        print_json({"items": len(items), "findings": found})
    else:
        for each in found:
            output().print(f"{each['item']}  {each['code']}  {each['place']}: {each['sentence']}")
        errors.print(f"{len(found)} findings in {len(items)} items")
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
    judge: Annotated[
        str | None, typer.Option("--judge", help="A model of another family, as the judge.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="The models' AWS region.")] = None,
    items: Annotated[int, typer.Option("--items", min=1, help="Items to compare.")] = 400,
    seed: Annotated[int, typer.Option("--seed", help="The seed of the sample.")] = 1,
    content_type: Annotated[list[ContentType] | None, typer.Option("--type", help="Only this type.")] = None,
    language: Annotated[list[str] | None, typer.Option("--language", help="Only this language.")] = None,
    of_model: Annotated[
        list[str] | None, typer.Option("--of-model", help="Only items of this model.")
    ] = None,
    margin: Annotated[
        float, typer.Option("--margin", min=0.5, max=50, help="More faulty items per 100 that are accepted.")
    ] = 5,
    tokens: Annotated[int, typer.Option("--tokens", help="Maximum tokens of this run.")] = 5_000_000,
    calls_per_minute: Annotated[
        float, typer.Option("--calls-per-minute", min=0.1, help="The pace of the requests.")
    ] = 60,
    price: Annotated[
        tuple[float, float] | None,
        typer.Option("--price", help="The candidate's dollars per million tokens of input and output."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write a page with all pairs.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the contents are sent.")] = False,
    as_json: Json = False,
) -> None:
    """Compare another model, or changed prompts, with stored contents, before a stack is changed.

    The candidate generates stored items again; nothing is saved. The faulty items of both are counted: those
    with a finding, or with a question whose answer the judge doubts. Exit codes: 0 no worse, 1 worse, 2 not
    decided. Answers are kept in the folder `compare-answers`, so that another run or another judge pays
    nothing twice.
    """
    from roadmap_content.content.generation.bedrock import create_model  # boto3 is slow

    stored = [
        item
        for bundle in bundles
        for item in _items_of(bundle.read_bytes(), str(bundle))
        if item.content_type in (content_type or ContentType)
        and (not language or item.language.split("-")[0] in language)
        and (not of_model or item.origin.get("model_id") in of_model)
    ]
    sample = draw(stored, items, seed)
    if not sample:
        raise RefusedError("the bundles have no saved item of this selection")
    candidate = create_model(settings_for(model, region))
    judging = create_model(settings_for(judge, region)) if judge else None
    at = candidate.client.meta.region_name
    errors.print(f"To {candidate.model_id} in {at}: the concepts of {_described(sample)}.")
    _announce(sample, prompts)
    if judging is not None:
        errors.print(f"To {judging.model_id} in {at}: the contents of these items, and the candidate's.")
    errors.print(f"At most {tokens:,} tokens. They are of the account's quota, which production uses, too.")
    ANSWERS.mkdir(exist_ok=True)
    unanswered = in_flight()
    for call in unanswered:
        errors.print(f"An earlier run has sent this, and may have paid for the answer: {call}")
    if not yes and not confirmed("Send it?"):
        raise RefusedError("nothing was sent; --yes sends without a question")
    limits = Limits(tokens, calls_per_minute)
    with if_interrupted(f"The answers are kept in {ANSWERS}: the same command continues."):
        results = _run(Comparison(limits, candidate, judging, prompts), sample)
    pairs = [result for result in results if isinstance(result, Pair)]
    not_compared = [result for result in results if isinstance(result, NotCompared)]
    decision = decision_of(pairs, margin)
    figures = figures_of(pairs, decision, price)
    title = f"{candidate.model_id}: {decision.verdict.words}, with a margin of {margin:g} points"
    remarks = [f"{_described(sample)} (seed {seed})", f"Paid by this run: {limits.paid:,} tokens"]
    remarks += [f"An earlier run may have paid for this: {call}" for call in unanswered]
    remarks += [f"Not compared: {item}: {reason}" for item, reason in not_compared]
    if decision.items_to_decide is not None:
        remarks.append(
            f"About {decision.items_to_decide} items would decide, if the shares stay as they are."
        )
    if out is not None:
        out.write_text(page_of(title, remarks, figures, pairs), "utf-8")
    document = {
        "model": candidate.model_id,
        "judge": judging and judging.model_id,
        "sample": _described(sample),
        "seed": seed,
        "margin": margin,
        "verdict": decision.verdict.words,
        "difference": decision.per_hundred,
        "items_to_decide": decision.items_to_decide,
        "items": len(pairs),
        "figures": [figure._asdict() for figure in figures],
        "faults": [
            {"item": pair.item.name, "side": name, **finding._asdict()}
            for pair in pairs
            for name, side in (("present", pair.present), ("candidate", pair.candidate))
            for finding in side.findings
        ],
        "not_compared": [each._asdict() for each in not_compared],
        "in_flight": unanswered,
        "tokens_paid": limits.paid,
    }
    table = Table(*HEADER)
    for figure in figures:
        table.add_row(*figure.cells)
    print_answer(document, title, *remarks, table, as_json=as_json)
    raise typer.Exit(decision.verdict)


def _items_of(body: bytes, name: str) -> list[StoredItem]:
    """The items of a bundle; invalid ones are named."""
    items, faults = read_course(body, name)
    for fault in faults:
        errors.print(f"{name}: left out: {fault}")
    return items


def _described(sample: Sequence[StoredItem]) -> str:
    """The sample for people: its courses, types and languages."""
    courses = len({item.roadmap_id for item in sample})
    parts = [
        ", ".join(f"{number} {name}" for name, number in Counter(names).most_common())
        for names in ([item.content_type for item in sample], [item.language for item in sample])
    ]
    return f"{counted(len(sample), 'item')} of {counted(courses, 'course')}: {'; '.join(parts)}"


def _announce(sample: Sequence[StoredItem], prompts: Path | None) -> None:
    """Print the prompts and the preferences that are sent. Raises RefusedError: the changed prompts cannot be
    used.
    """
    try:
        versions = _versions(sample, prompts)
    except (KeyError, ValueError, OSError) as error:
        raise RefusedError(f"--prompts: a template cannot be filled in: {error!r:.200}") from error
    if prompts is not None and versions == _versions(sample, None):
        raise RefusedError("--prompts has no template of the sample: TYPE/prompt.LANGUAGE.md")
    errors.print(f"Prompts: {', '.join(sorted(versions))}")
    preferences = {json.dumps(item.learner.preferences, ensure_ascii=False) for item in sample}
    errors.print(f"With the preferences of {counted(len(preferences), 'learner')}:")
    for each in sorted(preferences):
        errors.print(f"  {each:.500}")


def _versions(sample: Sequence[StoredItem], prompts: Path | None) -> set[str]:
    return {
        prompt_for(item.concept, item.content_type, item.learner, None, prompts).version for item in sample
    }


def _run(comparison: Comparison, sample: Sequence[StoredItem]) -> list[Pair | NotCompared]:
    """Compare all items, with a bar. If it is interrupted, the calls that were sent are received and kept."""
    level = logger.log_level
    logger.setLevel(logging.CRITICAL)  # it writes to stdout; each item has its own reason
    with bar("comparing", len(sample)) as advance:

        def compare_one(item: StoredItem) -> Pair | NotCompared:
            result = comparison.compare(item)
            advance()
            return result

        try:
            return in_parallel(compare_one, sample)
        finally:
            logger.setLevel(level)
