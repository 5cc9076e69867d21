"""The network of the functions: the VPC's DNS, and a way from the subnets to every service of AWS."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from checks.template.endpoints import needed_endpoints

from ..clients import Clients
from ..connections import our_template
from .problem import Problem, Target

_HTTPS = 443


class Endpoint(NamedTuple):
    """An endpoint of the VPC that is available."""

    endpoint_id: str
    service: str
    """The name at the end of the service's name, such as `s3`."""

    gateway: bool
    private_dns: bool
    route_tables: Collection[str]
    groups: Collection[str]


class Network(NamedTuple):
    """A VPC, its endpoints and its routes."""

    vpc: str
    dns_support: bool
    dns_hostnames: bool
    endpoints: Sequence[Endpoint]
    route_tables: Mapping[str, bool]
    """The subnets' route tables, and whether they lead to a NAT gateway or another way to the internet."""

    subnets: Sequence[Mapping[str, Any]]
    """As EC2 describes them: with their ids, zones and address ranges."""

    zones: Mapping[str, Collection[str]]
    """The zones in which AWS offers an interface endpoint, by service."""

    accepted: Mapping[str, Sequence[Mapping[str, Any]]]
    """The ingress rules of the endpoints' security groups."""


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Read the network of the subnets and decide."""
    subnets = target.values("SubnetIds")
    if not subnets:
        return
    client = clients("ec2", "")
    try:
        found = client.describe_subnets(SubnetIds=subnets)["Subnets"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed"):
            raise
        yield Problem(
            f"SubnetIds: {error.response['Error']['Message']}",
            "aws ec2 describe-subnets --query 'Subnets[].[SubnetId,VpcId,CidrBlock]'",
        )
        return
    vpcs = sorted({each["VpcId"] for each in found})
    if len(vpcs) > 1:
        yield Problem(f"SubnetIds are in several VPCs: {', '.join(vpcs)}", "choose subnets of one VPC")
        return
    services = needed_services(target.parameters)
    network = _read(client, vpcs[0], found, [f"com.amazonaws.{target.region}.{each}" for each in services])
    yield from problems_of(network, services, target.values("SecurityGroupIds"))


def needed_services(parameters: Mapping[str, str]) -> list[str]:
    """The services that functions in the VPC call, by the names of their endpoints."""
    by_function = needed_endpoints(our_template(), parameters)
    return sorted(set().union(*by_function.values()))


def problems_of(network: Network, services: Sequence[str], functions: Collection[str]) -> Iterator[Problem]:
    """Decide which attributes and ways are missing. `functions` are the functions' security groups."""
    for name, enabled in (
        ("enable-dns-support", network.dns_support),
        ("enable-dns-hostnames", network.dns_hostnames),
    ):
        if not enabled:
            yield Problem(
                f"{network.vpc}: {name} is off, so the names of AWS's services do not lead to endpoints",
                f'aws ec2 modify-vpc-attribute --vpc-id {network.vpc} --{name} "Value=true"',
            )
    without_nat = [table for table, internet in network.route_tables.items() if not internet]
    for service in services:
        at = [each for each in network.endpoints if each.service == service]
        reached = {table for each in at if each.gateway for table in each.route_tables}
        interfaces = [each for each in at if not each.gateway and each.private_dns]
        cut_off = [table for table in without_nat if table not in reached]
        if cut_off and not interfaces:
            reason = " (one exists, but without private DNS)" if at and not reached else ""
            yield Problem(
                f"{network.vpc}: the route tables {', '.join(cut_off)} lead neither to a NAT gateway nor to "
                f"an endpoint of {service}{reason}",
                _creation(service, network, cut_off),
            )
            zones = network.zones.get(service, ())
            outside = [each["SubnetId"] for each in network.subnets if each["AvailabilityZone"] not in zones]
            if outside and service != "s3":
                yield Problem(
                    f"AWS offers no interface endpoint of {service} in the zones of {', '.join(outside)}, "
                    "so database/template.yaml could not create it",
                    f"choose subnets in {', '.join(sorted(zones)) or 'another region'}, or a NAT gateway",
                )
        for each in interfaces:
            if not _accepts(network, each, functions):
                yield Problem(
                    f"{each.endpoint_id} ({service}): its security groups do not accept port {_HTTPS} "
                    f"from the functions, and its private DNS leads all of {network.vpc} to it",
                    f"aws ec2 authorize-security-group-ingress --group-id {min(each.groups)} --protocol tcp "
                    f"--port {_HTTPS} --source-group {next(iter(functions), 'SECURITY-GROUP')}",
                )


