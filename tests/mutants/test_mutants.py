"""The mutants of `make mutants` apply to the current code."""

import ast
import json

import pytest

from local_stack.builds import REPOSITORY
from tests.mutants.guards import MUTANTS, DoesNotApplyError


def test_each_mutant_applies_and_is_valid_code() -> None:
    for mutant in MUTANTS:
        source = (REPOSITORY / mutant.path).read_text()
        without = mutant.applied_to(source)  # its error names the guard
        assert without != source, mutant
        assert ast.parse(without) if mutant.path.endswith(".py") else json.loads(without), mutant
        with pytest.raises(DoesNotApplyError):
            mutant.applied_to(without)


def test_the_tests_of_each_mutant_exist() -> None:
    for test in {test for mutant in MUTANTS for test in mutant.tests}:
        path, _, name = test.partition("::")
        assert f"\ndef {name}(" in (REPOSITORY / path).read_text(), test
