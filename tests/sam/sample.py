"""The sample roadmap with generated content for all items, for both checks."""

import json

from roadmap_command.demo import SAMPLE, with_offline_content
from roadmap_command.load import load_bundle
from roadmap_command.target import Target
from roadmap_content.content.bundle import BundleTask, read_bundle
from roadmap_content.platform.runtime.deadline import Deadline


def load_sample(target: Target) -> BundleTask:
    """Load the sample into a stack, staged and not saved; return its task."""
    bundle = read_bundle(with_offline_content(json.loads(SAMPLE.read_bytes())))
    load_bundle(bundle, target.engine, target.bucket, Deadline.after(300))
    return bundle.task
