"""The endpoints of AWS that functions in the VPC need, derived from the actions of their roles.

The roles allow exactly the operations that the functions' code reaches (`permissions.py` compares them), and
a condition of the template removes a statement together with the need for it. So the endpoints of a
deployment follow from its parameters, without a list of services or of exceptions.
"""

from collections.abc import Mapping

from local_stack.template_file import Template, of_type

from .concrete import concrete
from .declared import statements_of
from .permissions import NEEDS
from .reachable import Operation, endpoint_of


def in_vpc(template: Template) -> list[str]:
    """The logical ids of the functions that are in the VPC, if the deployment has one."""
    return [
        logical_id
        for logical_id, function in of_type(template, "AWS::Serverless::Function").items()
        if function.get("VpcConfig") != {"Ref": "AWS::NoValue"}
    ]


def needed_endpoints(template: Template, parameters: Mapping[str, str]) -> dict[str, set[str]]:
    """The names of the endpoints that a deployment needs, by the logical id of each function in the VPC."""
    return {
        logical_id: {name for operation in operations if (name := endpoint_of(operation))}
        for logical_id, operations in requests_in_vpc(template, parameters).items()
    }


def requests_in_vpc(template: Template, parameters: Mapping[str, str]) -> dict[str, set[Operation]]:
    """The operations that send a request to AWS, by the logical id of each function in the VPC."""
    resources = concrete(template, parameters, "stack")["Resources"]
    needed = {}
    for logical_id in in_vpc(template):
        role, _ = resources[logical_id]["Properties"]["Role"]["Fn::GetAtt"]
        allowed = {
            action
            for statement in statements_of(resources[role]["Properties"], resources)
            if statement.effect == "Allow"
            for action in statement.actions
        }
        needed[logical_id] = {
            operation
            for operation, actions in NEEDS.items()
            if actions <= allowed and endpoint_of(operation) is not None
        }
    return needed
