"""The database's stack can create an endpoint for every service that functions in its VPC call, and no other.
Each can be left to the VPC, and none takes a service away from other workloads.
"""

import re
from ipaddress import IPv4Address, IPv4Network
from itertools import product
from typing import Any

import pytest

from checks.template.concrete import concrete
from checks.template.declared import functions_in
from checks.template.deployments import EXAMPLES
from checks.template.endpoints import in_vpc, needed_endpoints
from checks.template.reachable import endpoint_of, reached_by
from checks.template.sam_transform import Deployment, accepted, packaged
from local_stack.template_file import Template
from release.stamp import parameters_of
from tests.support.security_groups import rules_of
from tests.support.templates import DATABASE

EVERYTHING = {**EXAMPLES, "DatabaseAuth": "iam", "Generator": "bedrock", "LinkCheck": "true"}
"""Parameters with which every optional part of the template exists."""


def test_roles_and_code_need_the_same_endpoints(template: Template) -> None:
    """The preflight derives the needs of a deployment from the roles; the code is the other source."""
    needed = needed_endpoints(template, EVERYTHING)
    for function in functions_in(template):
        if function.logical_id in needed:
            reached = {endpoint_of(each) for each in reached_by(function.name).operations}
            assert reached - {None} == needed[function.logical_id], function.logical_id


def test_the_functions_in_the_vpc_are_those_of_the_transformed_template(template: Template) -> None:
    (transformed,) = accepted([Deployment(packaged(template), EVERYTHING)])
    resources = concrete(transformed, EVERYTHING, "stack")["Resources"]
    functions = {n: each for n, each in resources.items() if each["Type"] == "AWS::Lambda::Function"}
    assert {n for n, each in functions.items() if "VpcConfig" in each["Properties"]} == set(in_vpc(template))


def created(given: dict[str, str]) -> set[str]:
    """The services of the endpoints that the database's stack creates."""
    return {each["ServiceName"].rpartition(".")[2] for each in endpoints_for(given).values()}


def test_the_database_s_stack_has_an_endpoint_for_each_need_of_a_function(template: Template) -> None:
    every = set().union(*needed_endpoints(template, EVERYTHING).values())
    assert created(dict.fromkeys(CHOICES, "true")) == every


def test_its_defaults_are_the_needs_of_a_deployment_without_options(template: Template) -> None:
    given = parameters_of(template, {name: EXAMPLES[name] for name in ("ModelId", "ModelArns")})
    needed = needed_endpoints(template, given | {"DatabaseAuth": "iam"})
    assert created({}) == set().union(*needed.values())


CHOICES = sorted(name for name in DATABASE["Parameters"] if re.fullmatch(r"Create\w+Endpoint", name))


def resources_for(given: dict[str, str]) -> dict[str, Any]:
    resources: dict[str, Any] = concrete(DATABASE, given, "roadmap-database")["Resources"]
    return resources


def endpoints_for(given: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The properties of the endpoints that are created."""
    return {
        name: each["Properties"]
        for name, each in resources_for(given).items()
        if each["Type"] == "AWS::EC2::VPCEndpoint"
    }


@pytest.mark.parametrize("values", list(product(("true", "false"), repeat=len(CHOICES))))
def test_each_endpoint_can_be_left_to_the_vpc(values: tuple[str, ...]) -> None:
    given = dict(zip(CHOICES, values, strict=True))
    created = {name.removeprefix("Create") for name, value in given.items() if value == "true"}
    assert endpoints_for(given).keys() == created


@pytest.mark.parametrize("secondary", ["", "10.2.0.0/20"])
def test_an_endpoint_accepts_every_workload_in_the_vpc(secondary: str) -> None:
    """Private DNS leads all of them to it."""
    given = {"VpcCidr": "10.1.0.0/16", "SecondaryVpcCidr": secondary, **dict.fromkeys(CHOICES, "true")}
    resources = resources_for(given)
    for name, endpoint in endpoints_for(given).items():
        if endpoint["VpcEndpointType"] == "Interface":
            assert endpoint["PrivateDnsEnabled"] is True, f"{name}: else boto3's default host is not reached"
            (group,) = endpoint["SecurityGroupIds"]
            rules = rules_of(resources, group["Fn::GetAtt"][0], "Ingress")
            accepted = [IPv4Network(rule["CidrIp"]) for rule in rules if rule["FromPort"] == 443]
            for workload in ("10.1.255.254", *(["10.2.15.254"] if secondary else [])):
                assert any(IPv4Address(workload) in network for network in accepted), (name, workload)


@pytest.mark.parametrize("secondary", ["", "10.2.0.0/20"])
def test_functions_reach_an_endpoint_that_existed_before(secondary: str) -> None:
    given = {"VpcCidr": "10.1.0.0/16", "SecondaryVpcCidr": secondary, **dict.fromkeys(CHOICES, "false")}
    rules = rules_of(resources_for(given), "FunctionSecurityGroup", "Egress")
    reached = [each["CidrIp"] for each in rules if "CidrIp" in each]
    assert reached == ["10.1.0.0/16", *([secondary] if secondary else [])]
