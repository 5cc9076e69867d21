"""The content bucket is created, or it is the product's own, and its settings are not changed."""

from collections.abc import Iterator
from typing import Any

from checks.template.declared import functions_in
from local_stack.template_file import Template

MADE = ("ContentBucket", "ContentBucketPolicy")


def under(template: Any, *, makes_bucket: bool) -> Any:
    """A part of the template with the condition resolved."""
    match template:
        case {"Fn::If": ["MakesBucket", so, otherwise]}:
            return under(so if makes_bucket else otherwise, makes_bucket=makes_bucket)
        case dict():
            return {
                key: under(value, makes_bucket=makes_bucket)
                for key, value in template.items()
                if makes_bucket or not (isinstance(value, dict) and value.get("Condition") == "MakesBucket")
            }
        case list():
            return [under(value, makes_bucket=makes_bucket) for value in template]
        case _:
            return template


def strings(part: Any) -> Iterator[str]:
    match part:
        case dict():
            for value in part.values():
                yield from strings(value)
        case list():
            for value in part:
                yield from strings(value)
        case str():
            yield part


def resources_of(template: Template) -> list[str]:
    """The bucket's resources in all roles' statements, without the bucket itself."""
    roles = [each for each in template["Resources"].values() if each["Type"] == "AWS::IAM::Role"]
    return [
        found.replace("${ContentBucket.Arn}", "B").replace(
            "arn:${AWS::Partition}:s3:::${ContentBucketName}", "B"
        )
        for found in strings(roles)
        if "ContentBucket" in found and found != "ContentBucketKeyArn"
    ]


def test_a_given_bucket_is_used_and_neither_created_nor_changed(template: Template) -> None:
    given = under(template, makes_bucket=False)

    assert not set(MADE) & given["Resources"].keys()
    types = {each["Type"] for each in given["Resources"].values()}
    assert not {"AWS::S3::Bucket", "AWS::S3::BucketPolicy"} & types
    used = [found for found in strings(given) if "ContentBucket" in found]
    assert not [found for found in used if found == "ContentBucket" or "${ContentBucket." in found]
    names = [
        each["Properties"]["Environment"]["Variables"]["CONTENT_BUCKET"]
        for each in given["Resources"].values()
        if "CONTENT_BUCKET" in each.get("Properties", {}).get("Environment", {}).get("Variables", {})
    ]
    assert names == [{"Ref": "ContentBucketName"}] * 7
    assert given["Outputs"]["ContentBucket"]["Value"] == {"Ref": "ContentBucketName"}


def test_a_given_bucket_gets_the_same_permissions_as_a_created_one(template: Template) -> None:
    made, given = (resources_of(under(template, makes_bucket=makes)) for makes in (True, False))
    # `!GetAtt ContentBucket.Arn` is a list of two strings, of which one names the bucket.
    assert sorted(found.removeprefix("ContentBucket") or "B" for found in made) == sorted(given)


def test_every_function_with_the_bucket_may_use_its_key(template: Template) -> None:
    functions = functions_in(template)
    with_bucket = {each.logical_id for each in functions if "CONTENT_BUCKET" in each.variables}
    with_key = {
        each.logical_id
        for each in functions
        for statement in each.statements
        if {"${ContentKey.Arn}", "${ContentBucketKeyArn}"} <= set(statement.resources)
    }
    assert with_key == with_bucket
    assert len(with_key) == 7
