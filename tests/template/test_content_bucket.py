"""The content bucket is created, or it is the product's own, and its settings are not changed."""

from checks.template.concrete import concrete, references
from checks.template.declared import functions_in, statements_of
from checks.template.deployments import EXAMPLES
from local_stack.template_file import Template, of_type

MADE = {"ContentBucket", "ContentBucketPolicy"}


def deployed(template: Template, bucket: str) -> Template:
    return concrete(template, {**EXAMPLES, "ContentBucketName": bucket}, "stack")


def permitted(template: Template) -> list[str]:
    """The resources that the statements of all roles name."""
    return [
        resource
        for role in of_type(template, "AWS::IAM::Role").values()
        for statement in statements_of(role, template["Resources"])
        for resource in statement.resources
    ]


def test_a_given_bucket_is_used_and_neither_created_nor_changed(template: Template) -> None:
    given = deployed(template, "theirs")
    assert not MADE & {*given["Resources"], *references(given)}
    assert not of_type(given, "AWS::S3::Bucket") | of_type(given, "AWS::S3::BucketPolicy")
    variables = [
        each.get("Environment", {}).get("Variables", {})
        for each in of_type(given, "AWS::Serverless::Function").values()
    ]
    named = [each["CONTENT_BUCKET"] for each in variables if "CONTENT_BUCKET" in each]
    assert named == ["theirs"] * 7
    assert given["Outputs"]["ContentBucket"]["Value"] == "theirs"


def test_a_given_bucket_gets_the_same_permissions_as_a_created_one(template: Template) -> None:
    made, given = (permitted(deployed(template, bucket)) for bucket in ("", "theirs"))
    created = [each.replace("${ContentBucket.Arn}", "arn:aws:s3:::theirs") for each in made]
    assert sorted(created) == sorted(given)
    assert created != made


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
