"""The database's stack has an endpoint for every service that functions in its VPC call, and no other."""

import re
from typing import Any

from checks.template.declared import functions_in
from checks.template.reachable import reached_by
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template

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
    database: dict[str, Any] = read_template(REPOSITORY / "database/template.yaml")["Resources"]
    endpoints = {
        re.sub(r"^com\.amazonaws\.\$\{AWS::Region\}\.", "", each["Properties"]["ServiceName"]["Fn::Sub"])
        for each in database.values()
        if each["Type"] == "AWS::EC2::VPCEndpoint"
    }
    assert endpoints == needed
