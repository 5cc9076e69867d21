"""The topic that pages notify: CloudWatch can publish to it, and somebody receives what is published."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from ..clients import Clients
from .problem import Problem, Target


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Read the topic of `AlarmTopicArn` and decide."""
    if topic := target.parameters["AlarmTopicArn"]:
        yield from problems_of(clients, topic)


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
