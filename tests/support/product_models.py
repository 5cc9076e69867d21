"""The requirements of the product's own models when they read our rows (its newest commit)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from sqlalchemy import Engine, text


class _Concept(BaseModel):
    concept_id: str
    name: str
    description: str
    estimated_hours: Annotated[float, Field(ge=0.5)]
    content_summary: Annotated[str, Field(max_length=300)] | None = None


class _Module(BaseModel):
    module_id: str
    name: str
    description: str
    concepts: Annotated[list[_Concept], Field(min_length=1)]


class _Stage(BaseModel):
    stage_id: str
    name: str
    description: str
    order: Annotated[int, Field(ge=1)]
    modules: Annotated[list[_Module], Field(min_length=1)]


class _Framework(BaseModel):
    roadmap_id: str
    title: str
    total_estimated_hours: float
    recommended_completion_weeks: int
    stages: list[_Stage]


class _Resource(BaseModel):
    title: str
    url: str
    type: Literal["article", "video", "book", "course", "documentation", "tool"]
    description: str
    relevance_score: Annotated[float, Field(ge=0, le=1)]


class _Question(BaseModel):
    question_id: str
    question_type: Literal["single_choice", "multiple_choice", "true_false"]
    question: str
    correct_answer: list[int]
    explanation: str


_READS: Sequence[tuple[str, TypeAdapter[Any]]] = (
    ("SELECT framework_data FROM roadmap_metadata", TypeAdapter(_Framework)),
    ("SELECT resources FROM resource_recommendation_metadata", TypeAdapter(list[_Resource])),
    ("SELECT questions FROM quiz_metadata", TypeAdapter(list[_Question])),
    ("SELECT summary FROM tutorial_metadata", TypeAdapter(Annotated[str, Field(max_length=500)])),
)


def read_as_the_product(engine: Engine) -> list[str]:
    """The refusals of its models when they read all roadmaps and contents; there is at least one of each."""
    refused = []
    with engine.connect() as connection:
        for query, model in _READS:
            values = connection.scalars(text(query)).all()
            assert values, query
            for value in values:
                try:
                    model.validate_python(value)
                except ValidationError as error:
                    refused += [f"{query}: {each['loc']} {each['msg']}" for each in error.errors()]
    return refused
