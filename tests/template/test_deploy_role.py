"""The roles of a deployment, against sources outside this repository: CloudFormation's schemas (in cfn-lint),
which list the permissions of handlers; the service authorization reference (policy_sentry); SAM; botocore.
"""

import json
import re
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from checks.template.concrete import concrete
from checks.template.declared import Statement, statements_of
from first_day.__main__ import BELIEFS
from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.template_file import read_template
from release.preflight.report import problems_of
from tests.support.prepared_account import AWS, CLIENTS, prepared
from tests.template.test_release import transformed_base
from tests.unit.test_preflight import target

TEMPLATE = read_template(REPOSITORY / "deployment/role.yaml")
ROLES = ["DeployRole", "ExecutionRole", "Boundary"]
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:roadmaps-writer"
GIVEN = {"StackName": "roadmaps", "Environment": "prod", "ArtifactBucket": "b", "SecretArns": SECRET}

UNUSED = {
    "codedeploy:RegisterOnPremisesInstance": "it deploys functions",
    "ec2:*VerifiedAccess*": "the firewall is an API's",
    "iam:*GroupPolicy": "policies are attached to roles only",
    "iam:*UserPolicy": "policies are attached to roles only",
    "iam:DeleteRolePermissionsBoundary": "no role may leave its boundary",
    "kms:*crypt": "no function and no state machine has a key of its own",
    "kms:CreateGrant": "no function has a key of its own",
    "kms:GenerateDataKey": "no state machine has a key of its own",
    "lambda:PassCapacityProvider": "functions have no capacity provider",
    "s3:*Object*": "no object is CloudFormation's, except the artefacts",
    "s3:REST.PUT.OBJECT": "not an action",
    "wafv2:*PermissionPolicy": "no rule group is shared",
}
"""Permissions of handlers that no resource of the template uses."""

SHIFTS = {f"lambda:{name}" for name in ("GetAlias", "GetProvisionedConcurrencyConfig", "UpdateAlias")}
SHIFTS.add("cloudwatch:DescribeAlarms")
"""The work of CodeDeploy without hooks and triggers (AWSCodeDeployRoleForLambda, read on 2026-12-02)."""

NAMED = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "apigateway:GetAccount": "apigateway:GET",
    "service-quotas:ListServiceQuotas": "servicequotas:ListServiceQuotas",
}
"""The actions of operations that have another name."""

REFERENCE = """
import json, sys
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER as schemas
from policy_sentry.querying.actions import *
def permissions_of(kind):
    handlers = schemas.get_resource_schema("eu-central-1", kind).schema["handlers"]
    return {a for name, each in handlers.items() if name != "list" for a in each.get("permissions", ())}
services, levels = get_all_service_prefixes(), ("Read", "List")
print(json.dumps({
    "handlers": {kind: sorted(permissions_of(kind)) for kind in sys.argv[1:]},
    "existing": list(get_all_actions()),
    "anywhere": sum(map(get_actions_that_support_wildcard_arns_only, services), []),
    "reading": sum((get_actions_with_access_level(each, kind) for each in services for kind in levels), []),
    "bounded": get_actions_matching_condition_key("iam", "iam:PermissionsBoundary"),
}))
"""


@cache
def reference() -> dict[str, Any]:
    kinds = {each["Type"] for each in transformed_base()["Resources"].values()} - {"Custom::Schema"}
    asked = [environment_python("checks"), "-c", REFERENCE, *sorted(kinds)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    model = botocore.session.get_session().get_service_model("cloudwatch")
    texts = " ".join(model.operation_model(each).documentation for each in model.operation_names)
    found["anywhere"] += re.findall(r"<code>([\w:]+)</code> permission that is scoped to <code>\*", texts)
    return found


def statements(role: str, **given: str) -> list[Statement]:
    """Of a role's policy and of its trust."""
    properties = concrete(TEMPLATE, GIVEN | given, "roadmaps-roles")["Resources"][role]["Properties"]
    documents = [each for name, each in properties.items() if name.endswith("PolicyDocument")]
    policies = [*properties.get("Policies", []), *({"PolicyDocument": each} for each in documents)]
    return list(statements_of({"Policies": policies}, {}))


def permits(role: str, action: str, resource: str, context: dict[str, str], **given: str) -> bool:
    """IAM's decision, as documented: an Allow that applies, and no Deny."""
    return {"Allow"} == {
        each.effect
        for each in statements(role, **given)
        if matches(action, each.actions) and matches(resource, each.resources)
        if all(
            context.get(key) in (value if isinstance(value, list) else [value])
            for key, value in each.conditions.items()
        )
    }


def matches(text: str, patterns: str | Iterable[str]) -> bool:
    each_of = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch(text.lower(), pattern.lower()) for pattern in each_of)


