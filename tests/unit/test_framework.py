"""Frameworks are validated strictly, and only the projected fields are written."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import concept_from, parse_framework, read_framework
from roadmap_content.contracts.errors import InvalidFrameworkError, ItemNotFoundError
from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import OURS, concept_ids, concepts_of, framework_of, without_ours

NOTHING: dict[ContentType, frozenset[str]] = {content_type: frozenset() for content_type in ContentType}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (None, "framework_data is not an object: None"),
        ([], "framework_data is not an object: []"),
        ({}, "framework_data.stages is not a list: None"),
        ({"stages": None}, "framework_data.stages is not a list: None"),
        ({"stages": "x"}, "framework_data.stages is not a list: 'x'"),
        ({"stages": []}, "framework_data contains no concept"),
        ({"stages": [{"modules": []}]}, "framework_data contains no concept"),
        ({"stages": [3]}, "framework_data.stages[0] is not an object: 3"),
        ({"stages": [{"modules": [{}]}]}, "framework_data.stages[0].modules[0].concepts is not a list: None"),
        (
            {"stages": [{"modules": [{"concepts": [{}]}]}]},
            "framework_data.stages[0].modules[0].concepts[0].concept_id is not a text: None",
        ),
        (
            {"stages": [{"modules": [{"concepts": [{"concept_id": ""}]}]}]},
            "framework_data.stages[0].modules[0].concepts[0].concept_id is not a text: ''",
        ),
        (
            {"stages": [{"modules": [{"concepts": [{"concept_id": "a\x00"}]}]}]},
            "framework_data.stages[0].modules[0].concepts[0].concept_id holds a NUL character at character 1",
        ),
    ],
)
def test_a_fault_is_named_with_its_position(document: object, place: str) -> None:
    with pytest.raises(InvalidFrameworkError) as caught:
        read_framework(document)
    assert str(caught.value) == place


UNUSABLE = {
    "NUL": ("a\x00", "{place}.concept_id holds a NUL character at character 1"),
    "half an emoji": ("\ud83d", "{place}.concept_id holds a lone surrogate at character 0"),
    "empty": ("", "{place}.concept_id is not a text: ''"),
    "null": (None, "{place}.concept_id is not a text: None"),
    "a number": (5, "{place}.concept_id is not a text: 5"),
    "a list": (["a"], "{place}.concept_id is not a text: ['a']"),
    "repeated": (
        "a",
        "concept_id 'a' occurs twice: at framework_data.stages[0].modules[0].concepts[0] and at {place}",
    ),
}


@pytest.mark.parametrize(("concept_id", "fault"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_concept_without_a_usable_id_is_skipped_and_its_place_is_named(concept_id: Any, fault: str) -> None:
    document = framework_of(["a", "b", "c", "d"])
    nodes = [
        node for stage in document["stages"] for module in stage["modules"] for node in module["concepts"]
    ]
    nodes[2]["concept_id"] = concept_id
    framework = read_framework(document)
    assert list(framework.nodes) == ["a", "b", "d"]
    (found,) = framework.skipped
    assert found == framework.fault
    place = re.search(r"framework_data\S+concepts\[\d\](?=[^ ]*$|$|\.)", found)
    assert place is not None
    assert found == fault.format(place=place[0], first="framework_data.stages[0].modules[0].concepts[0]")


def test_only_the_fields_of_concepts_with_a_usable_id_are_written() -> None:
    document = framework_of(["a", "b", "c"])
    nodes = [
        node for stage in document["stages"] for module in stage["modules"] for node in module["concepts"]
    ]
    nodes[0]["concept_id"], nodes[2]["concept_id"] = 5, "b"
    text = json.dumps(document, indent=1)  # not as the product writes it: the text is edited in place
    written = parse_framework(text).project({content_type: {} for content_type in ContentType})
    assert written is not None
    first, *others = concepts_of(json.loads(written))
    assert first == nodes[0], "it is the product's"
    assert [node["quiz_status"] for node in others] == ["failed", "failed"], "a repeated id stands twice"


@given(
    st.sets(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1), min_size=1
    )
)
def test_any_storable_text_is_a_valid_id(ids: set[str]) -> None:
    framework = read_framework(framework_of(sorted(ids)))
    assert list(framework.nodes) == sorted(ids)


def test_missing_items_are_those_without_a_row_in_framework_order() -> None:
    first, second = concept_ids(2)
    framework = read_framework(framework_of([first, second]))
    saved = NOTHING | {ContentType.QUIZ: frozenset([first, "elsewhere"])}
    assert framework.missing(saved) == [
        *(Item(first, content_type) for content_type in ContentType if content_type is not ContentType.QUIZ),
        *(Item(second, content_type) for content_type in ContentType),
    ]


def test_projection_changes_only_the_projected_fields() -> None:
    first, second = concept_ids(2)
    before = framework_of([first, second])
    framework = parse_framework(json.dumps(before))
    row = {"tutorial_id": "t", "content_url": "u", "content_version": 3, "summary": "s"}
    current: dict[ContentType, dict[str, Any]] = {content_type: {} for content_type in ContentType}
    current[ContentType.TUTORIAL] = {first: row, "not in the framework": row}

    text = framework.project(current)
    assert text is not None
    framework = parse_framework(text)
    assert framework.project(current) is None

    node = framework.nodes[first]
    assert {key: node[key] for key in OURS} == {
        **{key: value for kind in CONTENT_KINDS.values() for key, value in kind.project(None).items()},
        "content_status": "completed",
        "tutorial_id": "t",
        "content_ref": "u",
        "content_version": "v3",
        "content_summary": "s",
        "resources_status": "failed",
        "resources_id": None,
        "resources_count": 0,
        "quiz_status": "failed",
        "quiz_id": None,
        "quiz_questions_count": 0,
    }
    assert without_ours(json.loads(text)) == without_ours(before)


spaces = st.text(" \t\n\r", max_size=2)
numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6).map(
        lambda text: json.dumps(text, ensure_ascii=len(text) % 2 == 0)
    ),
    st.sampled_from([r'"\u0000\ud800"', r'"\/\"\\"', r'"quiz\u005fid"', r'"\"quiz_id\": 1"']),
)
keys = st.one_of(texts, st.sampled_from(sorted(OURS)).map(json.dumps))


def lists_and_objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(lambda space, inner: f"[{space}{','.join(inner)}]", spaces, st.lists(values, max_size=3)),
        st.lists(st.tuples(keys, spaces, spaces, values), max_size=3).map(
            lambda members: "{" + ",".join(f"{s}{k}{s}:{t}{v}{t}" for k, s, t, v in members) + "}"
        ),
    )


values = st.recursive(
    st.one_of(numbers, texts, st.sampled_from(["true", "false", "null"])), lists_and_objects, max_leaves=8
)
members = st.lists(
    st.builds(lambda k, s, t, v: f"{s}{k}{t}:{s}{v}{t}", keys, spaces, spaces, values), max_size=4
)

# All kinds of JSON tokens, including whitespace.
TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[ \t\n\r]+|[^\s{}\[\]:,"]+', re.DOTALL)


def product_tokens(concept: str) -> list[str]:
    """The tokens of a concept's text without the projected values and without appended fields."""
    tokens = TOKENS.findall(concept)
    assert "".join(tokens) == concept
    kept: list[str] = []
    depth, key, in_value = 0, "", False
    for token in tokens:
        before = depth
        depth += (token in "{[") - (token in "]}")
        if before == 1 and token == ":":
            key, in_value = json.loads(next(t for t in reversed(kept) if t.startswith('"'))), True
            kept.append(token)
            continue
        if (depth == 1 and before == 1 and token == ",") or depth == 0:
            in_value = False
        if not (in_value and key in OURS):
            kept.append(token)
    return kept


