"""The template for the API in containers equals the built one, except for aliases."""

from pathlib import Path

from local_stack.template_file import read_template
from tests.sam.containers import without_aliases

TEMPLATE = read_template(Path(__file__).parents[2] / "template.yaml")


def test_a_reference_to_an_alias_becomes_one_to_its_function() -> None:
    assert without_aliases({"FunctionArn": {"Ref": "Judge.Alias"}}) == {
        "FunctionArn": {"Fn::GetAtt": ["Judge", "Arn"]}
    }
    assert without_aliases([{"Fn::Sub": "${Judge.Alias}/${AWS::Region}"}]) == [
        {"Fn::Sub": "${Judge.Arn}/${AWS::Region}"}
    ]


def test_the_authorizer_refers_to_a_function_and_not_to_an_alias() -> None:
    """Otherwise the SAM CLI would allow every request with only a warning."""
    api = without_aliases(TEMPLATE)["Resources"]["TasksApi"]["Properties"]
    (authorizer,) = api["Auth"]["Authorizers"].values()
    assert authorizer["FunctionArn"] in (
        {"Fn::GetAtt": ["AuthorizeRequestFunction", "Arn"]},
        {"Fn::Sub": "${AuthorizeRequestFunction.Arn}"},
    )
