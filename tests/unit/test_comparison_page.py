"""The page of a comparison takes time in proportion to its contents."""

import time

import pytest

from roadmap_command.compare.comparison import Examined, Pair
from roadmap_command.compare.findings import findings_of
from roadmap_command.compare.report import page_of
from roadmap_command.compare.sample import StoredItem
from roadmap_command.compare.siblings import Siblings
from roadmap_command.compare.summary import summary_of
from roadmap_content.content.generation.generator import Learner
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.items import ContentType
from tests.support.factories import tutorial

ABOUT = {"model": "m", "sample": "one item", "seed": 1, "not_compared": [], "in_flight": []}


@pytest.mark.parametrize("line", ["", "the same", "TODO: this", "```"])
def test_repeated_lines_do_not_multiply_its_time(line: str) -> None:
    def seconds(lines: int) -> float:
        content = tutorial("a") | {"markdown": f"# A\n{line}\n" + f"{line}\n" * lines}
        item = StoredItem(
            "r", Concept("a", "A"), ContentType.TUTORIAL, Learner("en"), "en", content, {}, Siblings({})
        )
        side = Examined(content, findings_of(ContentType.TUTORIAL, content, "en"))
        pair = Pair(item, side, side, None, None, 0.0)
        summary = summary_of([pair], 5)[1] | ABOUT
        started = time.thread_time()
        assert page_of(summary, [pair]).count('<p dir="auto">') >= 2 * lines
        return time.thread_time() - started

    growths = (seconds(4_000) / max(seconds(1_000), 200e-6) for _ in range(5))
    assert any(growth < 9 for growth in growths), "sixteen times as long, if it is quadratic"