@given(spaces, st.lists(st.tuples(members, spaces, members), min_size=1, max_size=3), members)
def test_projection_preserves_every_other_byte(
    space: str, concepts: list[tuple[list[str], str, list[str]]], around: list[str]
) -> None:
    texts = [
        "{" + ",".join([*before, f'"concept_id"{gap}:"c{number}"', *after]) + gap + "}"
        for number, (before, gap, after) in enumerate(concepts)
    ]
    members = ",".join([*around, f'{space}"concepts":[{space}{f",{space}".join(texts)}{space}]'])
    whole = f'{space}{{"stages":[{{"modules":[{{{members}}}{space}]}}]{space}}}'
    prefix, suffix = whole.split(texts[0])[0], whole[whole.rindex(texts[-1]) + len(texts[-1]) :]
    nothing: dict[ContentType, dict[str, Any]] = {content_type: {} for content_type in ContentType}

    projected = parse_framework(whole).project(nothing)

    if projected is None:
        return
    assert projected.startswith(prefix)
    assert projected.endswith(suffix)
    nodes = parse_framework(projected).nodes
    for number, text in enumerate(texts):
        assert {key: nodes[f"c{number}"][key] for key in OURS} == {
            key: value for kind in CONTENT_KINDS.values() for key, value in kind.project(None).items()
        }
        wanted, found = product_tokens(text), product_tokens(concept_texts(projected)[number])
        # Missing fields are appended before the closing brace.
        end = len(wanted) - 1 - (wanted[-2].isspace())
        assert found[:end] == wanted[:end]
        assert found[-1] == "}"


