"""Content without a model: made from a concept's own words alone, so that the whole system runs offline.

The same concept gives the same content, everywhere and always. Nothing is said about the subject that the
outline does not say, and every right answer of a quiz is read from the outline: the fixed prose around it
orders the learner's work. It comes in one table for each language.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle, islice
from typing import Literal, NamedTuple
from urllib.parse import quote

from ..content import Draft
from ..content.quiz import Difficulty, QuestionDraft, QuizDraft
from ..content.resources import ResourceDraft, ResourcesDraft
from ..content.tutorial import TutorialDraft
from ..framework import Concept
from ..items import ContentType
from ..settings import Settings
from .allowance import Allowance
from .generator import Generator
from .learner import ANYONE, Learner

MAX_LINE = 200
"""Characters of a name, a keyword, a prerequisite: of what stands in a heading or an option."""

MAX_DESCRIPTION = 1000
MAX_SUMMARY = 300
MAX_QUERY = 100

MAX_HOURS = 10_000
"""Study time above this is as good as none: nobody can plan with it."""

USUAL_MINUTES = 30
MIN_MINUTES = 10

MIN_SECTIONS = 3
WRONG_OPTIONS = 3
RIGHT_KEYWORDS = 3

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HEADING_MARK = re.compile(r"^\s*#+\s")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")


class Site(NamedTuple):
    """A place to search. `url` and `title` take what is searched for; `focused` adds keywords to it."""

    kind: str
    title: str
    url: str
    about: str
    focused: bool


class Asking(NamedTuple):
    """A question on one thing that the outline says, and options that are wrong unless it says just that."""

    question: str
    otherwise: str
    """The option that is right where the outline says nothing."""

    wrong: Sequence[str]


@dataclass(frozen=True)
class Prose:
    """Everything that is fixed, in one language. Braces name what a concept fills in."""

    language: str
    separator: str
    untitled: str

    tutorial: str
    described: str
    undescribed: str
    placed: str
    unplaced: str
    levels: Mapping[str, tuple[str, str]]
    """Difficulty → its label, and advice."""

    unrated: tuple[str, str]
    goal: str
    prepared: str
    unprepared: str
    sections: Sequence[str]
    """Ways to work on a topic: as many sections as a tutorial can have."""

    summary: str

    sites: Sequence[Site]

    place: Asking
    keywords: Asking
    prerequisite: Asking
    effort: str
    level_and_time: str
    time: str
    untimed: str
    says: str
    says_something: str
    says_nothing: str
    truth: tuple[str, str]
    """The options for true and false."""

    explanation: str
    nothing: str


class OfflineGenerator:
    """A `Generator` that needs neither network nor clock nor chance."""

    def generate(
        self,
        concept: Concept,
        content_type: ContentType,
        _learner: Learner = ANYONE,
        _allowance: Allowance | None = None,
        /,
    ) -> Draft:
        """Make an item of any concept, whatever its texts hold; this cannot fail."""
        prose = CHINESE if _CJK.search(concept.name + concept.description) else ENGLISH
        outline = _readable(concept, prose)
        match content_type:
            case ContentType.TUTORIAL:
                return _tutorial(outline, prose)
            case ContentType.RESOURCES:
                return _resources(outline, prose)
            case ContentType.QUIZ:
                return _quiz(outline, prose)


def create(_settings: Settings) -> Generator:
    """The generator of this module."""
    return OfflineGenerator()


def _readable(concept: Concept, prose: Prose) -> Concept:
    """The concept with texts that can be stored and stand in a line, lists without repetition, sane hours."""
    concept_id = _line(concept.concept_id)
    hours = concept.estimated_hours
    return replace(
        concept,
        concept_id=concept_id,
        name=_line(_HEADING_MARK.sub("", concept.name)) or concept_id or prose.untitled,
        description=_line(concept.description, MAX_DESCRIPTION),
        difficulty=_line(concept.difficulty),
        keywords=_lines(concept.keywords),
        prerequisites=_lines(concept.prerequisites),
        estimated_hours=round(hours, 2) if 0 < hours <= MAX_HOURS else 0.0,
        stage=_line(concept.stage),
        module=_line(concept.module),
    )


def _lines(texts: Sequence[str]) -> tuple[str, ...]:
    distinct: dict[str, str] = {}
    for line in map(_line, texts):
        if line:
            distinct.setdefault(line.casefold(), line)
    return tuple(distinct.values())


def _line(text: str, limit: int = MAX_LINE) -> str:
    # Two halves of one character, as JSON may leave them, become whole by way of UTF-16; a lone one is lost.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _cut(" ".join(whole.replace("\x00", "\ufffd").split()), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _opening(text: str, limit: int) -> str:
    """The first two sentences of a text."""
    second_end = next(islice(_SENTENCE_END.finditer(text), 1, None), None)
    return _cut(text[: second_end.end()] if second_end else text, limit)


def _place(concept: Concept) -> str:
    return " › ".join(dict.fromkeys(filter(None, (concept.stage, concept.module))))


def _level(concept: Concept, prose: Prose) -> tuple[str, str]:
    label, advice = prose.unrated
    return prose.levels.get(concept.difficulty.casefold(), (concept.difficulty or label, advice))


def _tutorial(concept: Concept, prose: Prose) -> TutorialDraft:
    name, description, place = concept.name, concept.description, _place(concept)
    topics = concept.keywords[: len(prose.sections)] or (name,)
    minutes = (
        max(MIN_MINUTES, round(concept.estimated_hours * 60)) if concept.estimated_hours else USUAL_MINUTES
    )
    reading, checking = minutes // 3, minutes // 6
    label, advice = _level(concept, prose)
    sections = zip(prose.sections[: max(MIN_SECTIONS, len(topics))], cycle(topics), strict=False)
    markdown = prose.tutorial.format(
        name=name,
        introduction=(prose.described if description else prose.undescribed).format(
            name=name, description=description
        ),
        place=(prose.placed if place else prose.unplaced).format(place=place),
        level=advice.format(level=label),
        goals="".join(prose.goal.format(topic=topic) for topic in concept.keywords[: len(topics)]),
        prerequisites=(prose.prepared if concept.prerequisites else prose.unprepared).format(
            prerequisites="\n".join(f"- {prerequisite}" for prerequisite in concept.prerequisites)
        ),
        minutes=minutes,
        reading=reading,
        working=minutes - reading - checking,
        checking=checking,
        sections="\n\n".join(section.format(topic=topic) for section, topic in sections),
        first=topics[0],
        last=topics[-1],
        topics=prose.separator.join(topics),
    )
    summary = _opening(description, MAX_SUMMARY) or _cut(prose.summary.format(name=name), MAX_SUMMARY)
    return TutorialDraft(title=name, summary=summary, estimated_completion_time=minutes, markdown=markdown)


def _resources(concept: Concept, prose: Prose) -> ResourcesDraft:
    broad = concept.name[:MAX_QUERY].strip()
    further = [word for word in concept.keywords if word.casefold() not in concept.name.casefold()]
    focused = " ".join((concept.name, *further[:2]))[:MAX_QUERY].strip()
    resources = [
        ResourceDraft(
            title=site.title.format(query=query),
            url=site.url.format(query=quote(query, safe="")),
            type=site.kind,
            description=site.about.format(name=concept.name),
            relevance_score=round(0.95 - rank / 10, 2),
            language=prose.language,
        )
        for rank, site in enumerate(prose.sites)
        for query in [focused if site.focused else broad]
    ]
    return ResourcesDraft(resources=resources, search_queries_used=list(dict.fromkeys((broad, focused))))


def _quiz(concept: Concept, prose: Prose) -> QuizDraft:
    stage, place = concept.stage, _place(concept)
    label, _ = _level(concept, prose)
    hours = concept.estimated_hours
    other_hours = 2 * hours or 2.0
    other_labels = [other for other, _ in prose.levels.values() if other.casefold() != label.casefold()]

    def effort(label: str, hours: float) -> str:
        time = prose.time.format(hours=hours) if hours else prose.untimed
        return prose.level_and_time.format(level=label, time=time)

    questions = _Questions(concept, prose)
    return QuizDraft(
        questions=[
            questions.choice(
                number=1,
                difficulty="easy",
                question=prose.place.question,
                right=[place or prose.place.otherwise],
                candidates=[
                    *(f"{stage} › {wrong}" if stage else wrong for wrong in prose.place.wrong),
                    prose.place.otherwise,
                ],
            ),
            questions.description(number=2, difficulty="easy"),
            questions.choice(
                number=3,
                difficulty="medium",
                question=prose.keywords.question,
                right=concept.keywords[:RIGHT_KEYWORDS] or [prose.keywords.otherwise],
                candidates=prose.keywords.wrong,
                also_right=concept.keywords,
                question_type="multiple_choice",
            ),
            questions.choice(
                number=4,
                difficulty="medium",
                question=prose.prerequisite.question,
                right=concept.prerequisites[:1] or [prose.prerequisite.otherwise],
                candidates=[prose.prerequisite.otherwise, concept.name, *prose.prerequisite.wrong],
                also_right=concept.prerequisites,
            ),
            questions.choice(
                number=5,
                difficulty="hard",
                question=prose.effort,
                right=[effort(label, hours)],
                candidates=[
                    effort(label, other_hours),
                    effort(other_labels[0], hours),
                    effort(other_labels[1], other_hours),
                ],
            ),
        ]
    )


class _Questions:
    """Writes the questions on one concept."""

    def __init__(self, concept: Concept, prose: Prose) -> None:
        self._concept = concept
        self._prose = prose

    def choice(
        self,
        *,
        number: int,
        difficulty: Difficulty,
        question: str,
        right: Sequence[str],
        candidates: Sequence[str],
        also_right: Sequence[str] = (),
        question_type: Literal["single_choice", "multiple_choice"] = "single_choice",
    ) -> QuestionDraft:
        """Ask for `right` among the first `candidates` that are not right; `also_right` is not offered."""
        wrong = islice(_distractors(candidates, {*right, *also_right}), WRONG_OPTIONS)
        options = sorted([*right, *wrong], key=lambda option: self._rank(number, option))
        return QuestionDraft(
            question_id=f"q-{number}",
            question_type=question_type,
            question=question.format(name=self._concept.name),
            options=options,
            correct_answer=[index for index, option in enumerate(options) if option in right],
            explanation=self._explanation(self._prose.separator.join(right)),
            difficulty=difficulty,
        )

    def description(self, *, number: int, difficulty: Difficulty) -> QuestionDraft:
        """Claim that the outline describes the concept, or that it does not; either may be true."""
        prose, description = self._prose, self._concept.description
        excerpt = _opening(description, MAX_LINE)
        claims_description = self._rank(number, "claim")[0] % 2 == 0
        if not claims_description:
            statement = prose.says_nothing
        else:
            statement = prose.says if description else prose.says_something
        return QuestionDraft(
            question_id=f"q-{number}",
            question_type="true_false",
            question=statement.format(name=self._concept.name, excerpt=excerpt),
            options=list(prose.truth),
            correct_answer=[0 if claims_description == bool(description) else 1],
            explanation=self._explanation(excerpt or prose.nothing),
            difficulty=difficulty,
        )

    def _explanation(self, right: str) -> str:
        return self._prose.explanation.format(name=self._concept.name, right=right)

    def _rank(self, number: int, text: str) -> bytes:
        """Where a text comes among others: as good as drawn, and the same for the same concept."""
        return hashlib.sha256(f"{self._concept.concept_id}\n{number}\n{text}".encode()).digest()


def _distractors(candidates: Sequence[str], right: Collection[str]) -> Iterator[str]:
    """The candidates that are not right, each once; numbered once more where a concept uses them all up."""
    taken = {text.casefold() for text in right}
    for lap in count(1):
        for candidate in candidates:
            option = candidate if lap == 1 else f"{candidate} ({lap})"
            if option.casefold() not in taken:
                taken.add(option.casefold())
                yield option


ENGLISH = Prose(
    language="en",
    separator=", ",
    untitled="Untitled concept",
    tutorial="""\
