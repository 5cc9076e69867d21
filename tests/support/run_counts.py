"""`python -m tests.support.run_counts`: the requests of a run to each service, and the bill of them.

Real: the steps, PostgreSQL, the log lines and metrics. Emulated: S3 in memory, and the state machine
(`tests/support/machine_model.py`). The offline generator stands for the model.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

from sqlalchemy import event, text

from benchmarks.database import migrated_database
from documents import cost
from documents.layout import laid_out
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.storage.bucket import Bucket
from tests.support.factories import bundle_of, concept_ids
from tests.support.memory_s3 import ObservedS3
from tests.support.pipeline import S3, Pipeline, services_for

SIZES = (30, 1_000)
READS = ("get_object", "head_object")
FREE = ("delete_object", "delete_objects")


@contextmanager
def logged() -> Iterator[StringIO]:
    """The log lines and metrics of the functions, which are on standard output."""
    output = StringIO()
    formatter = logger.registered_formatter
    formatter.clear_state()  # keys of an earlier invocation in this process
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter)
    before = os.environ.get("POWERTOOLS_METRICS_NAMESPACE")
    os.environ["POWERTOOLS_METRICS_NAMESPACE"] = "RoadmapContent"
    logger.addHandler(handler)
    try:
        with redirect_stdout(output):
            yield output
    finally:
        logger.handlers.remove(handler)
        del os.environ["POWERTOOLS_METRICS_NAMESPACE"]
        if before is not None:
            os.environ["POWERTOOLS_METRICS_NAMESPACE"] = before


def count_run(url: str, concepts: int) -> dict[str, int]:
    """A run that generates and saves every item: its requests to S3, PostgreSQL, the logs and EventBridge."""
    services = services_for(url)
    asked: Counter[str] = Counter()
    services.bucket = Bucket(
        services.settings.content_bucket, ObservedS3(S3.client, lambda name, _: asked.update([name])).client
    )
    pipeline = Pipeline(services)
    ids = concept_ids(concepts)
    pipeline.load(bundle_of(ids) | {"content": []})
    asked.clear()
    commits: Counter[str] = Counter()
    event.listen(services.engine, "commit", lambda _: commits.update(["commit"]))
    with logged() as output:
        pipeline.run()
    with services.engine.connect() as connection:
        events = connection.scalar(text("SELECT count(*) FROM content_events"))
    services.engine.dispose()
    reads = sum(asked[name] for name in READS)
    return {
        "gets": reads,
        "puts": sum(asked.values()) - reads - sum(asked[name] for name in FREE),
        "transactions": commits["commit"],
        "log_bytes": len(output.getvalue().encode()),
        "events": int(events or 0),
    }


def main() -> None:
    counts = {}
    for concepts in SIZES:
        with migrated_database() as url:
            S3.create_bucket(Bucket="content")
            counts[str(concepts)] = count_run(url, concepts)
    cost.COUNTS.write_text(laid_out(counts))
    cost.main()


if __name__ == "__main__":
    main()
