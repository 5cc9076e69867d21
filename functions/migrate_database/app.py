"""Lambda that migrates the database schema, for CloudFormation in each deployment or for an operator, and
removes it when an operator leaves.
"""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from roadmap_content.runs.installation.leave import LeaveRequest, leave_database
from roadmap_content.runs.installation.migrate import MigrateRequest, answer_cloudformation, migrate_database
from roadmap_content.runs.steps.handler import step_handler

migrate = step_handler(MigrateRequest, migrate_database, is_alarmed=False)
leave = step_handler(LeaveRequest, leave_database, is_alarmed=False)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Migrate, leave, or answer a request from CloudFormation."""
    if "RequestType" in event:
        return answer_cloudformation(event, lambda: migrate({"dry_run": False}, context)["after"])
    return (leave if event.get("leave") else migrate)(event, context)