# {name}

> This tutorial was put together from the roadmap's outline, without a language model.
> What it says about the subject is what the outline says; the rest shows you how to work it out yourself.

## Introduction

{introduction}

{place}
{level}

## What you will learn

When you are through, you will be able to

- say in your own words what {name} is and what it is for,
{goals}- take one small example from a question to an answer, and judge that answer yourself,
- name what you do not know yet, and where you would look for it.

## Before you start

{prerequisites}

Plan about {minutes} minutes: {reading} for reading and notes, {working} for the exercise, and {checking} for
checking what you remember. Keep one page of notes open all the time; every section below adds to it.

## Working through the concept

{sections}

## A worked exercise

This is one pass through the concept, from a question to an answer that you can check.

1. **Ask.** Write down one question about “{first}” that you cannot answer yet. “What is it?” is too wide;
   “What would I notice if it were missing?” is about right.
2. **Predict.** Answer it before you look anything up, and give a reason. A guess with a reason can be
   corrected; a blank cannot.
3. **Look.** Find one source that deals with exactly this question. Note where the answer stands, not only
   what it says.
4. **Do.** Make the smallest thing that shows the answer: a few lines, a sketch, a measurement, an example
   worked by hand. If it takes longer than ten minutes, make it smaller.
5. **Compare.** Put the prediction and the result side by side, and write one sentence about the difference.

