"""The log of every step: JSON, events as snake_case nouns with fields, one execution = one correlation id."""

import logging

from aws_lambda_powertools import Logger

# Lambda lets every library speak at INFO, and botocore tells where it found its credentials each time.
logging.getLogger("botocore").setLevel(logging.WARNING)

logger = Logger(service="roadmap-content")
