"""Beliefs about a run: its first object, its redrive, its erasure, a failover in its middle."""

from roadmap_content.contracts.erasure import Removed

from .belief import Answer, NotTriedError, held_if
from .trial import INSERT_PLAN, RUN_PLAN, TrialBelief


class FirstObjectNeedsNoDecrypt(TrialBelief):
    """A role with `kms:GenerateDataKey` alone writes the first object under the bucket's key."""

    name = "bucket_key"
    plan = (*RUN_PLAN, "s3.ListObjectsV2", "s3.HeadObject")

    def attempt(self) -> Answer:
        trial = self.insert()
        status = self.end_of(self.start(trial))
        s3, bucket = self.stack.client("s3"), self.stack.outputs["ContentBucket"]
        # Plan writes it, and its role may not decrypt.
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"manifests/{trial}/").get("Contents", [])
        if not listed:
            return held_if(False, f"the run is {status} and has no manifest")
        manifest = s3.head_object(Bucket=bucket, Key=listed[0]["Key"])
        encrypted = manifest.get("ServerSideEncryption"), manifest.get("BucketKeyEnabled", False)
        return held_if(encrypted == ("aws:kms", True), f"{encrypted[0]}, bucket key: {encrypted[1]}")


class RunIsRedriven(TrialBelief):
    """A run with an item that cannot be saved fails; redriven through the API, it completes."""

    name = "redrive"
    smoke = local = True

    def attempt(self) -> Answer:
        trial = self.insert(with_a_fault=True)
        execution = self.start(trial)
        ends = [self.end_of(execution)]
        _, task = self.ask("GET", f"/tasks/{trial}")
        said = [f"first {ends[0]}, {task.get('status')}"]
        status, answer = self.ask("POST", f"/tasks/{trial}/retry", force_checkpoint="true")
        said.append(f"redrive {status}")
        if status == 202:
            ends.append(self.end_of(execution))
            _, answer = self.ask("GET", f"/tasks/{trial}")
        said.append(f"then {ends[-1]}, {answer.get('status')}")
        held = ends == ["FAILED", "SUCCEEDED"] and answer.get("status") == "completed"
        return held_if(held, "; ".join(said))


class UserIsErased(TrialBelief):
    """An erasure completes in the functions' network, and leaves nothing of the user."""

    name = "erasure"
    plan = INSERT_PLAN
    smoke = local = True

    def attempt(self) -> Answer:
        trial = self.insert()
        self.undo({"trial": trial})
        query = {"product_rows": "true", "dry_run": "true"}
        status, answer = self.ask("DELETE", f"/users/{trial}/content", **query)
        removed = answer.get("removed")
        return held_if(status == 200 and removed == Removed().model_dump(mode="json"), f"{status} {removed}")


class RunSurvivesAFailover(TrialBelief):
    """A run during which the database fails over completes."""

    name = "failover"
    plan = (
        *RUN_PLAN,
        "rds.DescribeDBProxies",
        "rds.DescribeDBProxyTargets",
        "rds.DescribeDBClusters",
        "rds.FailoverDBCluster",
    )
    disturbs = True

    def attempt(self) -> Answer:
        from release.preflight.database import find_server

        server = find_server(self.stack.client("rds"), self.stack.parameters)
        if server is None:
            raise NotTriedError("no cluster of RDS has the host or the resource id of the parameters")
        trial = self.insert()
        execution = self.start(trial)
        self.stack.client("rds").failover_db_cluster(DBClusterIdentifier=server.name)
        status = self.end_of(execution)
        _, task = self.ask("GET", f"/tasks/{trial}")
        return held_if((status, task.get("status")) == ("SUCCEEDED", "completed"), f"{status}, {task}")