Filled in, the note looks like this. What stands in brackets is for you to replace:

> **Question:** What would be different without “{first}”?
>
> **Prediction:** I expect that [this changes], because [reason].
>
> **Source:** [title, chapter or section].
>
> **Result:** When I tried it, [this happened].
>
> **Difference:** My prediction was [right or wrong] about [this point], since [reason].

Then do it once more, for “{last}”, without looking at the steps.

## Common mistakes

- **Collecting instead of explaining.** A page of copied sentences feels like progress. If you cannot say
  it without the page, it is not yours yet.
- **Skipping the prediction.** Whatever you read will seem obvious afterwards. Only a prediction on paper
  shows you what you did not know.
- **Learning the words one at a time.** If your notes never mention two of your terms in one sentence, the
  connection between them is still missing.
- **Trusting the first source.** Look for a second one. Where the two disagree is the most useful place to
  read on.

## Summary

You have worked on {name} along the words of its outline: {topics}.
Now close everything and answer from memory: What is it? What is it for? How do its parts depend on each
other? What would you try next? What you could not answer is the list that you begin with tomorrow.
""",
    described="""\
The outline describes **{name}** like this:

> {description}

Read it twice: once for the whole, and once marking every word that you could not explain to somebody else.
The marked words are your questions for what follows.""",
    undescribed="""\
