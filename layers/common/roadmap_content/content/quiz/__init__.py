"""Quizzes: the contract, the table `quiz_metadata`, and the fields in `framework_data`."""

from collections import Counter
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from ...contracts.documents import Document
from ...contracts.items import ContentType
from ..kind import (
    DOCUMENT,
    Content,
    ContentId,
    ContentKind,
    Draft,
    Names,
    NonNegative,
    Row,
    encode,
    repeated,
    status_field,
)
from ..statements import single_row_statements

NonEmpty = Annotated[str, StringConstraints(min_length=1)]
Difficulty = Literal["easy", "medium", "hard"]


QuestionT = TypeVar("QuestionT", "Question", "QuestionDraft")


def _check_answers(question: QuestionT) -> QuestionT:
    for answer in question.correct_answer:
        if not 0 <= answer < len(question.options):
            raise ValueError(
                f"correct_answer {answer} is not an index of the {len(question.options)} options"
            )
    return question


class Question(Content):
    """One question. `correct_answer` holds indexes into `options`."""

    question: NonEmpty
    options: Annotated[list[str], Field(min_length=1)]
    correct_answer: Annotated[list[int], Field(min_length=1)]
    difficulty: Difficulty

    _answers_index_options = model_validator(mode="after")(_check_answers)


class Quiz(Content):
    """A staged quiz for a concept."""

    quiz_id: ContentId
    questions: list[Question]
    total_questions: NonNegative

    @model_validator(mode="after")
    def _total_is_the_number_of_questions(self) -> Self:
        if self.total_questions != len(self.questions):
            raise ValueError(
                f"total_questions is {self.total_questions}, questions are {len(self.questions)}"
            )
        return self


class QuestionDraft(Draft):
    """One question. `correct_answer` holds indexes into `options`."""

    question_id: NonEmpty
    question_type: Literal["single_choice", "multiple_choice", "true_false"]
    question: NonEmpty
    options: Annotated[list[str], Field(min_length=2)]
    correct_answer: Annotated[list[int], Field(min_length=1)]
    explanation: str
    difficulty: Difficulty

    _answers_index_options = model_validator(mode="after")(_check_answers)

    def fault_at(self, place: str) -> str | None:
        """Describe the first fault that makes the question unusable; `None` if there is none."""
        answers = self.correct_answer
        if self.question_type != "multiple_choice" and len(answers) != 1:
            return f"{place}.correct_answer of a {self.question_type} question must hold one index"
        if self.question_type == "true_false" and len(self.options) != 2:
            return f"{place}.options of a true_false question must be two"
        if not all(option.strip() for option in self.options):
            return f"{place}.options holds a blank one"
        return repeated(f"{place}.options", self.options) or repeated(f"{place}.correct_answer", answers)


class QuizDraft(Draft):
    questions: Annotated[list[QuestionDraft], Field(min_length=1)]

    def fault(self) -> str | None:
        faults = (question.fault_at(f"questions[{index}]") for index, question in enumerate(self.questions))
        ids = [question.question_id for question in self.questions]
        return next(filter(None, faults), None) or repeated("questions[].question_id", ids)


def _to_row(_roadmap_id: str, concept_id: str, quiz: Document) -> Row:
    difficulties = Counter(question["difficulty"] for question in quiz["questions"])
    return {
        "concept_id": concept_id,
        "quiz_id": quiz["quiz_id"],
        "total_questions": quiz["total_questions"],
        "easy_count": difficulties["easy"],
        "medium_count": difficulties["medium"],
        "hard_count": difficulties["hard"],
        DOCUMENT: encode(quiz["questions"]),
    }


def _project(row: Row | None) -> Document:
    return {
        "quiz_status": status_field(row),
        "quiz_id": row and row["quiz_id"],
        "quiz_questions_count": row["total_questions"] if row else 0,
    }


KIND = ContentKind(
    content_type=ContentType.QUIZ,
    names={"en": Names("quiz", "Quizzes", "Q"), "zh": Names("测验", "测验", "测")},
    content=Quiz,
    draft=QuizDraft,
    table="quiz_metadata",
    id_field="quiz_id",
    to_row=_to_row,
    complete=lambda draft, _version: {"total_questions": len(draft["questions"])},
    project=_project,
    output_share=0.45,
    sql=single_row_statements(
        ContentType.QUIZ,
        "quiz_metadata",
        "quiz_id",
        document="questions",
        columns={
            "total_questions": "integer",
            "easy_count": "integer",
            "medium_count": "integer",
            "hard_count": "integer",
        },
        projected="total_questions",
        fields=("quiz_id", "questions", "total_questions"),
    ),
)
