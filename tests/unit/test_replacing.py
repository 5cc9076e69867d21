"""Replacing saved items takes few retries, and no retry replaces another saved item."""

import json

from hypothesis import given
from hypothesis import strategies as st

from roadmap_command.replacing import scopes_for
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.state.tasks.scope import Scope, scope_from

TUTORIAL, RESOURCES, QUIZ = ContentType.TUTORIAL, ContentType.RESOURCES, ContentType.QUIZ
ALL = [Item(concept_id, content_type) for concept_id in "abc" for content_type in ContentType]


def test_few_scopes_cover_the_items() -> None:
    assert list(scopes_for(ALL, ALL)) == [Scope(regenerate=True)]
    quizzes = [item for item in ALL if item.content_type is QUIZ]
    assert list(scopes_for(quizzes, ALL)) == [Scope(content_type=QUIZ, regenerate=True)]
    of_a = [item for item in ALL if item.concept_id == "a"]
    assert list(scopes_for(of_a, ALL)) == [Scope(concept_id="a", regenerate=True)]
    assert list(scopes_for([Item("b", QUIZ)], ALL)) == [Scope("b", QUIZ, regenerate=True)]


@given(st.sets(st.sampled_from(ALL)), st.sets(st.sampled_from(ALL)))
def test_the_scopes_cover_each_item_once_and_no_other_saved_one(saved: set[Item], changed: set[Item]) -> None:
    items = [item for item in ALL if item in changed & saved]
    covered = [item for scope in scopes_for(items, saved) for item in ALL if scope.includes(item)]
    assert sorted(item for item in covered if item in saved) == sorted(items)


@given(st.booleans(), st.none() | st.dictionaries(st.sampled_from(ALL), st.none() | st.just("q-1")))
def test_the_document_of_a_scope_is_read_as_the_scope(
    regenerate: bool, revisions: dict[Item, str | None] | None
) -> None:
    scope = Scope("a", QUIZ, regenerate, revisions)
    assert scope_from(json.loads(json.dumps(scope.document))) == scope
