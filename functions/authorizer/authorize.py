"""The authorizer of the REST API: find the caller of a request by its token, or by the ticket of a stream."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs.access.authentication import TokenRefused
from codegen_runs.access.standing import Standing
from codegen_runs.backend import Backend
from codegen_runs.callers import token_in
from codegen_runs.live.admission import admit, has_ticket
from codegen_runs.live.tickets import TicketForAnother, TicketRefused, Tickets
from codegen_runs.problems import CredentialsRefused, TokenExpired, TokenRevoked

MARGIN = 1.0  # Seconds of the function's time that are reserved for the answer that the token could not be checked.

backend = Backend()


def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Return the policy of the caller, or raise. The gateway answers `Unauthorized` with 401, other errors with 502.

    The policy for a token allows every route of the stage, so that the gateway can cache it for the caller's next
    route. A ticket allows only the stream that is requested. If an API token of this deployment has expired or was
    revoked, or the deployment's Codegen token does not work, the request is allowed without a caller: the function then
    answers with the reason, because the gateway's own answers cannot contain it.
    """
    token = token_in(event.get("headers") or {}) or ""
    deadline = context.get_remaining_time_in_millis() / 1000 - MARGIN
    try:
        if not token and has_ticket(event):
            caller, stream_key = admit(event, Tickets(backend))
            standing(backend).check_token_of(caller)
            return _policy(caller.id, "Allow", event["methodArn"], caller.to_context() | {"stream_key": stream_key})
        caller = standing(backend).caller(token, deadline)
    except (TokenExpired, TokenRevoked, CredentialsRefused) as refusal:
        return _policy("nobody", "Allow", event["methodArn"], {"refused": refusal.code, "reason": refusal.detail})
    except TicketForAnother:
        return _policy("ticket", "Deny", event["methodArn"], {})
    except (TokenRefused, TicketRefused):
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the gateway recognises this message
    api_and_stage = "/".join(event["methodArn"].split("/")[:2])
    return _policy(caller.id, "Allow", f"{api_and_stage}/*", caller.to_context())


def _policy(principal: str, effect: str, resource: str, context: dict[str, str]) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {
        "principalId": principal,
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context,
    }


@cache
def standing(backend: Backend) -> Standing:
    """Return what verifies tokens; it caches callers while the function is warm."""
    return Standing(backend)