The outline names **{name}**, and does not describe it. So the first step is yours: write down in two
sentences what you expect it to be about, and what you would want to use it for. You will come back to these
sentences at the end, and it is no fault if they turn out to be wrong.""",
    placed="You find it in the roadmap under *{place}*.",
    unplaced="The outline does not say where in the roadmap it stands.",
    levels={
        "easy": (
            "easy",
            "It is rated {level}: one pass should do. Be strict all the same; easy is often only familiar.",
        ),
        "medium": (
            "medium",
            "It is rated {level}: expect one or two places where you must try something before you read on.",
        ),
        "hard": (
            "hard",
            "It is rated {level}: plan two passes, one to mark what is not clear, one to work on the marks.",
        ),
    },
    unrated=(
        "not rated",
        "Its difficulty: {level}. Where you have to guess in more than two sections, slow down.",
    ),
    goal="- explain what “{topic}” has to do with it,\n",
    prepared="""\
The outline asks for these first:

{prerequisites}

Say one sentence about each of them, aloud, before you go on. Where no sentence comes, go back there first:
the time is not lost.""",
    unprepared="""\
The outline asks for nothing beforehand, so you can begin right away. Note in one line what you know about the
subject already; it is easier to add to something than to begin with nothing.""",
    sections=(
        """\
### {topic}: in your own words

Begin with what the words say to you. Write one sentence on what “{topic}” means, as you would tell it to a
colleague who has never heard of it. Then look it up, and correct your sentence without erasing the first
version: the distance between the two is what you have learned here. Where your source uses another word for
the same thing, note that word too; you will meet it again.""",
        """\
### {topic}: one example

Look for one concrete case of “{topic}”: something that you could point at, run, draw or measure. Describe it
in three lines: what is given, what happens, what comes out. Then ask what in this case would have to change
so that it is no example any more. If you find no case at all, say so in your notes. It usually means that the
term is still too wide for you, and that a smaller part of it is the better start.""",
        """\
