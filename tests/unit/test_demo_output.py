"""The narration of `roadmap demo`: no ARN is split, in a narrow terminal or piped."""

import io

import pytest
from rich.console import Console

from roadmap_command import demo

ARN = "arn:aws:states:us-east-1:000000000000:execution:roadmap-save-content:a-task-r1-4b8c4ec6"


def test_a_sentence_with_an_arn_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(demo, "console", Console(file=printed, width=40))

    demo.say(f'{{"execution_arn": "{ARN}", "message": "Attempt started for the missing items"}}')

    (line,) = printed.getvalue().splitlines()
    assert ARN in line
