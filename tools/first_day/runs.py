"""Beliefs about a run: its first object, its redrive, its erasure, a failover in its middle."""

from release.preflight.database import find_server
from roadmap_content.contracts.erasure import Removed
from roadmap_content.platform.storage.keys import places_of

from .belief import Answer, NotTriedError, belief, held_if
from .stack import Stack
from .trial import INSERT_PLAN, RUN_PLAN, ask, end_of, insert, start


@belief(*RUN_PLAN, "s3.ListObjectsV2", "s3.HeadObject")
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
    if faults := stack.remove_all():
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
)
def failover(stack: Stack) -> Answer:
    """A run during which the database fails over completes."""
    server = find_server(stack.client("rds"), stack.parameters)
    if server is None:
        raise NotTriedError("no cluster of RDS has the host or the resource id of the parameters")
    trial = insert(stack)
    execution = start(stack, trial)
    stack.client("rds").failover_db_cluster(DBClusterIdentifier=server.name)
    status = end_of(stack, execution)
    _, task = ask(stack, "GET", f"/tasks/{trial}")
    return held_if((status, task.get("status")) == ("SUCCEEDED", "completed"), f"{status}, {task}")
