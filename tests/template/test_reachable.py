"""The operations and settings that a function's code can reach, derived from its types."""

import ast
from dataclasses import fields
from importlib import import_module

import pytest

from checks.template.declared import Function, functions_in
from checks.template.reachable import reached_by
from local_stack.builds import REPOSITORY
from roadmap_content.state.services import Capability
from tests.support.templates import STACK


@pytest.mark.parametrize("function", functions_in(STACK), ids=lambda function: function.name)
def test_a_function_reads_the_settings_that_are_set_for_it_and_no_others(function: Function) -> None:
    settings = reached_by(function.name).settings
    assert function.own_variables <= settings <= function.variables


LAYER = REPOSITORY / "layers/common"
SERVICES = "roadmap_content.state.services"
FUNCTIONS = sorted(path.parent.name for path in REPOSITORY.glob("functions/*/app.py"))


def capabilities() -> dict[str, Capability]:
    """Every capability of the layer, by the symbol that a function composes."""
    paths = sorted(LAYER.glob("roadmap_content/capabilities/*/*.py"))
    modules = [import_module(".".join(path.relative_to(LAYER).with_suffix("").parts)) for path in paths]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Capability)
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_calls_a_hook_composes_every_capability_that_has_it(name: str) -> None:
    """A function without one would lose an exclusion, without an error."""
    symbols = reached_by(name).symbols
    called = [hook.name for hook in fields(Capability) if f"{SERVICES}.Capability.{hook.name}" in symbols]
    needed = {
        symbol for symbol, given in capabilities().items() if any(getattr(given, hook) for hook in called)
    }
    assert needed <= symbols


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_claims_or_finishes_a_run_gives_its_services_a_tuple(name: str) -> None:
    app = ast.parse((REPOSITORY / f"functions/{name}/app.py").read_text())
    given = {node.arg for node in ast.walk(app) if isinstance(node, ast.keyword)}
    assert ("capabilities" in given) == (f"{SERVICES}.Services.capabilities" in reached_by(name).symbols)


HOOKS_OF = {
    "roadmap_content.state.queue.claims._take": {"exclusion"},
    "roadmap_content.runs.steps.end_attempt.end_attempt": {"failures_changed", "after_outcome"},
    "roadmap_content.runs.steps.finalize.start_next": {"after_run"},
}
"""By the door through which everything claims, or ends an attempt: the hooks that it calls."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_claims_or_ends_an_attempt_calls_its_hooks(name: str) -> None:
    symbols = reached_by(name).symbols
    hooks = {hook for door, called in HOOKS_OF.items() if door in symbols for hook in called}
    assert {f"{SERVICES}.Capability.{hook}" for hook in hooks} <= symbols


def test_some_functions_call_hooks() -> None:
    claiming = {name for name in FUNCTIONS if f"{SERVICES}.Capability.exclusion" in reached_by(name).symbols}
    api = {"task_api", "operator_api"}
    assert claiming == api | {"plan_batches", "await_redrive", "finalize_task", "reconcile_task"}
    assert all(any(door in reached_by(name).symbols for name in FUNCTIONS) for door in HOOKS_OF)
    assert f"{SERVICES}.Capability.after_run" in reached_by("finalize_task").symbols
    assert f"{SERVICES}.Capability.after_run" not in reached_by("plan_batches").symbols
    assert f"{SERVICES}.Services.capabilities" in reached_by("await_redrive").symbols
