"""An account of AWS with everything that a deployment needs, as answers of its services."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from release.clients import clients_of
from tests.support.recorded_aws import Answers, RecordedAws, refusal

AWS = RecordedAws()
CLIENTS = clients_of(AWS.session)
REGION = "eu-central-1"
MODEL = "arn:aws:bedrock:eu-central-1::foundation-model/maker.model-v1"
LOGIN = {"host": "db.example", "port": 5432, "dbname": "roadmap", "password": "x"}


def secret(of: Mapping[str, str | None]) -> Callable[[Mapping[str, Any]], Any]:
    """Answers for GetSecretValue, by the secret's id."""

    def answer(request: Mapping[str, Any]) -> Any:
        value = of[request["SecretId"]]
        return refusal("ResourceNotFoundException") if value is None else {"SecretString": value}

    return answer


SECRETS: dict[str, str | None] = {
    "jwt": "k" * 48,
    **{
        name: json.dumps({**LOGIN, "username": f"roadmap_{name}"})
        for name in ("migrator", "writer", "reader")
    },
}


def endpoint(service: str, **more: Any) -> dict[str, Any]:
    return {
        "VpcEndpointId": f"vpce-{service}",
        "VpcId": "vpc-1",
        "ServiceName": f"com.amazonaws.{REGION}.{service}",
        "VpcEndpointType": "Interface",
        "State": "available",
        "PrivateDnsEnabled": True,
        "Groups": [{"GroupId": "sg-endpoints", "GroupName": "endpoints"}],
        **more,
    }


def attribute(*, support: bool = True, names: bool = True) -> Callable[[Mapping[str, Any]], Any]:
    def answer(request: Mapping[str, Any]) -> Any:
        if request["Attribute"] == "enableDnsSupport":
            return {"VpcId": "vpc-1", "EnableDnsSupport": {"Value": support}}
        return {"VpcId": "vpc-1", "EnableDnsHostnames": {"Value": names}}

    return answer


GATEWAY = endpoint(
    "s3", VpcEndpointType="Gateway", RouteTableIds=["rtb-1"], PrivateDnsEnabled=False, Groups=[]
)
INTERFACES = [endpoint(name) for name in ("states", "secretsmanager", "bedrock-runtime", "events")]
LOCAL = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
INTERNET_GATEWAY = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}


def route_table(*routes: Mapping[str, str]) -> dict[str, Any]:
    return {
        "RouteTableId": "rtb-1",
        "VpcId": "vpc-1",
        "Associations": [{"Main": True, "RouteTableId": "rtb-1"}],
        "Routes": [LOCAL, *routes],
    }


def ingress(**source: Any) -> dict[str, Any]:
    permission = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, **source}
    return {"SecurityGroups": [{"GroupId": "sg-endpoints", "IpPermissions": [permission]}]}


def availability(**different: Any) -> dict[str, Any]:
    return {
        "modelId": "maker.model-v1",
        "agreementAvailability": {"status": "AVAILABLE"},
        "authorizationStatus": "AUTHORIZED",
        "entitlementAvailability": "AVAILABLE",
        "regionAvailability": "AVAILABLE",
        **different,
    }


def offered(*zones: str) -> Callable[[Mapping[str, Any]], Any]:
    """The zones of the services that a request asks for."""

    def answer(request: Mapping[str, Any]) -> Any:
        (names,) = request["Filters"]
        kinds = [{"ServiceType": "Interface"}]
        found = [
            {"ServiceName": name, "ServiceType": kinds, "AvailabilityZones": [*zones]}
            for name in names["Values"]
        ]
        return {"ServiceDetails": found}

    return answer


def cluster(**different: Any) -> dict[str, Any]:
    return {
        "DBClusterIdentifier": "db",
        "DbClusterResourceId": "cluster-1",
        "Endpoint": "db.example",
        "EngineVersion": "17.5",
        "IAMDatabaseAuthenticationEnabled": True,
        **different,
    }


