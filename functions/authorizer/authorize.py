"""The authorizer of the REST API: resolve the token of a request to its caller."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import settings
from codegen_runs.authentication import Authenticator, TokenRefused
from codegen_runs.callers import token_in
from codegen_runs.clock import SystemClock
from codegen_runs.storage.table import Table

MARGIN = 1.0  # Seconds of the function's time that are kept to say that the token could not be checked.


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Allow the caller the whole API, or raise: `Unauthorized` makes the gateway answer 401, anything else 502.

    The policy covers every route of the stage, so that whoever caches it does not deny the caller's next route.
    """
    token = token_in(event.get("headers") or {}) or ""
    deadline = context.get_remaining_time_in_millis() / 1000 - MARGIN
    try:
        caller = authenticator().caller(token, deadline)
    except TokenRefused:
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the gateway knows this one message
    api_and_stage = "/".join(event["methodArn"].split("/")[:2])
    return {
        "principalId": caller.id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{api_and_stage}/*"},
            ],
        },
        "context": caller.to_context(),
    }


@cache
def authenticator() -> Authenticator:
    """Open the callers table on first use, and keep what was remembered while the function is warm."""
    return Authenticator(Table(settings.required("CALLERS_TABLE")), clock=SystemClock())