### {topic}: how it fits in

Put the name of the concept in the middle of a page, and “{topic}” beside it. Draw an arrow between them, and
write on it what one does for the other: needs, produces, limits, replaces. An arrow without a verb does not
count. Add the other terms of this tutorial in the same way. A term that stays without an arrow is the one to
read about next.""",
        """\
### {topic}: where it ends

You know a thing well when you know what it is not. Name something that is easily confused with “{topic}”,
and write down the one property that tells the two apart. Then look for its limit: a size, a situation or a
wish for which it is the wrong means. Both answers belong in your notes, together with the
place where you found them.""",
        """\
### {topic}: change one thing

Take an example of “{topic}” that works, and change one single thing in it. Before you look at the result, say
what you expect. Change it back, and change another one. Three such changes teach more than three more pages,
because each of them can prove you wrong. Record them as a list of pairs: what I changed, what it did.""",
        """\
### {topic}: explain it to somebody

Explain “{topic}” to somebody who is not learning this, in two minutes and without notes; an empty chair will
do. Pay attention to where you begin to say “somehow” or “and so on”: there is the gap. Go back to that one
point, close it, and explain the whole once more.""",
    ),
    summary="A guided way through {name}: what it is, how its parts fit together, and one exercise.",
    sites=(
        Site(
            "article",
            "Wikipedia: {query}",
            "https://en.wikipedia.org/w/index.php?search={query}",
            "Encyclopaedia articles on {name}: definitions, and the words to search on with.",
            focused=False,
        ),
        Site(
            "documentation",
            "MDN Web Docs: {query}",
            "https://developer.mozilla.org/en-US/search?q={query}",
            "Reference pages and guides that mention {name}.",
            focused=False,
        ),
        Site(
            "video",
            "YouTube: {query}",
            "https://www.youtube.com/results?search_query={query}",
            "Talks and demonstrations on {name}, to see somebody else do it.",
            focused=True,
        ),
        Site(
            "tool",
            "GitHub: {query}",
            "https://github.com/search?type=repositories&q={query}",
            "Projects around {name}, to read and to try out.",
            focused=False,
        ),
        Site(
            "article",
            "Google Scholar: {query}",
            "https://scholar.google.com/scholar?q={query}",
            "Papers on {name}, for a second and more thorough look.",
            focused=True,
        ),
    ),
    place=Asking(
        "Where in the roadmap does the outline place “{name}”?",
        "Nowhere: the outline does not say",
        ("Glossary", "Final examination", "Further reading", "Answers to the exercises"),
    ),
    keywords=Asking(
        "Which of these does the outline list as keywords of “{name}”? Choose all that apply.",
        "None: the outline lists no keywords",
        ("course fee", "timetable", "certificate", "seating plan"),
    ),
    prerequisite=Asking(
        "Which of these does the outline name as a prerequisite of “{name}”?",
        "None: it can be begun right away",
        ("The final examination", "A certificate from another course", "A university degree"),
    ),
    effort="Which difficulty and how much study time does the outline give for “{name}”?",
    level_and_time="{level}, {time}",
    time="{hours:g} h",
    untimed="no usable study time",
    says="True or false? The outline says of “{name}”: “{excerpt}”",
    says_something="True or false? The outline describes in at least one sentence what “{name}” is about.",
    says_nothing="True or false? The outline gives “{name}” a name, but no description.",
    truth=("True", "False"),
    explanation="What the outline says of “{name}” here: {right}",
    nothing="nothing; there is no description",
)

CHINESE = Prose(
    language="zh",
    separator="、",
    untitled="未命名的概念",
    tutorial="""\
# {name}

> 本教程由学习路线的大纲直接整理而成，没有使用语言模型。
> 关于主题本身，这里只转述大纲的原话；其余部分告诉你如何自己把它弄明白。

## 导言

{introduction}

{place}
{level}

## 你将学到什么

学完之后，你将能够：

- 用自己的话说明“{name}”是什么、有什么用；
{goals}- 把一个小例子从问题做到答案，并自己判断答案是否成立；
- 说出自己还不知道什么，以及该到哪里去找。

## 开始之前

{prerequisites}

