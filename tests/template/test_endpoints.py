"""The database's stack has an endpoint for every service that functions in its VPC reach, and no other."""

import re
from typing import Any

from checks.template.declared import functions_in
from checks.template.reachable import reached_by
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template

NAMES = {"stepfunctions": "states"}
"""Endpoints that have another name than the service."""

LOCAL = {"rds"}
"""The token of IAM is signed without a request."""

NOT_WITH_IAM = {"secretsmanager"}
"""Functions in a VPC read secrets of the database alone, and this database has none for them."""


def test_the_endpoints_are_those_of_the_services_that_functions_reach(template: Template) -> None:
    in_vpc = [
        function
        for function in functions_in(template)
        if template["Resources"][function.logical_id]["Properties"].get("VpcConfig")
        != {"Ref": "AWS::NoValue"}
    ]
    reached = {operation.service for function in in_vpc for operation in reached_by(function.name).operations}
    needed = {NAMES.get(service, service) for service in reached - LOCAL - NOT_WITH_IAM}
    database: dict[str, Any] = read_template(REPOSITORY / "database/template.yaml")["Resources"]
    endpoints = {
        re.sub(r"^com\.amazonaws\.\$\{AWS::Region\}\.", "", each["Properties"]["ServiceName"]["Fn::Sub"])
        for each in database.values()
        if each["Type"] == "AWS::EC2::VPCEndpoint"
    }
    assert endpoints == needed
