"""What a SnapStart snapshot holds: imported before it is taken, it costs no request anything."""

import os


def preload_for_snapstart() -> None:
    """Import what is otherwise imported where it is first used, if a snapshot is about to be taken."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        import boto3  # noqa: F401
        import botocore.config  # noqa: F401
