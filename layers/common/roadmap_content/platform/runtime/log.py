"""The structured log: JSON lines, snake_case event names with fields, the execution as correlation id."""

import logging
import os

from aws_lambda_powertools import Logger

# Lambda's root logger is at INFO, at which botocore logs the source of its credentials for every client.
logging.getLogger("botocore").setLevel(logging.WARNING)

# The service is POWERTOOLS_SERVICE_NAME, which the template sets to the name of the stack.
logger = Logger(release=os.environ.get("RELEASE", "unreleased"))