def quota(name: str, value: float) -> dict[str, Any]:
    return {"QuotaName": name, "Value": value, "QuotaCode": "L-0", "ServiceCode": "states"}


def quotas(*transitions: Any, **of_model: float) -> Callable[[Mapping[str, Any]], Any]:
    """Answers with the quotas of a service: a rate of Step Functions, and those of the model."""
    model = {"tokens_per_minute": 9e6, "requests_per_minute": 9e3, "tokens_per_day": 9e9, **of_model}

    def answer(request: Mapping[str, Any]) -> Any:
        if request["ServiceCode"] == "bedrock":
            names = {
                f"Model inference {name.replace('_', ' ')} for Maker Model": value
                for name, value in model.items()
            }
            return {"Quotas": [quota(name, value) for name, value in names.items()]}
        return {"Quotas": [quota("Another", 1.0), quota(*transitions)] if transitions else []}

    return answer


def concurrency(unreserved: int) -> dict[str, Any]:
    limit = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": unreserved}
    return {"AccountLimit": limit, "AccountUsage": {}}


def topic(**different: str) -> dict[str, Any]:
    return {"Attributes": {"SubscriptionsConfirmed": "1", "KmsMasterKeyId": "alias/own", **different}}


def stack_in(status: str) -> dict[str, Any]:
    return {"Stacks": [{"StackStatus": status, "EnableTerminationProtection": True}]}


RATE = "Throttle token bucket refill rate per second for StateTransition"


def prepared() -> Answers:
    """An account with everything."""
    return {
        "apigateway.GetAccount": {
            "cloudwatchRoleArn": "arn:role",
            "throttleSettings": {"rateLimit": 10_000.0, "burstLimit": 5_000},
        },
        "lambda.GetAccountSettings": concurrency(900),
        "cloudformation.DescribeStacks": refusal("ValidationError", "Stack does not exist"),
        "sns.GetTopicAttributes": topic(),
        "cloudtrail.DescribeTrails": {"trailList": [{"TrailARN": "arn:trail", "IsMultiRegionTrail": True}]},
        "cloudtrail.GetTrailStatus": {"IsLogging": True},
        "kms.DescribeKey": {"KeyMetadata": {"KeyId": "1", "KeyManager": "CUSTOMER"}},
        "cloudformation.ListStackResources": refusal("ValidationError", "Stack does not exist"),
        "service-quotas.ListServiceQuotas": quotas(RATE, 800.0),
        "secretsmanager.GetSecretValue": secret(SECRETS),
        "bedrock.GetInferenceProfile": refusal("ResourceNotFoundException"),
        "bedrock.GetFoundationModel": {
            "modelDetails": {"modelArn": MODEL, "modelId": "maker.model-v1", "modelName": "Model"}
        },
        "bedrock.GetFoundationModelAvailability": availability(),
        "ec2.DescribeSubnets": {
            "Subnets": [
                {
                    "SubnetId": f"subnet-{each}",
                    "VpcId": "vpc-1",
                    "CidrBlock": f"10.0.{each}.0/24",
                    "AvailabilityZone": f"zone-{each}",
                }
                for each in (1, 2)
            ]
        },
        "ec2.DescribeVpcAttribute": attribute(),
        "ec2.DescribeVpcEndpoints": {"VpcEndpoints": [GATEWAY, *INTERFACES]},
        "ec2.DescribeVpcEndpointServices": offered("zone-1", "zone-2", "zone-3"),
        "ec2.DescribeRouteTables": {"RouteTables": [route_table()]},
        "ec2.DescribeSecurityGroups": ingress(IpRanges=[{"CidrIp": "10.0.0.0/16"}]),
        "rds.DescribeDBClusters": {"DBClusters": [cluster()]},
        "rds.DescribeDBInstances": {"DBInstances": []},
    }
