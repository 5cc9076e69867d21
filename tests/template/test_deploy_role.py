"""The roles of a deployment, against sources outside this repository: CloudFormation's schemas (in cfn-lint)
list the permissions of handlers; the service authorization reference (policy_sentry), and SAM's own code.
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

from checks.template.declared import statements_of
from checks.template.sam_transform import Deployment, accepted, packaged
from first_day.__main__ import BELIEFS
from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.template_file import Template, read_template
from release.preflight.report import problems_of
from tests.support.prepared_account import AWS, CLIENTS, prepared
from tests.support.templates import STACK
from tests.template.test_release import BASE
from tests.unit.test_preflight import target

ROLE = read_template(REPOSITORY / "deployment/role.yaml")["Resources"]
Allowed = list[tuple[list[str], list[str]]]
"""Patterns of actions, each list with its resources."""

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

SHIFTS = {"cloudwatch:DescribeAlarms", "lambda:GetAlias", "lambda:UpdateAlias"}
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
handlers = {kind: sorted(permissions_of(kind)) for kind in sys.argv[1:]}
print(json.dumps({
    "handlers": handlers,
    "existing": list(get_all_actions()),
    "anywhere": sum(map(get_actions_that_support_wildcard_arns_only, get_all_service_prefixes()), []),
    "bounded": get_actions_matching_condition_key("iam", "iam:PermissionsBoundary"),
}))
"""


@cache
def transformed() -> Template:
    """Every resource that SAM makes of the template, under any condition."""
    (template,) = accepted([Deployment(packaged(STACK), BASE)])
    resources: Template = template["Resources"]
    return resources


@cache
def reference() -> dict[str, Any]:
    kinds = {each["Type"] for each in transformed().values()} - {"Custom::Schema"}
    asked = [environment_python("checks"), "-c", REFERENCE, *sorted(kinds)]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def allowed_to(role: str) -> Allowed:
    properties = ROLE[role]["Properties"]
    policies = properties if "Policies" in properties else {"Policies": [properties]}
    statements = statements_of(policies, ROLE)
    return [(list(each.actions), list(each.resources)) for each in statements if each.effect == "Allow"]


def matches(action: str, patterns: str | Iterable[str]) -> bool:
    each_of = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch(action.lower(), pattern.lower()) for pattern in each_of)


def missing(needed: Iterable[str], allowed: Allowed) -> list[str]:
    """The needed actions that are not allowed. One that takes no resource must be allowed on all."""
    anywhere = {each.lower() for each in reference()["anywhere"]}
    return [
        action
        for action in sorted(needed)
        if not any(
            matches(action, actions) and (action.lower() not in anywhere or "*" in resources)
            for actions, resources in allowed
        )
    ]


@pytest.mark.parametrize("role", ["DeployRole", "ExecutionRole", "Boundary"])
def test_every_action_exists(role: str) -> None:
    existing = reference()["existing"]
    patterns = {each for actions, _ in allowed_to(role) for each in actions}
    assert [each for each in sorted(patterns) if not any(matches(known, each) for known in existing)] == []


def test_cloudformation_may_create_read_update_and_delete_each_kind_of_resource() -> None:
    """Of the services that the template uses: a handler also names those of others with a firewall."""
    handlers = reference()["handlers"]
    services = {kind.split("::")[1].lower().replace("stepfunctions", "states") for kind in handlers}
    services.add("ec2")  # a function's network
    needed = {
        kind: {each for each in listed if each.partition(":")[0] in services and not matches(each, UNUSED)}
        for kind, listed in handlers.items()
    }
    faults = {kind: missing(each, allowed_to("ExecutionRole")) for kind, each in needed.items()}
    assert {kind: each for kind, each in faults.items() if each} == {}


def test_no_role_that_it_creates_has_more_than_the_boundary() -> None:
    for statement in ROLE["ExecutionRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
        can_be_bounded = any(matches(each, statement["Action"]) for each in reference()["bounded"])
        if can_be_bounded and statement["Effect"] == "Allow":
            bounded = {"iam:PermissionsBoundary": {"Ref": "Boundary"}}
            assert statement["Condition"] == {"StringEquals": bounded}
    roles = {name: each for name, each in transformed().items() if each["Type"] == "AWS::IAM::Role"}
    assert [name for name, each in roles.items() if "PermissionsBoundary" not in each["Properties"]] == []
    theirs = {
        action
        for role in roles.values()
        for statement in statements_of(role["Properties"], transformed())
        if statement.effect == "Allow"
        for action in statement.actions
    }
    assert missing(theirs | SHIFTS, allowed_to("Boundary")) == []


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
    sent |= {"s3.PutObject", "s3.GetObject"}  # the uploader, through boto3's transfer
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
    assert missing(actions, allowed_to("DeployRole")) == []
