"""Faults that a careful reader sees in a quiz without knowing its subject."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from math import prod

from roadmap_content.contracts.documents import Document

from . import Finding, wrong_language

MIN_ANSWER = 8
"""Bytes of an option that is looked for in its question."""

MAX_CHANCE = 1 / 50
"""Keys at one place are a finding if a smaller share of quizzes would have them there by chance."""

_LABEL = re.compile(r"^\s*[(（]?[A-Ha-h][.)）、:：]\s*")
_STATED = re.compile(
    r"\b(?:correct|right) (?:answer|option|choice) is:? |\banswer: |(?:答案|选项)(?:应?[是为]|[:：])\s*",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?:option |选项)?[(（]?([A-H])(?![\w’'])")
_RIGHT_LETTER = re.compile(
    r"(?:^|[.,:;] |[Oo]ption |[Cc]hoice |[Aa]nswer )([A-H]) is (?:the )?(?:correct|right)\b"
    r"|(?:应选|故选|选择)\s?([A-H])(?=[，。,.；;]|$)|(?:^|[，。；：]|选项\s?|答案\s?)([A-H])\s?项?是?正确"
)
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
        keys, kind = question["correct_answer"], question.get("question_type")
        if kind in ("single_choice", "true_false") and len(keys) > 1:
            yield Finding("several-keys", f"{place}.correct_answer", f"A {kind} question has several")
        if not any(map(str.isalnum, str(question.get("explanation") or "x"))):
            yield Finding("no-explanation", f"{place}.explanation", "The explanation has no word")
        if _states_its_answer(question["question"], options, keys):
            yield Finding("answer-in-question", place, "The question contains its answer")
        asked = ("".join(_form(question["question"]).split()), *forms)
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
        named = _RIGHT_LETTER.search(explanation)
        index = ord(next(filter(None, named.groups()))) - ord("A") if named else len(options)
        return {index} if index < len(options) else set()
    rest = explanation[stated.end() :].strip(_MARKS)
    forms = [_LABEL.sub("", option).strip(_MARKS).casefold() for option in options]
    begun = {form for form in forms if form and rest.casefold().startswith(form)}
    if begun:
        longest = max(begun, key=len)
        return {index for index, form in enumerate(forms) if form == longest}
    letter = _LETTER.match(rest)
    return {index for index in range(len(options)) if letter and letter[1] == chr(ord("A") + index)}


def _states_its_answer(question: str, options: Sequence[str], keys: Sequence[int]) -> bool:
    """Whether a question contains its right option, unless that is short: it may be a part of a word."""
    forms = [_form(option).casefold() for option in options]
    found = [index for index, form in enumerate(forms) if form and form in _form(question).casefold()]
    return found == list(keys) and len(forms[found[0]].encode()) >= MIN_ANSWER


def _form(text: str) -> str:
    """A text for comparisons: texts that differ in form only are equal. Of a short one, case and marks may
    matter: it may be code.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    is_short = len(plain.split()) < 3 and plain.isascii()
    return plain if is_short else _LABEL.sub("", plain).casefold().strip(_MARKS)
