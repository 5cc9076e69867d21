"""Lambda authorizer of the API: verifies the bearer token of a request."""

import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from roadmap_content.contracts.errors import ContentError
from roadmap_content.platform.authorization.authenticate import UnauthorizedError, allow, authenticate
from roadmap_content.platform.authorization.settings import AuthorizationSettings
from roadmap_content.platform.aws.awake import keeps_awake
from roadmap_content.platform.aws.clients import preload_for_snapstart
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.runtime.metrics import Metric, emit

preload_for_snapstart()


# Explicit, because an environment variable could enable it, and the event contains the token.
@keeps_awake
@logger.inject_lambda_context(log_event=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return a policy, or raise `Unauthorized`, which API Gateway answers with 401.

    Faults that prevent the verification (settings, keys) are answered with 500 instead, because the token may
    be valid and the user should not have to sign in again.
    """
    try:
        settings = AuthorizationSettings.from_environment(os.environ)
        identity = authenticate(event.get("authorizationToken"), settings)
        return allow(identity, event.get("methodArn"))
    except UnauthorizedError as refusal:
        logger.warning("request_refused", extra={"reason": refusal.reason})
        if not refusal.is_the_callers:
            emit({Metric.API_UNAUTHORIZED: 1})
        raise
    except ContentError as error:
        logger.exception("request_not_judged", extra={"error_code": error.code, "reason": str(error)})
        raise
