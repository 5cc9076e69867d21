"""The topic that pages notify: CloudWatch can publish to it, and somebody receives its messages."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from ..clients import Clients
from .problem import Problem, Target


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Read the topic of `AlarmTopicArn` and decide."""
    if topic := target.parameters["AlarmTopicArn"]:
        yield from problems_of(clients, topic)
        yield from problems_of_trails(clients, target.region)


def problems_of(clients: Clients, topic: str) -> Iterator[Problem]:
    """Decide whether a page arrives at a topic."""
    try:
        attributes = clients("sns", "").get_topic_attributes(TopicArn=topic)["Attributes"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NotFound", "InvalidParameter"):
            raise
        yield Problem(f"AlarmTopicArn: there is no topic {topic} in this region", "aws sns list-topics")
        return
    key = attributes.get("KmsMasterKeyId")
    if key and clients("kms", "").describe_key(KeyId=key)["KeyMetadata"]["KeyManager"] == "AWS":
        yield Problem(
            f"{topic} is encrypted with {key}, a key of AWS with which CloudWatch cannot publish",
            f"aws sns set-topic-attributes --topic-arn {topic} --attribute-name KmsMasterKeyId "
            "--attribute-value '' (or a key of yours whose policy permits cloudwatch.amazonaws.com)",
        )
    if int(attributes.get("SubscriptionsConfirmed", 0)) == 0:
        yield Problem(
            f"{topic} has no confirmed subscription: no page reaches anybody",
            f"aws sns subscribe --topic-arn {topic} --protocol email --notification-endpoint NAME@EXAMPLE, "
            "and open the link in the mail",
        )


def problems_of_trails(clients: Clients, region: str) -> Iterator[Problem]:
    """Decide whether EventBridge learns of a key that is disabled: only a trail that logs sends it calls."""
    client = clients("cloudtrail", "")
    names = [
        trail["TrailARN"]
        for trail in client.describe_trails()["trailList"]
        if trail.get("IsMultiRegionTrail") or trail.get("HomeRegion") == region
    ]
    if not any(client.get_trail_status(Name=name)["IsLogging"] for name in names):
        yield Problem(
            f"no trail of CloudTrail logs {region}: KeyAtRiskAlarm would never be red",
            "aws cloudtrail create-trail --is-multi-region-trail --name NAME --s3-bucket-name BUCKET, "
            "then aws cloudtrail start-logging --name NAME",
        )
