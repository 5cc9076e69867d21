"""The unit prices of AWS: US East (N. Virginia), in dollars, without the free tier.

Change them here only. `checked` is when the price was last compared with a stored copy of the source;
`python -m documents.cost` names those that were not read this year.
"""

from typing import NamedTuple


class Price(NamedTuple):
    """A unit price."""

    dollars: float
    unit: str
    source: str
    checked: str


TOKENS_IN = Price(3e-6, "input token of a large model", "aws.amazon.com/bedrock/pricing", "2026-11")
TOKENS_OUT = Price(15e-6, "output token of a large model", "aws.amazon.com/bedrock/pricing", "2026-11")
CHEAP_TOKENS_IN = Price(0.8e-6, "input token of a small model", "aws.amazon.com/bedrock/pricing", "2026-11")
CHEAP_TOKENS_OUT = Price(3.2e-6, "output token of a small model", "aws.amazon.com/bedrock/pricing", "2026-11")
TRANSITION = Price(0.025e-3, "state transition", "aws.amazon.com/step-functions/pricing", "2026-11")
INVOCATION = Price(0.20e-6, "invocation", "aws.amazon.com/lambda/pricing", "2025")
DURABLE_OPERATION = Price(8.00e-6, "operation of a durable function", "aws.amazon.com/lambda/pricing", "2025")
GB_SECOND = Price(0.0000133334, "GB-second on arm64", "aws.amazon.com/lambda/pricing", "2025")
PUT = Price(0.005e-3, "PUT, COPY or LIST", "aws.amazon.com/s3/pricing", "2025")
GET = Price(0.0004e-3, "GET or HEAD", "aws.amazon.com/s3/pricing", "2025")
API_REQUEST = Price(3.50e-6, "request of a REST API", "aws.amazon.com/api-gateway/pricing", "2026-11")
ACU_HOUR = Price(
    0.12, "Aurora capacity unit for an hour", "c3x.dev/blog/aws-aurora-serverless-v2-cost", "2026-12"
)
PROXY_HOUR = Price(
    8 * 0.015, "RDS Proxy for an hour, at its least of 8 units", "aws.amazon.com/rds/proxy/pricing", "2025"
)
ENDPOINT_HOUR = Price(
    0.01, "endpoint in a zone for an hour", "awsnegotiations.com/privatelink-cost-analysis", "2026-12"
)
SNAPSHOT_GB_SECOND = Price(
    1.5046e-6,
    "GB-second of a version's snapshot",
    "awsnegotiations.com/blog/lambda-snapstart-cost-impact",
    "2026-12",
)
ALARM_METRIC = Price(
    0.10, "metric of an alarm for a month", "c3x.dev/resources/aws/aws_cloudwatch_metric_alarm", "2026-12"
)
PAGE = Price(
    0.50, "composite alarm for a month", "c3x.dev/resources/aws/aws_cloudwatch_metric_alarm", "2026-12"
)
FIREWALL = Price(5.00, "web ACL for a month", "c3x.dev/blog/aws-waf-cost-explained", "2026-12")
FIREWALL_RULE = Price(1.00, "rule of a web ACL for a month", "c3x.dev/blog/aws-waf-cost-explained", "2026-12")
KEY = Price(1.00, "KMS key for a month", "aws.amazon.com/kms/pricing", "2025")
SECRET = Price(0.40, "secret for a month", "aws.amazon.com/secrets-manager/pricing", "2025")
