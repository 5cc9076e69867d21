"""Imports for SnapStart: modules imported before the snapshot add nothing to the time of a request."""

import os


def preload_for_snapstart() -> None:
    """Import modules that are otherwise imported on first use, if a snapshot is about to be taken."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        import boto3  # noqa: F401
        import botocore.config  # noqa: F401
