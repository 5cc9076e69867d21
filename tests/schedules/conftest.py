"""The explorers of a module's tests."""

from collections.abc import Iterator

import pytest

from tests.schedules.explorer import Explorer
from tests.schedules.pairs import Explorers
from tests.schedules.template import new_database, template_database


@pytest.fixture(scope="module")
def explorers() -> Iterator[Explorers]:
    """The explorer of a situation."""
    made: dict[str, Explorer] = {}

    with template_database() as server_url:

        def explorer_of(situation: str) -> Explorer:
            if situation not in made:
                made[situation] = Explorer(new_database(server_url), situation)
            return made[situation]

        yield explorer_of
        for explorer in made.values():
            explorer.close()
