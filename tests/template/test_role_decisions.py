"""IAM's decisions about the roles of a deployment, and the subjects of GitHub's tokens."""

import re
from collections.abc import Mapping
from functools import reduce
from typing import Any, cast

import pytest

from checks.template.concrete import concrete
from checks.template.declared import statements_of
from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from tests.template.test_deploy_role import matches

TEMPLATE = read_template(REPOSITORY / "deployment/role.yaml")


def permits(role: str, action: str, resource: str, context: Mapping[str, str], **given: str) -> bool:
    """IAM's decision, as documented: an Allow that applies, and no Deny. `sts:` is an action of the trust."""
    secrets = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:roadmaps"
    given |= {"StackName": "roadmaps", "Environment": "prod", "ArtifactBucket": "b", "SecretArns": secrets}
    properties = concrete(TEMPLATE, given, "deploy-roadmaps")["Resources"][role]["Properties"]
    policy = {"PolicyDocument": properties["AssumeRolePolicyDocument"]}
    (policy,) = [policy] if action.startswith("sts:") else properties["Policies"]
    effects = set()
    for each in policy["PolicyDocument"]["Statement"]:
        wanted = each.get("Condition", {"StringEquals": {}})["StringEquals"].items()
        holds = all(
            context.get(name) in ([value] if isinstance(value, str) else value) for name, value in wanted
        )
        (statement,) = statements_of(
            {"Policies": [{"PolicyDocument": {"Statement": [{"Resource": "*"} | each]}}]}, {}
        )
        if holds and matches(action, statement.actions) and matches(resource, statement.resources):
            effects.add(statement.effect)
    return effects == {"Allow"}


@pytest.mark.parametrize(
    "request_",
    """
    DeployRole cloudformation:DeleteStack arn:aws:cloudformation:eu-central-1:123456789012:stack/roadmaps/1
    DeployRole s3:PutObject arn:aws:s3:::b/roadmaps/code
    DeployRole secretsmanager:GetSecretValue arn:aws:secretsmanager:eu-central-1:123456789012:secret:roadmaps
    DeployRole iam:PassRole ${ExecutionRole.Arn} iam:PassedToService=cloudformation.amazonaws.com
    DeployRole iam:PassRole arn:aws:iam::123456789012:role/roadmaps-ConsoleRole-1 iam:PassedToService=lambda.amazonaws.com
    DeployRole rds:FailoverDBCluster * aws:ResourceTag/first-day=roadmaps
    ExecutionRole s3:GetObject arn:aws:s3:::b/roadmaps/code
    ExecutionRole iam:DeleteRole arn:aws:iam::123456789012:role/roadmaps-PlanRole-1
    ExecutionRole kms:ScheduleKeyDeletion * aws:ResourceTag/environment=prod
    ExecutionRole kms:DescribeKey *
    """.strip().splitlines(),  # noqa: E501
)  # the last one: the tag of a new key may not be known for minutes
def test_a_role_may_do_its_work_and_not_the_same_to_another_stack(request_: str) -> None:
    role, action, resource, *conditions = request_.split()
    context = dict(each.split("=") for each in conditions)
    assert permits(role, action, resource, context)
    for own in {"roadmaps", "ExecutionRole", "ConsoleRole"} & set(re.findall(r"\w+", resource)):
        assert not permits(role, action, resource.replace(own, f"deploy-{own}"), context)
    assert not context or not permits(role, action, resource, dict.fromkeys(context, "deploy-roadmaps"))


SUBJECTS = {
    "octo-org/octo-repo": "repo:octo-org/octo-repo:environment:prod",
    "octo-org@123456/octo-repo@456789": "repo:octo-org@123456/octo-repo@456789:environment:prod",
}
"""By the parameter's value. docs.github.com/en/actions/reference/security/oidc, read on 2026-12-02."""

ANSWER: Any = {"owner": {"login": "octo-org", "id": 123456}, "name": "octo-repo", "id": 456789}
"""Of `GET /repos/octo-org/octo-repo`."""


@pytest.mark.parametrize("repository", SUBJECTS)
def test_the_subject_in_the_form_of_the_parameter_is_trusted_and_no_other_one(repository: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["Repository"]["AllowedPattern"], repository)
    own = list(SUBJECTS.values())
    others = [each.replace(*pair) for each in own for pair in (("octo-repo", "fork"), ("prod", "dev"))]
    issuer = "token.actions.githubusercontent.com"

    def is_trusted(subject: str) -> bool:
        context = {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
        return permits("DeployRole", "sts:AssumeRoleWithWebIdentity", "*", context, Repository=repository)

    assert list(filter(is_trusted, own + others)) == [SUBJECTS[repository]]


def test_the_documented_command_prints_the_form_with_ids() -> None:
    page = (REPOSITORY / "docs/deploy.md").read_text()
    (pattern,) = re.findall(r"""^\$ gh api repos/OWNER/NAME --jq '"(.+)"'$""", page, re.MULTILINE)

    def value(path: re.Match[str]) -> str:
        return str(reduce(lambda found, name: cast("Any", found)[name], path[1].split("."), ANSWER))

    assert re.sub(r"\\\(\.([\w.]+)\)", value, pattern) in SUBJECTS
