"""Quizzes: the contract, the table `quiz_metadata`, and the fields in `framework_data`."""

import json
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from ..documents import Document
from ..items import ContentType
from .kind import (
    DOCUMENT,
    Content,
    ContentId,
    ContentKind,
    Draft,
    NonNegative,
    Row,
    status_field,
)
from .origins import origin_sql
from .revisions import archive_sql, revision_sql, revision_statements

NonEmpty = Annotated[str, StringConstraints(min_length=1)]
Difficulty = Literal["easy", "medium", "hard"]


def _check_answers(options: list[str], correct_answer: list[int]) -> None:
    for answer in correct_answer:
        if not 0 <= answer < len(options):
            raise ValueError(f"correct_answer {answer} is not an index of the {len(options)} options")


class Question(Content):
    """One question. `correct_answer` holds indexes into `options`."""

    question: NonEmpty
    options: Annotated[list[str], Field(min_length=1)]
    correct_answer: Annotated[list[int], Field(min_length=1)]
    difficulty: Difficulty

    @model_validator(mode="after")
    def _answers_index_options(self) -> Self:
        _check_answers(self.options, self.correct_answer)
        return self


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

    @model_validator(mode="after")
    def _answers_index_options(self) -> Self:
        _check_answers(self.options, self.correct_answer)
        return self


class QuizDraft(Draft):
    """A quiz from a generator."""

    questions: Annotated[list[QuestionDraft], Field(min_length=1)]


# Guarantees: an existing row of a concept is kept; an id that another concept uses is refused, not moved.
# Content that replaces other content is saved only while that is the row's revision, so a repeated or late
# save changes nothing. The row keeps its id, and its former content is archived. A row that the product
# deletes at the same time is not replaced. `OFFSET 0` forces one index lookup per row. Without it, stale
# statistics of a growing roadmap make the planner choose a join that reads all rows of the roadmap for every
# incoming row.
SAVE = f"""
WITH incoming AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.quiz_id ORDER BY r.ordinal) AS id_rank
    FROM json_to_recordset(CAST(:rows AS json)) AS r(
        ordinal integer, concept_id text, quiz_id text, total_questions integer,
        easy_count integer, medium_count integer, hard_count integer, replaces text, origin json)
), checked AS (
    SELECT i.*, mine.quiz_id AS row_id, CASE
        WHEN mine.quiz_id IS NOT NULL AND mine.revision IS DISTINCT FROM i.replaces THEN 'kept'
        WHEN i.id_rank > 1 OR owner.quiz_id IS NOT NULL THEN 'id_taken'
        WHEN mine.quiz_id IS NOT NULL THEN 'replaced'
        ELSE 'new'
    END AS row_status
    FROM incoming i
    LEFT JOIN LATERAL (SELECT o.quiz_id FROM quiz_metadata o
        WHERE o.quiz_id = i.quiz_id OFFSET 0) owner ON true
    LEFT JOIN LATERAL (SELECT m.quiz_id, {revision_sql("quiz_metadata", "m.quiz_id")} AS revision
        FROM quiz_metadata m
        WHERE m.roadmap_id = :roadmap_id AND m.concept_id = i.concept_id
        ORDER BY m.generated_at DESC NULLS LAST, m.quiz_id DESC LIMIT 1) mine ON true
), inserted AS (
    INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions,
        easy_count, medium_count, hard_count, generated_at)
    SELECT j.quiz_id, j.concept_id, :roadmap_id, CAST(d.questions AS json), j.total_questions,
        j.easy_count, j.medium_count, j.hard_count, content_now()
    FROM checked j
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d(questions, ordinal)
        ON d.ordinal = j.ordinal
    WHERE j.row_status = 'new'
    ON CONFLICT (quiz_id) DO NOTHING
    RETURNING concept_id
), locked AS (
    SELECT older, j.ordinal, j.quiz_id AS replaced_by
    FROM checked j JOIN quiz_metadata older ON older.quiz_id = j.row_id
    WHERE j.row_status = 'replaced' FOR NO KEY UPDATE OF older
), archived AS (
    {archive_sql("quiz_metadata", "quiz_id")}
), replaced AS (
    UPDATE quiz_metadata q SET questions = CAST(d.questions AS json),
        total_questions = j.total_questions, easy_count = j.easy_count, medium_count = j.medium_count,
        hard_count = j.hard_count, generated_at = content_now()
    FROM locked l JOIN checked j ON j.ordinal = l.ordinal
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d(questions, ordinal)
        ON d.ordinal = j.ordinal
    WHERE q.quiz_id = (l.older).quiz_id
    RETURNING q.concept_id
), recorded AS (
    {origin_sql(ContentType.QUIZ, "quiz_id", "TABLE inserted UNION ALL TABLE replaced")}
)
SELECT j.concept_id, 'id_taken' AS row_status
FROM checked j
WHERE j.row_status IN ('new', 'id_taken') AND j.concept_id NOT IN (SELECT concept_id FROM inserted)
"""

