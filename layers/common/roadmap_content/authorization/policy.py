"""The answer of a Lambda authorizer, as API Gateway reads it."""

import re
from typing import Any

from ..errors import InvalidPayloadError

_METHOD_ARN = re.compile(r"(arn:[\w-]+:execute-api:[\w-]+:\d+:\w+/[\w-]+)/.*", re.ASCII | re.DOTALL)


def allow(user_id: str, method_arn: object) -> dict[str, Any]:
    """Let `user_id` call the API's stage that `method_arn` belongs to; the backend reads `user_id`.

    All methods of the stage, because API Gateway keeps the answer for the token: a policy for this one
    method would refuse the token's next call to another.

    Raises:
        InvalidPayloadError: `method_arn` is not the ARN of an API's method.
    """
    if not isinstance(method_arn, str) or not (match := _METHOD_ARN.fullmatch(method_arn)):
        raise InvalidPayloadError("methodArn is not the ARN of an API's method")
    return {
        "principalId": user_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{match[1]}/*"},
            ],
        },
        "context": {"user_id": user_id},
    }
