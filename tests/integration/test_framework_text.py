"""`framework_data` belongs to the product: in any text, only our fields change."""

import json

import pytest

from roadmap_content.platform.storage.keys import text_key
from tests.support.factories import USER, bundle_of
from tests.support.pipeline import Pipeline

CONCEPTS = ("a", "b")

TEXTS = {
    "digits that a float would lose": '"a": 0.1000000000000000055511151231257827, "b": -0.0, "c": 1E+2',
    "a number beyond floats": '"weight": 1e400, "small": 1e-400',
    "a whole number of 5,000 digits": f'"weight": {"9" * 5_000}',
    "a key twice": '"note": 1, "note": 2, "note": {"note": 1, "note": 2}',
    "a key of ours twice": '"quiz_id": "old", "quiz_id": 7',
    "a key of ours with an escape": r'"quiz_\u0069d": "old"',
    "a key of ours in depth": '"note": {"quiz_id": "not ours", "more": [{"quiz_status": "not ours"}]}',
    "escapes": r'"note": "\u00e9 \ud83d\ude42 \/ \" \\", "quiz\\\"_id\"": "\"quiz_id\": 1"',
    "escapes that are no text": r'"note": "\u0000 \ud800"',
    "spaces": ' \t"note"\r\n : \n[ 1 ,2 , { } , [ ] ] \n',
    "nothing": '"note": [], "more": {}, "last": null, "on": true, "off": false',
    "letters of every kind": '"笔记": "漢字 🙂 é", "": ""',
}

LOAD = "UPDATE roadmap_metadata SET framework_data = CAST(:text AS json) WHERE roadmap_id = :roadmap_id"
READ = "SELECT CAST(framework_data AS text) AS text FROM roadmap_metadata WHERE roadmap_id = :roadmap_id"

OURS = (
    '"content_status": "completed", "tutorial_id": "{tutorial}", "content_ref": "{key}", '
    '"content_version": "v1", "content_summary": "S", '
    '"resources_status": "completed", "resources_id": "{resources}", "resources_count": 2, '
    '"quiz_status": "completed"'
)


def framework(extra: str, ours: dict[str, str]) -> str:
    """A framework with `extra` at every level, and at the end of each concept the fields of `ours`."""
    concepts = " ,".join(f'{{"concept_id" : "{name}" ,{extra}{ours[name]}}}' for name in CONCEPTS)
    modules = f'[{{{extra}, "concepts" :[ {concepts} ] , "name":"M"}}]'
    return f' {{ {extra} ,"stages": [ {{"modules": {modules},{extra}}}\n]\n, "end": 1.50}} '


def text_of(pipeline: Pipeline) -> str:
    text: str = pipeline.rows(READ, roadmap_id=pipeline.roadmap_id)[0]["text"]
    return text


@pytest.mark.parametrize("extra", TEXTS.values(), ids=TEXTS)
def test_only_our_fields_change_and_every_other_byte_stays(pipeline: Pipeline, extra: str) -> None:
    bundle = bundle_of(CONCEPTS)
    for entry in bundle["content"]:
        entry["tutorial"]["summary"] = "S"
    pipeline.load(bundle)
    pipeline.execute(LOAD, text=framework(extra, dict.fromkeys(CONCEPTS, "")), roadmap_id="r-1")

    result = pipeline.run()

    assert (result.status, result.complete) == ("completed", True)
    ours = {}
    for entry in bundle["content"]:
        ids = {
            "key": text_key("r-1", entry["concept_id"], entry["tutorial"]["markdown"].encode()),
            "tutorial": entry["tutorial"]["tutorial_id"],
            "resources": entry["resources"]["id"],
        }
        quiz_id = f'"{entry["quiz"]["quiz_id"]}"'
        later = pipeline.later_fields(entry["concept_id"]).items()
        count = ', "quiz_questions_count": 3' + "".join(f', "{key}": {json.dumps(it)}' for key, it in later)
        if extra.startswith(('"quiz_id"', r'"quiz_\u0069d"')):
            # The field exists already, once or twice: its value changes in place.
            ours[entry["concept_id"]] = f", {OURS.format(**ids)}{count}", quiz_id
        else:
            ours[entry["concept_id"]] = f', {OURS.format(**ids)}, "quiz_id": {quiz_id}{count}', ""
    expected = framework(extra, {name: f"§{name}§" for name in CONCEPTS})
    for name, (appended, quiz_id) in ours.items():
        before, after = expected.split(f"§{name}§")
        if quiz_id:
            start = before.rindex('"concept_id"')
            own = before[start:].replace('"old"', quiz_id).replace(": 7", f": {quiz_id}")
            before = before[:start] + own
        # The whitespace after the last member stays before the brace.
        expected = before.rstrip() + appended + before[len(before.rstrip()) :] + after
    assert text_of(pipeline) == expected

    row = pipeline.rows("SELECT xmin::text FROM roadmap_metadata")
    assert "framework_data" not in pipeline.run().changed
    assert pipeline.rows("SELECT xmin::text FROM roadmap_metadata") == row


def test_an_unreadable_user_request_does_not_prevent_generation(pipeline: Pipeline) -> None:
    """Python cannot read a whole number of 5,000 digits in `user_request`, so the learner has no
    preferences.
    """
    bundle = bundle_of(["a"])
    bundle["content"] = []
    pipeline.load(bundle)
    pipeline.execute(
        "UPDATE roadmap_tasks SET user_request = CAST(:r AS json) WHERE user_id = :u",
        r=f'{{"preferences": {{"weeks": {"9" * 5_000}}}}}',
        u=USER,
    )
    assert pipeline.run().complete
