"""The mutants of `make mutants` apply to the current code."""

import ast
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from tests.mutants import __main__ as check
from tests.mutants.guards import MUTANTS, DoesNotApplyError, Mutant, read


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


def test_a_line_of_another_form_is_no_declaration() -> None:
    with pytest.raises(ValueError, match=r"code\.py: no mutation"):
        list(read("\n@ code.py\nno mutation\na guard: its rule\n-guard\n= unit/test_a.py::test_b\n"))


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
