"""Replacing saved items takes few retries, and no retry replaces another saved item."""

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


def test_an_earlier_release_regenerates_nothing_instead_of_a_frozen_list() -> None:
    frozen = Scope(regenerate=True, revisions={Item("a", QUIZ): "q-1"})
    document = frozen.document
    assert document is not None
    # An earlier release reads these three fields only.
    assert {name: document[name] for name in ("concept_id", "content_type", "regenerate")} == {
        "concept_id": None,
        "content_type": None,
        "regenerate": False,
    }
    assert scope_from(document) == frozen
