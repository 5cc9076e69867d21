"""Lambda of the link check: answers, as a check of contents, which items have dead links."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from roadmap_content.content.links.check import CheckRequest, check_links
from roadmap_content.content.links.web import Web
from roadmap_content.contracts.payloads import parse
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.runtime.settings import Settings

settings = Settings()
web = Web()


# Explicit, because an environment variable could enable it, and the event contains contents.
@logger.inject_lambda_context(log_event=False, clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return a verdict per item (docs/generation.md, "Check links")."""
    request = parse(CheckRequest, event)
    report = check_links(request, web, settings.least_resources, Deadline.of(context))
    logger.info(
        "links_checked",
        task_id=event.get("task_id"),
        items=len(request.items),
        links=report.links,
        requests=report.requests,
        bytes_read=report.bytes_read,
    )
    return report.model_dump(mode="json")