def missing(needed: Iterable[str], role: str) -> list[str]:
    """The needed actions that are not allowed. One that takes no resource must be allowed on all."""
    allowed = [each for each in statements(role) if each.effect == "Allow"]
    anywhere = {each.lower() for each in reference()["anywhere"]}
    return [
        action
        for action in sorted(needed)
        if not any(
            matches(action, each.actions) and (action.lower() not in anywhere or "*" in each.resources)
            for each in allowed
        )
    ]


def test_cloudformation_may_create_read_update_and_delete_each_kind_of_resource() -> None:
    """Of the services that the template uses: a handler also names those of others with a firewall."""
    handlers = reference()["handlers"]
    services = {kind.split("::")[1].lower().replace("stepfunctions", "states") for kind in handlers}
    services.add("ec2")  # a function's network
    needed = {
        kind: {each for each in listed if each.partition(":")[0] in services and not matches(each, UNUSED)}
        for kind, listed in handlers.items()
    }
    faults = {kind: missing(each, "ExecutionRole") for kind, each in needed.items()}
    assert {kind: each for kind, each in faults.items() if each} == {}


def test_no_role_that_it_creates_has_more_than_the_boundary() -> None:
    for statement in statements("ExecutionRole"):
        can_be_bounded = any(matches(each, statement.actions) for each in reference()["bounded"])
        if can_be_bounded and statement.effect == "Allow":
            assert statement.conditions == {"iam:PermissionsBoundary": {"Ref": "Boundary"}}
    roles = {
        name: each
        for name, each in transformed_base()["Resources"].items()
        if each["Type"] == "AWS::IAM::Role"
    }
    assert [name for name, each in roles.items() if "PermissionsBoundary" not in each["Properties"]] == []
    theirs = {
        action
        for role in roles.values()
        for statement in statements_of(role["Properties"], transformed_base()["Resources"])
        if statement.effect == "Allow"
        for action in statement.actions
    }
    assert missing(theirs | SHIFTS, "Boundary") == []


def operations_in(source: str, services: Iterable[str]) -> set[str]:
    """The operations of some services that a text names by methods, pages or waiters."""
    words, session = set(re.findall(r"\w+", source)), botocore.session.get_session()
    models = [session.get_service_model(service) for service in services]
    return {
        f"{model.service_name}.{each}"
        for model in models
        for each in model.operation_names
        if xform_name(each) in words
    }


def test_the_forge_may_send_what_sam_the_preflight_the_release_and_the_first_day_send() -> None:
    (sam,) = environment_python("sam").parent.parent.glob("lib/python3*/site-packages/samcli/lib")
    sent = operations_in((sam / "deploy/deployer.py").read_text(), ["cloudformation"])
    sent -= {"cloudformation.CreateStack", "cloudformation.RollbackStack"}  # of `sam sync` and --on-failure
    sources = "\n".join(each.read_text() for each in (REPOSITORY / "tools/release").glob("*.py"))
    sent |= operations_in(sources, ["cloudformation", "lambda", "stepfunctions"])
    sent |= {operation for belief in BELIEFS for operation in belief.plan}
    AWS.answer_with(prepared())
    assert list(problems_of(CLIENTS, target())) == []
    sent |= set(AWS.called) | {"rds.DescribeDBProxyTargets", "kms.DescribeKey"}
    session, actions = botocore.session.get_session(), set()
    for service, operation in (each.split(".") for each in sent):
        model = session.get_service_model(service)
        prefix = service if service == "cloudwatch" else model.signing_name
        actions.add(NAMED.get(f"{prefix}:{operation}", f"{prefix}:{operation}"))
    assert missing(actions, "DeployRole") == []


UNNAMED = {
    "*:apigateway:*": "an API has an id",
    "*:deploymentconfig:*": "AWS's, which are read",
    "*:secret:ErasureKey-*": "Secrets Manager names it after the resource",
    "*:transform/Serverless-2016-10-31": "SAM's",
}
"""Resources without the stack's name."""


@pytest.mark.parametrize("role", ROLES)
def test_no_role_acts_on_another_stack(role: str) -> None:
    """By the names of resources; on all of them, it reads, or a condition limits it, or no name can."""
    harmless = {*reference()["reading"], *reference()["anywhere"], "kms:EnableKeyRotation"}
    for effect, actions, resources, conditions in statements(role):
        for resource in resources if effect == "Allow" else ():
            if resource != "*":
                own = re.fullmatch(r".*[:/]roadmaps([-/:].*)?|\$\{ExecutionRole.Arn\}", resource)
                assert own or matches(resource, UNNAMED)
            elif not conditions.keys() - {"iam:PassedToService"} and role != "Boundary":
                done = {each for each in reference()["existing"] if matches(each, actions)}
                assert done <= harmless


ISSUER = "token.actions.githubusercontent.com"
SUBJECTS = {
    "octo-org/octo-repo": "repo:octo-org/octo-repo:environment:prod",
    "octo-org@123456/octo-repo@456789": "repo:octo-org@123456/octo-repo@456789:environment:prod",
}
"""By the parameter's value. docs.github.com/en/actions/reference/security/oidc, read on 2026-12-02."""

