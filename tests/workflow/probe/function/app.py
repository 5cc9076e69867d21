"""Lambda function that follows the instructions in its event, to test the local cloud."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


class ProbeError(Exception):
    """An error with its own name."""


def handler(event: dict[str, Any], context: Any) -> Any:
    match event["do"]:
        case "raise":
            raise ProbeError("as told")
        case "die":
            return os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            return signal.pause()
        case "await redrive":
            if event["execution"].get("RedriveCount", 0) < event["count"]:
                raise ProbeError("not redriven often enough")
            return event
        case "meet":
            return _meet(Path(event["place"]), event["guests"], context.get_remaining_time_in_millis() / 1000)
        case "look":
            import boto3

            import roadmap_content

            return {
                "pid": os.getpid(),
                "greeting": os.environ["GREETING"],
                "environment": sorted(os.environ),
                "boto3": boto3.__file__,
                "layer": roadmap_content.__file__,
                "prefix": sys.prefix,
                "buckets": len(boto3.client("s3").list_buckets()["Buckets"]),
            }
        case other:
            raise ValueError(other)


def _meet(place: Path, guests: int, seconds: float) -> int:
    """Wait for the other invocations; return how many ran at the same time."""
    (place / str(os.getpid())).touch()
    deadline = time.monotonic() + seconds - 1
    while (present := len(list(place.iterdir()))) < guests and time.monotonic() < deadline:
        time.sleep(0.01)
    return present