def _creation(service: str, network: Network, tables: Sequence[str]) -> str:
    name = f"aws ec2 create-vpc-endpoint --vpc-id {network.vpc} --service-name com.amazonaws.REGION.{service}"
    if service == "s3":
        return f"{name} --vpc-endpoint-type Gateway --route-table-ids {' '.join(tables)}"
    return f"{name} --vpc-endpoint-type Interface --private-dns-enabled --subnet-ids … --security-group-ids …"


def _accepts(network: Network, endpoint: Endpoint, functions: Collection[str]) -> bool:
    rules = [rule for group in endpoint.groups for rule in network.accepted.get(group, ())]
    fitting = [rule for rule in rules if _covers_https(rule)]
    from_group = {pair["GroupId"] for rule in fitting for pair in rule.get("UserIdGroupPairs", ())}
    from_range = [ip_network(each["CidrIp"]) for rule in fitting for each in rule.get("IpRanges", ())]
    subnets = [ip_network(each["CidrBlock"]) for each in network.subnets]
    by_range = all(any(subnet.subnet_of(each) for each in from_range) for subnet in subnets)  # type: ignore[arg-type]
    return by_range or (bool(functions) and not set(functions).isdisjoint(from_group))


def _covers_https(rule: Mapping[str, Any]) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return rule["IpProtocol"] == "tcp" and _HTTPS in range(rule["FromPort"], rule["ToPort"] + 1)


def _read(
    client: Any,  # noqa: ANN401
    vpc: str,
    subnets: Sequence[Mapping[str, Any]],
    services: Sequence[str],
) -> Network:
    def attribute(name: str) -> bool:
        answer = client.describe_vpc_attribute(VpcId=vpc, Attribute=f"e{name[1:]}")
        return bool(answer[name]["Value"])

    in_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    endpoints = [
        Endpoint(
            each["VpcEndpointId"],
            each["ServiceName"].rpartition(".")[2],
            each["VpcEndpointType"] == "Gateway",
            each.get("PrivateDnsEnabled", False),
            each.get("RouteTableIds", ()),
            [group["GroupId"] for group in each.get("Groups", ())],
        )
        for page in client.get_paginator("describe_vpc_endpoints").paginate(Filters=in_vpc)
        for each in page["VpcEndpoints"]
        if each["State"].lower() == "available"
    ]
    tables = [
        table
        for page in client.get_paginator("describe_route_tables").paginate(Filters=in_vpc)
        for table in page["RouteTables"]
    ]
    groups = sorted({group for each in endpoints for group in each.groups})
    offered = client.describe_vpc_endpoint_services(Filters=[{"Name": "service-name", "Values": services}])
    rules = client.describe_security_groups(GroupIds=groups)["SecurityGroups"] if groups else []
    return Network(
        vpc,
        attribute("EnableDnsSupport"),
        attribute("EnableDnsHostnames"),
        endpoints,
        _tables_of([each["SubnetId"] for each in subnets], tables),
        subnets,
        {
            each["ServiceName"].rpartition(".")[2]: each["AvailabilityZones"]
            for each in offered["ServiceDetails"]
            if each["ServiceType"][0]["ServiceType"] == "Interface"
        },
        {each["GroupId"]: each["IpPermissions"] for each in rules},
    )


def _tables_of(subnets: Sequence[str], tables: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """The route tables of the subnets. A subnet without its own uses the VPC's main one."""
    own = {
        association["SubnetId"]: table
        for table in tables
        for association in table["Associations"]
        if "SubnetId" in association
    }
    main = [table for table in tables if any(each.get("Main") for each in table["Associations"])]
    used = [own.get(subnet, main[0] if main else None) for subnet in subnets]
    return {table["RouteTableId"]: _leads_to_the_internet(table) for table in used if table is not None}


def _leads_to_the_internet(table: Mapping[str, Any]) -> bool:
    # A function in a VPC has no public address, so an internet gateway is not a way for it.
    ways = ("NatGatewayId", "TransitGatewayId", "InstanceId", "NetworkInterfaceId")
    return any(
        route.get("DestinationCidrBlock") == "0.0.0.0/0"
        and route.get("State") == "active"
        and any(route.get(way) for way in ways)
        for route in table["Routes"]
    )