def concept_texts(whole: str) -> list[str]:
    """The concepts' texts, found by an independent decoder, by depth alone."""
    found: list[str] = []
    depth, start, position = 0, 0, 0
    path: list[str] = []
    last_string = ""
    for token in TOKENS.findall(whole):
        if token in "{[":
            depth += 1
            path.append(last_string if token == "[" else "")
            if token == "{" and path[:-1] == ["", '"stages"', "", '"modules"', "", '"concepts"']:
                start = position
        elif token in "]}":
            if token == "}" and path[:-1] == ["", '"stages"', "", '"modules"', "", '"concepts"']:
                found.append(whole[start : position + 1])
            path.pop()
            depth -= 1
        elif token.startswith('"'):
            last_string = token
        position += len(token)
    return found


def test_the_last_of_duplicate_keys_is_used() -> None:
    concept = '{"concept_id": "a"}'
    text = f'{{"stages": [1, "x"], "stages": [{{"modules": [{{"concepts": 3, "concepts": [{concept}]}}]}}]}}'
    projected = parse_framework(text).project({content_type: {} for content_type in ContentType})
    assert projected is not None
    assert projected.startswith(text[: text.index(concept) + len(concept) - 1] + ", ")


def test_a_value_of_another_type_is_overwritten_although_it_is_equal() -> None:
    document = framework_of(["a"])
    document["stages"][0]["modules"][0]["concepts"][0]["resources_count"] = False
    text = parse_framework(json.dumps(document)).project({content_type: {} for content_type in ContentType})
    assert text is not None
    assert parse_framework(text).nodes["a"]["resources_count"] is not False


def test_a_concept_with_any_other_fields_can_be_read() -> None:
    odd = {
        "concept_id": "a",
        "name": None,
        "keywords": [1, "k"],
        "prerequisites": "p",
        "estimated_hours": True,
    }
    concept = concept_from(odd)
    assert (concept.name, concept.keywords, concept.prerequisites, concept.estimated_hours) == (
        "a",
        ("k",),
        (),
        0.0,
    )


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("c-1-1-1", "; the full id is 'prompts-9b2c8d4e:c-1-1-1'"),
        ("1", ""),
        ("", ""),
        ("c-9", ""),
        ("c-2", ""),
    ],
)
def test_an_unknown_id_is_refused_with_the_full_id_of_which_it_is_the_end(given: str, hint: str) -> None:
    long = f"{'x' * 10_000}:c-2"
    framework = read_framework(framework_of(["prompts-9b2c8d4e:c-1-1-1", long]))
    framework.require("prompts-9b2c8d4e:c-1-1-1")
    with pytest.raises(ItemNotFoundError) as refused:
        framework.require(given)
    assert str(refused.value) == f"the roadmap has no concept {given!r}{hint}"
