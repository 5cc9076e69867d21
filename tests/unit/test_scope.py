"""A scope is kept as a document."""

import json

from hypothesis import given
from hypothesis import strategies as st

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.state.tasks.scope import Scope, scope_from

QUIZ = ContentType.QUIZ
ALL = [Item(concept_id, content_type) for concept_id in "abc" for content_type in ContentType]


@given(st.booleans(), st.none() | st.dictionaries(st.sampled_from(ALL), st.none() | st.just("q-1")))
def test_the_document_of_a_scope_is_read_as_the_scope(
    regenerate: bool, revisions: dict[Item, str | None] | None
) -> None:
    scope = Scope("a", QUIZ, regenerate, revisions)
    assert scope_from(json.loads(json.dumps(scope.document))) == scope