请预留大约 {minutes} 分钟：
{reading} 分钟阅读和做笔记，{working} 分钟做练习，{checking} 分钟检查自己记住了什么。
全程打开一页笔记，下面的每一节都会往上面添加内容。

## 逐步学习

{sections}

## 练习示范

下面以这个概念为对象完整走一遍：从一个问题出发，到一个可以检验的答案。

1. **提问。** 写下一个关于“{first}”而你还答不上来的问题。
   “它是什么”太宽泛；“如果没有它，我会注意到什么变化”就比较合适。
2. **预测。** 查资料之前先回答，并写明理由。有理由的猜测可以被纠正，空白则不能。
3. **查证。** 找一份正好讨论这个问题的资料。不仅记下它说了什么，也记下出处。
4. **动手。** 做出能说明答案的最小的东西：几行代码、一张草图、一次测量，或者一个手算的例子。
   如果十分钟做不完，就把它再缩小一些。
5. **比较。** 把预测和结果放在一起，用一句话写出两者的差别。

填写好的笔记大致如下，方括号里的内容由你替换：

> **问题：** 如果没有“{first}”，会有什么不同？
>
> **预测：** 我认为[某处会改变]，因为[理由]。
>
> **出处：** [标题、章节]。
>
> **结果：** 我试了之后，[发生了什么]。
>
> **差别：** 我的预测在[某一点]上是[对或错]的，原因是[理由]。

然后不看步骤，以“{last}”为对象再做一遍。

## 常见错误

- **只收集，不解释。** 抄满一页句子会让人觉得有进步。
  如果离开那一页就说不出来，它还不是你的。
- **跳过预测。** 读过之后，一切都显得理所当然。
  只有写在纸上的预测，才会告诉你原来不知道什么。
- **孤立地记词。** 如果笔记里从来没有哪句话同时提到两个术语，说明你还没有找到它们之间的联系。
- **只信第一份资料。** 再找一份。两份资料说法不同的地方，最值得继续读下去。

## 小结

你已经沿着大纲的用词学习了“{name}”：{topics}。
现在合上所有资料，凭记忆回答：它是什么？有什么用？各部分如何相互依赖？接下来你想尝试什么？
答不上来的，就是明天开始时的清单。
""",
    described="""\
大纲这样描述**{name}**：

> {description}

请读两遍：第一遍把握整体；第二遍标出每一个你还无法向别人解释的词。
这些标出的词，就是你带着往下学的问题。""",
    undescribed="""\
大纲只给出了**{name}**这个名称，没有描述。
所以第一步由你来做：用两句话写下你认为它讲的是什么，以及你想用它来做什么。
最后你会回到这两句话；即使写错了也没有关系。""",
    placed="它在学习路线中的位置是：*{place}*。",
    unplaced="大纲没有说明它在学习路线中的位置。",
    levels={
        "easy": (
            "简单",
            "它的难度是“{level}”：学一遍就应该有清楚的印象。但仍要严格要求自己，看似简单的往往只是眼熟。",
        ),
        "medium": ("中等", "它的难度是“{level}”：可能会有一两处需要停下来，先动手试一试再往下读。"),
        "hard": (
            "困难",
            "它的难度是“{level}”：请安排学两遍。第一遍标出不懂的地方，继续往下；第二遍专门解决这些标记。",
        ),
    },
    unrated=("未评定", "它的难度：{level}。请自己判断：如果有两节以上只能靠猜，就放慢速度。"),
    goal="- 解释“{topic}”与它有什么关系；\n",
    prepared="""\
大纲要求先掌握：

{prerequisites}

继续之前，请就每一项大声说一句话。
哪一项说不出来，就先回到那里去；这不是浪费时间。""",
    unprepared="""\
大纲没有列出先修要求，可以直接开始。
先用一行字写下你对这个主题已有的了解：在已有的东西上添加，总比从零开始容易。""",
    sections=(
        """\
### {topic}：用自己的话说

先看这个词让你想到什么。用一句话写出“{topic}”的意思，就像讲给一位从未听说过它的同事。
然后查资料，修改你的句子，但不要擦掉原来的那一句。两个版本之间的距离，就是你在这里学到的东西。
如果资料用另一个词指同一件事，也把那个词记下来，你还会遇到它。""",
        """\
