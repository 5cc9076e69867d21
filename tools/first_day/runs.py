"""Beliefs about a run: its first object, its redrive, its erasure, a failover in its middle."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from release.preflight.database import find_server
from roadmap_content.contracts.erasure import Removed
from roadmap_content.platform.storage.keys import places_of

from .belief import Answer, NotTriedError, belief, held_if
from .stack import Stack
from .trial import INSERT_PLAN, RUN_PLAN, ask, end_of, insert, start


@belief(*RUN_PLAN, "s3.ListObjectsV2", "s3.HeadObject", only_aws="the local S3 has no keys")
def bucket_key(stack: Stack) -> Answer:
    """A role with `kms:GenerateDataKey` alone writes the first object under the bucket's key."""
    trial = insert(stack)
    status = end_of(stack, start(stack, trial))
    s3, bucket = stack.client("s3"), stack.outputs["ContentBucket"]
    # Plan writes it, and its role may not decrypt.
    (prefix,) = places_of([], [trial])
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    if not listed:
        return held_if(False, f"the run is {status} and has no manifest")
    manifest = s3.head_object(Bucket=bucket, Key=listed[0]["Key"])
    encrypted = manifest.get("ServerSideEncryption"), manifest.get("BucketKeyEnabled", False)
    return held_if(encrypted == ("aws:kms", True), f"{encrypted[0]}, bucket key: {encrypted[1]}")


@belief(*RUN_PLAN, only_aws="the local stack has no model")
def model(stack: Stack) -> Answer:
    """The model answers: a run generates an item that is not staged, and saves it."""
    return _generated(stack, "bedrock")


@belief(*RUN_PLAN)
def generator(stack: Stack) -> Answer:
    """The team's function answers: its role may invoke it, and a run saves the item."""
    return _generated(stack, "function")


def _generated(stack: Stack, named: str) -> Answer:
    """Run a trial with an item that is not staged. Raises NotTriedError: another generator is deployed."""
    if stack.parameters["Generator"] != named:
        hint = " (here: roadmap up --generator FILE.py)" if stack.is_local else ""
        raise NotTriedError(f"Generator is {stack.parameters['Generator']}{hint}")
    trial = insert(stack, without_one=True)
    status = end_of(stack, start(stack, trial))
    _, task = ask(stack, "GET", f"/tasks/{trial}")
    return held_if((status, task.get("status")) == ("SUCCEEDED", "completed"), f"{status}, {task}")


@belief(*RUN_PLAN, "stepfunctions.StopExecution", disturbs=True)
def end_event(stack: Stack) -> Answer:
    """The end of a run that is stopped from outside reaches Reconcile, which records it at once.

    Its trial can be erased a quarter of an hour later, when no step of it can be at work: by another call.
    """
    trial = insert(stack)
    execution = start(stack, trial)
    stack.client("stepfunctions").stop_execution(executionArn=execution)
    status = end_of(stack, execution)
    if status != "ABORTED":
        raise NotTriedError(f"the run was {status} before it was stopped")

    def recorded() -> str:
        _, task = ask(stack, "GET", f"/tasks/{trial}")
        return str(task["status"]) if task.get("status") == "failed" else ""

    return held_if(stack.until(recorded, 120), f"{status}; the task is recorded: {bool(recorded())}")


@belief(*RUN_PLAN, smoke=True)
def redrive(stack: Stack) -> Answer:
    """A run with an item that cannot be saved fails; redriven through the API, it completes."""
    trial = insert(stack, with_a_fault=True)
    execution = start(stack, trial)
    first = end_of(stack, execution)
    status, answer = ask(stack, "POST", f"/tasks/{trial}/retry", force_checkpoint="true")
    if status != 202:
        return held_if(False, f"first {first}; redrive {status} {answer}")
    then = end_of(stack, execution)
    _, task = ask(stack, "GET", f"/tasks/{trial}")
    ends = first, then, task.get("status")
    return held_if(ends == ("FAILED", "SUCCEEDED", "completed"), f"first {first}; then {then}, {task}")


@belief(*INSERT_PLAN, smoke=True)
def erasure(stack: Stack) -> Answer:
    """An erasure completes in the functions' network, and leaves nothing of the user."""
    trial = insert(stack)
    if faults := [each for each in stack.remove_all() if trial in each]:
        return held_if(False, "; ".join(faults))
    query = {"product_rows": "true", "dry_run": "true"}
    status, answer = ask(stack, "DELETE", f"/users/{trial}/content", **query)
    is_empty = status == 200 and answer["removed"] == Removed().model_dump(mode="json")
    return held_if(is_empty, f"{status} {answer}")


@belief(
    *RUN_PLAN,
    "rds.DescribeDBProxies",
    "rds.DescribeDBProxyTargets",
    "rds.DescribeDBClusters",
    "rds.FailoverDBCluster",
    disturbs=True,
    only_aws="the local PostgreSQL has no standby",
)
def failover(stack: Stack) -> Answer:
    """A run during which the database fails over completes."""
    cluster = _cluster(stack)
    tags = {tag["Key"]: tag["Value"] for tag in cluster.get("TagList", ())}
    if (tags.get("aws:cloudformation:logical-id"), tags.get("first-day")) != ("DatabaseCluster", stack.name):
        raise NotTriedError(
            f"the cluster is not of database/template.yaml, deployed with --tags first-day={stack.name}"
        )
    trial = insert(stack)
    execution = start(stack, trial)
    stack.client("rds").failover_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"])
    status = end_of(stack, execution)
    _, task = ask(stack, "GET", f"/tasks/{trial}")
    return held_if((status, task.get("status")) == ("SUCCEEDED", "completed"), f"{status}, {task}")


@belief(
    "cloudformation.DescribeStacks",
    "rds.DescribeDBProxies",
    "rds.DescribeDBProxyTargets",
    "rds.DescribeDBClusters",
    only_aws="the local PostgreSQL has no backups",
)
def restore(stack: Stack) -> Answer:
    """The database can be restored to the moment before a damage, up to ten minutes ago."""
    cluster = _cluster(stack)
    earliest, latest = cluster["EarliestRestorableTime"], cluster["LatestRestorableTime"]
    recent = earliest < latest and latest > datetime.now(UTC) - timedelta(minutes=10)
    return held_if(recent, f"from {earliest} to {latest}")


def _cluster(stack: Stack) -> Mapping[str, Any]:
    """The cluster of the parameters. Raises NotTriedError: there is none."""
    client = stack.client("rds")
    server = find_server(client, stack.parameters)
    if server is None:
        raise NotTriedError("no cluster of RDS has the host or the resource id of the parameters")
    found: Mapping[str, Any]
    (found,) = client.describe_db_clusters(DBClusterIdentifier=server.name)["DBClusters"]
    return found
