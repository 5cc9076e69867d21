"""Check the permissions of each function's role against its code: none missing, unused or too broad."""

from collections.abc import Iterator, Mapping
from itertools import product

from .declared import Function
from .findings import Finding
from .reachable import Operation, Reached

NEEDS: Mapping[Operation, frozenset[str]] = {
    Operation("bedrock-runtime", "converse"): frozenset({"bedrock:InvokeModel"}),
    Operation("events", "put_events"): frozenset({"events:PutEvents"}),
    Operation("lambda", "invoke"): frozenset({"lambda:InvokeFunction"}),
    Operation("rds", "generate_db_auth_token"): frozenset({"rds-db:connect"}),
    Operation("s3", "copy_object"): frozenset(
        {"s3:GetObject", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey"}
    ),
    Operation("s3", "delete_object"): frozenset({"s3:DeleteObject"}),
    Operation("s3", "delete_objects"): frozenset({"s3:DeleteObject", "s3:DeleteObjectVersion"}),
    # The bucket is encrypted with the stack's key.
    Operation("s3", "get_object"): frozenset({"s3:GetObject", "kms:Decrypt"}),
    Operation("s3", "head_object"): frozenset({"s3:GetObject"}),
    Operation("s3", "list_object_versions"): frozenset({"s3:ListBucketVersions"}),
    Operation("s3", "list_objects_v2"): frozenset({"s3:ListBucket"}),
    Operation("s3", "put_object"): frozenset({"s3:PutObject", "kms:GenerateDataKey"}),
    Operation("secretsmanager", "get_secret_value"): frozenset({"secretsmanager:GetSecretValue"}),
    Operation("stepfunctions", "describe_execution"): frozenset({"states:DescribeExecution"}),
    Operation("stepfunctions", "redrive_execution"): frozenset({"states:RedriveExecution"}),
    Operation("stepfunctions", "stop_execution"): frozenset({"states:StopExecution"}),
    Operation("stepfunctions", "start_execution"): frozenset({"states:StartExecution"}),
}
"""The required actions of each operation, from the service authorization reference."""

MAY_NEED: Mapping[str, frozenset[str]] = {
    "s3:GetObject": frozenset({"s3:ListBucket"}),  # without it, a missing object is reported as 403
    "secretsmanager:GetSecretValue": frozenset({"kms:Decrypt"}),  # if the secret has a customer managed key
}
"""Actions that accompany an action under some circumstances."""

RUNTIME = frozenset(
    {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    }
)
"""Actions of Lambda itself with the function's role."""

WITHOUT_RESOURCE = frozenset(action for action in RUNTIME if not action.startswith("logs:"))
"""Actions that can only be allowed on `*`."""

_DATABASE_ROLES = ("Migrator", "Writer", "Reader")
_BUCKETS = ("${ContentBucket.Arn}", "arn:${AWS::Partition}:s3:::${ContentBucketName}")
"""The bucket that the stack creates, and the given one."""


def _below(*prefixes: str) -> frozenset[str]:
    return frozenset(f"{bucket}/{prefix}/*" for bucket in _BUCKETS for prefix in prefixes)


_KEYS = _below("manifests", "rejected", "staged", "*/concepts")
_REGISTER = _below("erasures")
_STATES = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
_EXECUTIONS = frozenset({_STATES + ":execution:${AWS::StackName}-save-content:*"})

OWN: Mapping[str, frozenset[str]] = {
    "bedrock:InvokeModel": frozenset({"${ModelArns}"}),
    "events:PutEvents": frozenset({"${EventBusArn}"}),
    "lambda:InvokeFunction": frozenset(
        {"${ContentCheckFunctionArn}", "${CheckLinksFunction.Alias}", "${GeneratorFunctionArn}"}
    ),
    "kms:Decrypt": frozenset({"${ContentKey.Arn}", "${ContentBucketKeyArn}", "${SecretsKeyArn}"}),
    "kms:GenerateDataKey": frozenset({"${ContentKey.Arn}", "${ContentBucketKeyArn}"}),
    "logs:CreateLogStream": frozenset({"${FunctionLogs.Arn}"}),
    "logs:PutLogEvents": frozenset({"${FunctionLogs.Arn}"}),
    "rds-db:connect": frozenset(
        "arn:${AWS::Partition}:rds-db:${AWS::Region}:${AWS::AccountId}:dbuser:"
        f"${{DatabaseResourceId}}/${{DatabaseRolePrefix}}{role.lower()}"
        for role in _DATABASE_ROLES
    ),
    "s3:DeleteObject": _KEYS,
    "s3:DeleteObjectVersion": _KEYS,
    "s3:GetObject": _KEYS | _REGISTER,
    "s3:ListBucket": frozenset(_BUCKETS),
    "s3:ListBucketVersions": frozenset(_BUCKETS),
    "s3:PutObject": _KEYS | _REGISTER,
    "secretsmanager:GetSecretValue": frozenset(
        {"${JwtSecretArn}", "${ErasureKey}", *(f"${{Database{role}SecretArn}}" for role in _DATABASE_ROLES)}
    ),
    "sqs:SendMessage": frozenset({"${DeadLetters.Arn}"}),
    "states:DescribeExecution": _EXECUTIONS,
    "states:RedriveExecution": _EXECUTIONS,
    "states:StopExecution": _EXECUTIONS,
    "states:StartExecution": frozenset({_STATES + ":stateMachine:${AWS::StackName}-save-content"}),
}
"""The resources of this stack by service: a bucket by prefixes, state machines, and those in parameters."""


def compare(function: Function, reached: Reached) -> Iterator[Finding]:
    """Check one function's role against the operations that its code reaches."""
    place = function.logical_id
    needed: set[str] = set()
    for operation in sorted(reached.operations):
        if operation in NEEDS:
            needed |= NEEDS[operation]
        else:
            yield Finding(place, f"{operation.service}.{operation.method} is not listed in NEEDS")
    if function.keeps_failures:
        needed.add("sqs:SendMessage")
    possible = needed.union(RUNTIME, *(MAY_NEED[action] for action in needed if action in MAY_NEED))

    allowed = [statement for statement in function.statements if statement.effect == "Allow"]
    actions = {action for statement in allowed for action in statement.actions}
    for action in sorted(needed - actions):
        yield Finding(place, f"{action} is used and not allowed")
    for action in sorted(actions - possible):
        yield Finding(place, f"{action} is allowed and not used")
    for statement in allowed:
        if WITHOUT_RESOURCE.issuperset(statement.actions):
            continue
        for action, resource in product(statement.actions, statement.resources):
            if action in possible and resource not in OWN[action]:
                yield Finding(place, f"{action} is allowed on {resource}, which is not this stack's own")
