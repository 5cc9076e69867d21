"""The database: its version, and the certificates that verify it."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from roadmap_content.platform.postgres.engine import CERTIFICATES, authorities_of

from ..clients import Clients
from .problem import Problem, Target

OLDEST = 14
"""The oldest supported major version of PostgreSQL."""

ENGINE = {"Engine": "aurora-postgresql", "EngineVersion": "17"}
"""The engine and major version of a database that is created."""


class Server(NamedTuple):
    """The cluster or instance of RDS that the parameters lead to."""

    name: str
    version: str
    iam: bool
    behind_proxy: bool


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Find the server among those of RDS, and decide. Another PostgreSQL cannot be read from outside."""
    client = clients("rds", "")
    server = find_server(client, target.parameters)
    if server is None and target.parameters["DatabaseAuth"] == "iam":
        offered = client.describe_db_engine_versions(**ENGINE, DefaultOnly=True)["DBEngineVersions"]
        version = offered[0]["EngineVersion"] if offered else "…"
        yield Problem(
            "no server of RDS has DatabaseResourceId or DatabaseHost, and DatabaseAuth is iam",
            f"the outputs of database/template.yaml, deployed with EngineVersion={version}",
        )
    if server is not None:
        has_roots = any(path.is_file() for path in authorities_of(target.region, CERTIFICATES))
        yield from problems_of(server, target, has_roots=has_roots)


def problems_of(server: Server, target: Target, *, has_roots: bool) -> Iterator[Problem]:
    """Decide whether the functions can use the server."""
    major = server.version.partition(".")[0]
    if major.isdecimal() and int(major) < OLDEST:
        yield Problem(
            f"{server.name} is PostgreSQL {server.version}; {OLDEST} or later is supported",
            "upgrade its major version (RDS: ModifyDBCluster or ModifyDBInstance)",
        )
    parameters = target.parameters
    if parameters["DatabaseAuth"] == "iam" and not server.iam:
        yield Problem(
            f"{server.name} does not accept IAM logins, and DatabaseAuth is iam",
            "aws rds modify-db-cluster --db-cluster-identifier NAME --enable-iam-database-authentication "
            "--apply-immediately (an instance: modify-db-instance)",
        )
    if server.behind_proxy and parameters["DatabaseSession"] != "role":
        yield Problem(
            f"{server.name} is behind RDS Proxy, which refuses session limits at connect time",
            "DatabaseSession=role, and database/roles.sql",
        )
    if not server.behind_proxy and not has_roots:
        yield Problem(
            f"the layer has no certificate authority of RDS for {target.region}: logins would fail",
            f"curl --fail --output {CERTIFICATES / 'rds.pem'} https://truststore.pki.rds.amazonaws.com/"
            f"{target.region}/{target.region}-bundle.pem, then build again",
        )


def find_server(client: Any, parameters: Mapping[str, str]) -> Server | None:  # noqa: ANN401
    """The server with the resource id or the host of the parameters."""
    resource_id, host = parameters["DatabaseResourceId"], parameters["DatabaseHost"]
    if resource_id.startswith("prx-"):
        return _behind_proxy(client, resource_id)
    for cluster in _all(client, "describe_db_clusters", "DBClusters"):
        if (resource_id and cluster["DbClusterResourceId"] == resource_id) or (
            host and cluster.get("Endpoint") == host
        ):
            return _server_of(cluster)
    for instance in _all(client, "describe_db_instances", "DBInstances"):
        address = instance.get("Endpoint", {}).get("Address")
        if (resource_id and instance["DbiResourceId"] == resource_id) or (host and address == host):
            return Server(
                instance["DBInstanceIdentifier"],
                instance["EngineVersion"],
                instance.get("IAMDatabaseAuthenticationEnabled", False),
                behind_proxy=False,
            )
    return None


def _behind_proxy(client: Any, resource_id: str) -> Server | None:  # noqa: ANN401
    for proxy in _all(client, "describe_db_proxies", "DBProxies"):
        if proxy["DBProxyArn"].endswith(f":{resource_id}"):
            pages = client.get_paginator("describe_db_proxy_targets").paginate(
                DBProxyName=proxy["DBProxyName"]
            )
            clusters = {
                each["TrackedClusterId"]
                for page in pages
                for each in page["Targets"]
                if "TrackedClusterId" in each
            }
            for cluster in _all(client, "describe_db_clusters", "DBClusters"):
                if cluster["DBClusterIdentifier"] in clusters:
                    return _server_of(cluster)._replace(behind_proxy=True)
    return None


def _server_of(cluster: Mapping[str, Any]) -> Server:
    return Server(
        cluster["DBClusterIdentifier"],
        cluster["EngineVersion"],
        cluster.get("IAMDatabaseAuthenticationEnabled", False),
        behind_proxy=False,
    )


def _all(client: Any, operation: str, key: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    for page in client.get_paginator(operation).paginate():
        yield from page[key]
