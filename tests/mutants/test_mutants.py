"""The mutants of `make mutants` apply to the current code."""

import ast
import json

import pytest

from local_stack.builds import REPOSITORY
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
