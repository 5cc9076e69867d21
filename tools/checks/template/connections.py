"""Check that the connections to the database are limited: every function that logs in has a reservation."""

from collections.abc import Iterable, Iterator

from local_stack.template_file import Template
from release.connections import holders

from .deployments import Deployed
from .findings import Finding


def check_connections(template: Template, deployments: Iterable[Deployed]) -> Iterator[Finding]:
    """Find functions without a limit, in deployments that limit others."""
    for deployed in deployments:
        found = holders(deployed.parameters, template)
        if not any(holder.function == "SaveBatchFunction" and holder.at_once for holder in found):
            continue
        for holder in found:
            if not holder.at_once:
                yield Finding(
                    f"{deployed.name}: {holder.function}",
                    "opens connections to the database, and nothing limits its concurrency",
                )