### {topic}：一个例子

找一个“{topic}”的具体例子：可以指给别人看、可以运行、可以画出来或测量的东西。
用三行写下来：给定什么，发生什么，得到什么。
再问自己：要改变其中的哪一点，它就不再是例子了？
如果一个例子也找不到，就在笔记里写明：多半是这个词对你来说还太宽，应当从它更小的一部分开始。""",
        """\
### {topic}：它处在什么位置

在一页纸的中间写上这个概念的名称，旁边写上“{topic}”。
在两者之间画一个箭头，并写明一方对另一方做了什么：需要、产生、限制，还是替代。没有动词的箭头不算数。
用同样的办法加上本教程的其他术语。哪个词始终没有箭头，接下来就去读哪个词。""",
        """\
### {topic}：边界在哪里

知道一样东西不是什么，才算真正了解它。
说出一个容易与“{topic}”混淆的东西，并写下能把两者区分开的那个特征。
再找出它的界限：在什么规模、什么情形或什么目的下，它不是合适的办法。
把两个答案连同出处一起写进笔记。""",
        """\
### {topic}：只改一处

拿一个行得通的“{topic}”的例子，只改动其中一处。
看结果之前，先说出你的预期。改回来，再改另一处。
这样改三次，比多读三页更有收获，因为每一次都可能证明你错了。
把它们成对记下来：我改了什么，它带来了什么。""",
        """\
### {topic}：讲给别人听

用两分钟、不看笔记，把“{topic}”讲给一个没有在学这个概念的人；对着一把空椅子讲也可以。
注意你从哪里开始说“反正就是”或者“等等”：缺口就在那里。
回到那一点，把它补上，再完整地讲一遍。""",
    ),
    summary="一份学习“{name}”的引导：它是什么，各部分如何配合，以及一个练习。",
    sites=(
        Site(
            "article",
            "维基百科：{query}",
            "https://zh.wikipedia.org/w/index.php?search={query}",
            "关于“{name}”的百科条目：定义，以及继续搜索时可用的词。",
            focused=False,
        ),
        Site(
            "documentation",
            "MDN Web Docs：{query}",
            "https://developer.mozilla.org/zh-CN/search?q={query}",
            "提到“{name}”的参考文档和指南。",
            focused=False,
        ),
        Site(
            "video",
            "哔哩哔哩：{query}",
            "https://search.bilibili.com/all?keyword={query}",
            "关于“{name}”的讲解和演示，看看别人是怎么做的。",
            focused=True,
        ),
        Site(
            "tool",
            "GitHub：{query}",
            "https://github.com/search?type=repositories&q={query}",
            "与“{name}”有关的项目，可以阅读，也可以试用。",
            focused=False,
        ),
        Site(
            "article",
            "谷歌学术：{query}",
            "https://scholar.google.com/scholar?hl=zh-CN&q={query}",
            "关于“{name}”的论文，用于第二次更深入的阅读。",
            focused=True,
        ),
    ),
    place=Asking(
        "大纲把“{name}”放在学习路线的什么位置？",
        "没有位置：大纲没有说明",
        ("术语表", "期末考试", "延伸阅读", "习题答案"),
    ),
    keywords=Asking(
        "大纲把下列哪些列为“{name}”的关键词？请选出所有正确的选项。",
        "没有：大纲没有列出关键词",
        ("课程费用", "课程表", "结业证书", "座位安排"),
    ),
    prerequisite=Asking(
        "大纲把下列哪一项列为“{name}”的先修要求？",
        "没有：可以直接开始",
        ("期末考试", "其他课程的结业证书", "大学学位"),
    ),
    effort="大纲给“{name}”定的难度和学习时间是多少？",
    level_and_time="{level}，{time}",
    time="{hours:g} 小时",
    untimed="没有可用的学习时间",
    says="判断对错：大纲这样描述“{name}”：“{excerpt}”",
    says_something="判断对错：大纲至少用一句话描述了“{name}”的内容。",
    says_nothing="判断对错：大纲只给出了“{name}”这个名称，没有描述。",
    truth=("正确", "错误"),
    explanation="关于“{name}”，大纲在这里给出的是：{right}",
    nothing="什么也没有；没有描述",
)
