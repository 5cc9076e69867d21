"""Tokens for the local stack, which signs its own: with a secret that it makes when it starts."""

import time

import jwt


def sign_token(
    secret: str, *, user_id: str, issuer: str, audience: str, scope: str = "", lifetime_seconds: int = 3600
) -> str:
    """A token (HS256) with which `user_id` may call the API from now on."""
    now = int(time.time())
    claims = {"iss": issuer, "aud": audience, "sub": user_id, "iat": now, "exp": now + lifetime_seconds}
    if scope:
        claims["scope"] = scope
    return jwt.encode(claims, secret, algorithm="HS256")
