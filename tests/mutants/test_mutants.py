"""The mutants of `make mutants` apply to the current code."""

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from tests.mutants import __main__ as check
from tests.mutants.guards import MUTANTS, DoesNotApplyError, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.guard}: {mutant.removed}")
def test_each_mutant_applies_and_is_valid_code(mutant: Mutant) -> None:
    source = (REPOSITORY / mutant.path).read_text()
    without = mutant.applied_to(source)
    assert without != source
    assert ast.parse(without) if mutant.path.endswith(".py") else json.loads(without)
    with pytest.raises(DoesNotApplyError):
        mutant.applied_to(without)


@pytest.mark.parametrize("test", sorted({test for mutant in MUTANTS for test in mutant.tests}))
def test_the_tests_of_each_mutant_exist(test: str) -> None:
    path, _, name = test.partition("::")
    assert f"\ndef {name}(" in (REPOSITORY / path).read_text()


def test_every_required_guard_has_a_mutant() -> None:
    assert {mutant.guard for mutant in MUTANTS} == {
        "the product's tasks",
        "the product's pages",
        "the time zone",
        "a cancellation",
        "the outbox",
        "the id of an event",
        "the operator's terminal",
        "the position in a list",
        "the time for foreign text",
        "the roles of a token",
        "the product's projection",
        "the replacement of saved items",
        "texts of tutorials",
        "the attempt fence",
        "the audit trail",
        "the per-roadmap lock",
        "the order of locks",
        "the lock of the projection",
        "the fence of Generate",
        "the recovery's record of a claim",
        "the breaker of a recovery",
        "the waiting attempts of a recovery",
        "the random part of a name",
        "the conditional claim",
        "a Catch",
        "the poisoned-connection guard",
        "the demotion rule",
        "the loop guard",
        "the lock of an item",
        "ownership in SQL",
        "the error messages of the command",
        "paid content",
        "the executions of a renamed stack",
        "an attempt before its start",
        "the name of an execution",
        "the text of a framework",
        "the limits of size",
        "the order of checks",
        "instants of local times",
        "the counts of a superseded attempt",
        "the fence of Plan",
        "the claim of a redrive",
        "the queue",
        "the locks that a sweep skips",
        "the end of waiting",
        "the message of a database error",
        "the SQLSTATEs of the server",
        "the second try of a transaction",
        "the limit of an id",
        "the reading of foreign rows",
        "the isolation of a task",
        "the model's quota",
        "the admission",
        "the stop switch",
        "the link check",
        "the content check",
        "regenerations",
        "restores",
        "the states of failure groups",
        "the feed of changes",
    }


def test_a_mutant_that_cannot_be_checked_hides_no_other_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mutants = [Mutant(guard, "rule", "code.py", "guard", "", (guard,)) for guard in ("one", "two", "three")]
    results = {
        ("one",): check.Testimony([], {}, {"one": "a fixture raised"}, []),
        ("two",): check.Testimony([], {"tests/a.py::test_notices": "AssertionError"}, {}, []),
        ("three",): check.Testimony(["tests/a.py::test_ignores"], {}, {}, []),
    }
    unchanged = check.Testimony(["all"], {}, {}, [])
    copies = iter(("first", "second"))

    @contextmanager
    def copied() -> Iterator[Path]:
        root = tmp_path / next(copies)
        root.mkdir()
        (root / "code.py").write_text("guard\n")
        yield root

    monkeypatch.setattr(check, "MUTANTS", mutants)
    monkeypatch.setattr(check, "copied", copied)
    monkeypatch.setattr(check, "run_tests", lambda _, tests: results.get(tuple(tests), unchanged))
    assert check.main() == 1
    assert capsys.readouterr().err.splitlines()[-4:] == [
        "not checked: one: rule: one: a fixture raised",
        "noticed: two: rule: test_notices",
        "survived: three: rule: tests/a.py::test_ignores",
        "1 not checked, 1 noticed, 1 survived",
    ]
