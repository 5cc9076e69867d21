"""The explorers of a module's tests."""

from collections.abc import Iterator

import pytest

from tests.schedules.explorer import Explorers
from tests.schedules.template import template_database


@pytest.fixture(scope="module")
def explorers() -> Iterator[Explorers]:
    with template_database() as template:
        made = Explorers(template)
        yield made
        made.close()