FIELDS = {"owner.login": "octo-org", "owner.id": "123456", "name": "octo-repo", "id": "456789"}
"""Of the answer to `GET /repos/octo-org/octo-repo`."""


@pytest.mark.parametrize("repository", SUBJECTS)
def test_the_subject_in_the_form_of_the_parameter_is_trusted_and_no_other_one(repository: str) -> None:
    assert re.fullmatch(TEMPLATE["Parameters"]["Repository"]["AllowedPattern"], repository)
    own = list(SUBJECTS.values())
    others = [each.replace(*pair) for each in own for pair in (("octo-repo", "fork"), ("prod", "dev"))]

    def is_trusted(subject: str, audience: str = "sts.amazonaws.com") -> bool:
        context = {f"{ISSUER}:aud": audience, f"{ISSUER}:sub": subject}
        return permits("DeployRole", "sts:AssumeRoleWithWebIdentity", "*", context, Repository=repository)

    assert list(filter(is_trusted, own + others)) == [SUBJECTS[repository]]
    assert not is_trusted(SUBJECTS[repository], "another")


def test_the_documented_command_prints_the_form_with_ids() -> None:
    page = (REPOSITORY / "docs/deploy.md").read_text()
    (pattern,) = re.findall(r"""^\$ gh api repos/OWNER/NAME --jq '"(.+)"'$""", page, re.MULTILINE)
    assert re.sub(r"\\\(\.([\w.]+)\)", lambda path: FIELDS[path[1]], pattern) in SUBJECTS


@pytest.mark.parametrize(
    "request_",
    f"""
    DeployRole cloudformation:DeleteStack arn:aws:cloudformation:eu-central-1:123456789012:stack/roadmaps/1
    DeployRole s3:PutObject arn:aws:s3:::b/roadmaps/code
    DeployRole s3:PutObject arn:aws:s3:::roadmaps-content/staged/a
    DeployRole kms:Decrypt * kms:ViaService=s3.eu-central-1.amazonaws.com
    DeployRole kms:GenerateDataKey * kms:ViaService=s3.eu-central-1.amazonaws.com
    DeployRole iam:PassRole ${{ExecutionRole.Arn}} iam:PassedToService=cloudformation.amazonaws.com
    DeployRole iam:PassRole arn:aws:iam::123456789012:role/roadmaps-ConsoleRole-1 iam:PassedToService=lambda.amazonaws.com
    DeployRole rds:FailoverDBCluster * aws:ResourceTag/first-day=roadmaps
    ExecutionRole sts:AssumeRole * aws:SourceAccount=123456789012
    ExecutionRole s3:GetObject arn:aws:s3:::b/roadmaps/code
    ExecutionRole wafv2:AssociateWebACL arn:aws:apigateway:eu-central-1::/restapis/1/stages/live
    ExecutionRole iam:PassRole arn:aws:iam::123456789012:role/roadmaps-PlanRole-1 iam:PassedToService=lambda.amazonaws.com
    ExecutionRole iam:PassRole arn:aws:iam::123456789012:role/roadmaps-Shifts-1 iam:PassedToService=codedeploy.amazonaws.com
    ExecutionRole iam:PassRole arn:aws:iam::123456789012:role/roadmaps-Run-1 iam:PassedToService=states.amazonaws.com
    ExecutionRole kms:TagResource * aws:RequestTag/environment=prod
    ExecutionRole kms:TagResource * aws:ResourceTag/environment=prod
    ExecutionRole kms:DescribeKey *
    ExecutionRole cloudformation:CreateChangeSet arn:aws:cloudformation:eu-central-1:aws:transform/Serverless-2016-10-31
    ExecutionRole logs:ListLogDeliveries *
    Boundary secretsmanager:GetSecretValue {SECRET}
    Boundary secretsmanager:GetSecretValue arn:aws:secretsmanager:eu-central-1:123456789012:secret:ErasureKey-1
    Boundary kms:Decrypt * kms:ViaService=secretsmanager.eu-central-1.amazonaws.com
    """.strip().splitlines(),  # noqa: E501 - a table
)  # the tag of a new key may not be known for minutes
def test_a_role_may_do_its_work_under_its_conditions(request_: str) -> None:
    role, action, resource, *conditions = request_.split()
    context = dict(each.split("=") for each in conditions)
    assert permits(role, action, resource, context)
    assert not context or not permits(role, action, resource, dict.fromkeys(context, "another"))


def test_cloudformation_leaves_the_roles_of_the_deployment_alone() -> None:
    """Also if the name of their stack begins with that of the deployed one."""
    own = "arn:aws:iam::123456789012:role/roadmaps-roles-DeployRole-1"
    assert not permits("ExecutionRole", "iam:DeleteRole", own, {})
