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
from checks.template.reachable import reached_by
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template
from tests.support.security_groups import rules_of

DATABASE = read_template(REPOSITORY / "database/template.yaml")

NAMES = {"stepfunctions": "states"}
"""Endpoints with a name that differs from the service's."""

LOCAL = {"rds"}
"""Services without requests: an IAM token is signed locally."""

NOT_WITH_IAM = {"secretsmanager"}
"""Services that are not needed with IAM: functions in a VPC read only the database's secrets, and this
database has none for them.
"""


def test_the_endpoints_are_those_of_the_services_that_functions_reach(template: Template) -> None:
    in_vpc = [
        function
        for function in functions_in(template)
        if template["Resources"][function.logical_id]["Properties"].get("VpcConfig")
        != {"Ref": "AWS::NoValue"}
    ]
    reached = {operation.service for function in in_vpc for operation in reached_by(function.name).operations}
    needed = {NAMES.get(service, service) for service in reached - LOCAL - NOT_WITH_IAM}
    database: dict[str, Any] = DATABASE["Resources"]
    endpoints = {
        re.sub(r"^com\.amazonaws\.\$\{AWS::Region\}\.", "", each["Properties"]["ServiceName"]["Fn::Sub"])
        for each in database.values()
        if each["Type"] == "AWS::EC2::VPCEndpoint"
    }
    assert endpoints == needed


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
