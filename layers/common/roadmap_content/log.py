"""The log of every step: JSON, events as snake_case nouns with fields, one execution = one correlation id."""

from aws_lambda_powertools import Logger

logger = Logger(service="roadmap-content")