SAVED = """
SELECT DISTINCT concept_id FROM quiz_metadata WHERE roadmap_id = :roadmap_id
"""

# The product may have written a second row for the concept: the newest row is current.
CURRENT = f"""
SELECT DISTINCT ON (concept_id) concept_id, quiz_id, total_questions, generated_at,
    {revision_sql("quiz_metadata", "quiz_id")} AS revision
FROM quiz_metadata WHERE roadmap_id = :roadmap_id
ORDER BY concept_id, generated_at DESC NULLS LAST, quiz_id DESC
"""

ITEM = f"""
SELECT quiz_id, timezone('UTC', timezone(content_time_zone(), generated_at)) AS generated_at,
    {revision_sql("quiz_metadata", "quiz_id")} AS revision
FROM quiz_metadata
WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id
ORDER BY generated_at DESC NULLS LAST, quiz_id DESC LIMIT 1
"""

ALL_CURRENT = f"""
SELECT DISTINCT ON (roadmap_id, concept_id) roadmap_id, concept_id,
    {revision_sql("quiz_metadata", "quiz_id")} AS content_id
FROM quiz_metadata
ORDER BY roadmap_id, concept_id, generated_at DESC NULLS LAST, quiz_id DESC
"""

# The content type has no versions: `:version` is NULL.
CONTENT = """
SELECT quiz_id, questions, total_questions,
    timezone('UTC', timezone(content_time_zone(), generated_at)) AS generated_at
FROM quiz_metadata
WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id AND CAST(:version AS integer) IS NULL
ORDER BY generated_at DESC NULLS LAST, quiz_id DESC LIMIT 1
"""

REVISIONS = revision_statements(
    "quiz_metadata",
    "quiz_id",
    ("quiz_id", "questions", "total_questions"),
    size="questions",
)


def _to_row(_roadmap_id: str, concept_id: str, quiz: Document) -> Row:
    difficulties = Counter(question["difficulty"] for question in quiz["questions"])
    return {
        "concept_id": concept_id,
        "quiz_id": quiz["quiz_id"],
        "total_questions": quiz["total_questions"],
        "easy_count": difficulties["easy"],
        "medium_count": difficulties["medium"],
        "hard_count": difficulties["hard"],
        DOCUMENT: json.dumps(quiz["questions"]),
    }


def _project(row: Row | None) -> Document:
    return {
        "quiz_status": status_field(row),
        "quiz_id": row and row["quiz_id"],
        "quiz_questions_count": row["total_questions"] if row else 0,
    }


QUIZ = ContentKind(
    content_type=ContentType.QUIZ,
    content=Quiz,
    draft=QuizDraft,
    id_field="quiz_id",
    to_row=_to_row,
    complete=lambda draft, _version: {"total_questions": len(draft["questions"])},
    publish=None,
    save_sql=SAVE,
    saved_sql=SAVED,
    current_sql=CURRENT,
    item_sql=ITEM,
    all_current_sql=ALL_CURRENT,
    content_sql=CONTENT,
    revisions=REVISIONS,
    stored_text=None,
    versions_sql=None,
    project=_project,
    output_share=0.45,
)
