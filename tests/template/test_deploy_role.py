"""The role that deploys: its actions exist, and cover each resource, the preflight and the first day."""

import json
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch

import botocore.session
import pytest

from checks.template.declared import statements_of
from checks.template.sam_transform import Deployment, accepted, packaged
from first_day.__main__ import BELIEFS
from first_day.belief import Belief
from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.template_file import read_template
from release.preflight.report import problems_of
from tests.support.prepared_account import AWS, CLIENTS, prepared
from tests.support.templates import STACK
from tests.template.test_release import BASE
from tests.unit.test_preflight import target

ROLE = read_template(REPOSITORY / "deployment/role.yaml")["Resources"]
ALLOWED = {
    action
    for statement in statements_of(ROLE["DeployRole"]["Properties"], ROLE)
    for action in statement.actions
}
NAMED = {
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "apigateway:GetAccount": "apigateway:GET",
    "service-quotas:ListServiceQuotas": "servicequotas:ListServiceQuotas",
}
"""The actions of operations that have another name (service authorization reference)."""

EXISTING = """
import json, sys
from policy_sentry.querying.actions import get_actions_for_service
print(json.dumps([action for service in sys.argv[1:] for action in get_actions_for_service(service)]))
"""


def actions_of(operations: Iterable[str]) -> set[str]:
    """The actions of operations in the form `service.Operation`."""
    session = botocore.session.get_session()
    found = set()
    for each in operations:
        service, _, operation = each.partition(".")
        model = session.get_service_model(service)
        prefix = "cloudwatch" if service == "cloudwatch" else model.signing_name
        found.add(f"{prefix}:{operation}")
    return {NAMED.get(action, action) for action in found}


def missing(actions: set[str]) -> list[str]:
    return sorted(action for action in actions if not any(fnmatch(action, each) for each in ALLOWED))


def test_every_action_exists() -> None:
    services = sorted({action.partition(":")[0] for action in ALLOWED})
    known = subprocess.run(
        [environment_python("checks"), "-c", EXISTING, *services], capture_output=True, text=True, check=True
    )
    existing = json.loads(known.stdout)
    assert [each for each in sorted(ALLOWED) if not any(fnmatch(known, each) for known in existing)] == []


def test_it_may_create_every_kind_of_resource() -> None:
    (template,) = accepted([Deployment(packaged(STACK), BASE)])
    kinds = {each["Type"] for each in template["Resources"].values()} - {"Custom::Schema"}
    needed = {kind.split("::")[1].lower().replace("stepfunctions", "states") for kind in kinds}
    assert needed <= {action.partition(":")[0] for action in ALLOWED}


@pytest.mark.parametrize("belief", BELIEFS, ids=lambda belief: belief.name)
def test_it_may_try_each_belief(belief: Belief) -> None:
    assert missing(actions_of(belief.plan)) == []


def test_it_may_run_the_preflight() -> None:
    AWS.answer_with(prepared())
    assert list(problems_of(CLIENTS, target())) == []
    assert missing(actions_of(AWS.called)) == []
