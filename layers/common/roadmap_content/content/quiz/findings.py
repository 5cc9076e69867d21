"""Faults that a careful reader sees in a quiz without knowing its subject."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from math import prod

from ...contracts.documents import Document
from ..findings import Finding, wrong_language

MAX_CHANCE = 1 / 50
"""Keys at one place are a finding if a smaller share of quizzes would have them there by chance."""

_LABEL = re.compile(r"^\s*[(（]?[A-Ha-h][.)）、:：]\s*")
_STATED = re.compile(
    r"\b(?:correct|right) (?:answer|option|choice) is:? |\banswer: |(?:答案|选项)(?:应?[是为]|[:：])\s*",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?:option |选项)?[(（]?([A-H])(?![\w’'])")
_MARKS = " .。!“”\"'"


def find(quiz: Document, language: str) -> Iterator[Finding]:
    """Findings of a quiz, each with the path of a question."""
    questions: list[Document] = quiz.get("questions", [])
    if _has_one_place(questions):
        yield Finding("same-place", "questions", "The right option has the same place in all questions")
    seen: set[tuple[str, ...]] = set()
    for index, question in enumerate(questions):
        place, options = f"questions[{index}]", question["options"]
        stated = _stated_options(str(question.get("explanation", "")), options)
        if stated and stated.isdisjoint(question["correct_answer"]):
            sentence = f"The explanation states that option {min(stated) + 1} is right, the key does not"
            yield Finding("explanation-names-another", f"{place}.explanation", sentence)
        forms = sorted(map(_form, options))
        if len(set(forms)) < len(forms):
            yield Finding("same-options", f"{place}.options", "Two options differ only in form")
        asked = (_form(question["question"]), *forms)
        if asked in seen:
            yield Finding("repeated-question", place, "The question occurs twice")
        seen.add(asked)
    texts = [text for question in questions for text in (question["question"], *question["options"])]
    yield from wrong_language("\n".join(texts), language)


def _has_one_place(questions: Sequence[Document]) -> bool:
    """Whether the keys of all questions with one answer have one place, and hardly by chance."""
    single = [question for question in questions if len(question["correct_answer"]) == 1]
    sizes = [len(question["options"]) for question in single]
    places = {question["correct_answer"][0] for question in single}
    return len(places) == 1 and min(sizes) * prod(1 / size for size in sizes) <= MAX_CHANCE


def _stated_options(explanation: str, options: Sequence[str]) -> set[int]:
    """The option that an explanation states to be right, by its text or its letter; several if they differ in
    case only.
    """
    stated = _STATED.search(explanation)
    if stated is None:
        return set()
    rest = explanation[stated.end() :].strip(_MARKS)
    forms = [_LABEL.sub("", option).strip(_MARKS).casefold() for option in options]
    begun = {form for form in forms if form and rest.casefold().startswith(form)}
    if begun:
        longest = max(begun, key=len)
        return {index for index, form in enumerate(forms) if form == longest}
    letter = _LETTER.match(rest)
    return {index for index in range(len(options)) if letter and letter[1] == chr(ord("A") + index)}


def _form(text: str) -> str:
    """A text for comparisons: texts that differ in form only are equal. Of a short one, case and marks may
    matter: it may be code.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    is_short = len(plain.split()) < 3 and plain.isascii()
    return plain if is_short else _LABEL.sub("", plain).casefold().strip(_MARKS)
