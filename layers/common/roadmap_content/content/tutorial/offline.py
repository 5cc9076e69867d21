"""Write a tutorial without a model, marked as a draft."""

from ..generation.offline import Outline, one_line
from . import TutorialDraft

MAX_SUMMARY = 300

USUAL_MINUTES = 30
MIN_MINUTES = 10

_ENGLISH = """\
# {name}

> A draft, written without a language model, from the roadmap's outline only.

{description}

## Place

{place}

## Prerequisites

{prerequisites}

## Topics

{keywords}

## Exercise

Explain {name} in your own words, in {minutes} minutes. Then compare your text with one of the resources.
"""

_CHINESE = """\
# {name}

> 草稿：由学习路线的大纲直接整理而成，没有使用语言模型。

{description}

## 位置

{place}

## 预备知识

{prerequisites}

## 主题

{keywords}

## 练习

用 {minutes} 分钟，以自己的话说明“{name}”，再与一份学习资源对照。
"""


def draft(outline: Outline) -> TutorialDraft:
    text = _CHINESE if outline.language == "zh" else _ENGLISH
    minutes = max(MIN_MINUTES, round(outline.hours * 60)) if outline.hours else USUAL_MINUTES
    markdown = text.format(
        name=outline.name,
        description=outline.description or outline.nothing,
        place=outline.place or outline.nothing,
        prerequisites="\n".join(f"- {text}" for text in outline.prerequisites) or outline.nothing,
        keywords="\n".join(f"- {text}" for text in outline.keywords) or outline.nothing,
        minutes=minutes,
    )
    return TutorialDraft(
        title=outline.name,
        summary=one_line(outline.description or outline.name, MAX_SUMMARY),
        estimated_completion_time=minutes,
        markdown=markdown,
    )
