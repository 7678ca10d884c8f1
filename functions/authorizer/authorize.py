"""The authorizer of the REST API: resolve the token of a request, or the ticket of a stream, to its caller."""

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

MARGIN = 1.0  # Seconds of the function's time that are kept to say that the token could not be checked.

backend = Backend()


def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Allow the caller what she may call, or raise: `Unauthorized` makes the gateway answer 401, anything else 502.

    The policy for a token covers every route of the stage, so that whoever caches it does not deny the caller's next
    route. A ticket opens the one stream that it is shown at. Where an API token of this deployment has ended, or the
    deployment cannot act for who brings one, the request goes through to be told so: the gateway's own answers have no
    words for it, and the function finds no caller that it could serve.
    """
    token = token_in(event.get("headers") or {}) or ""
    deadline = context.get_remaining_time_in_millis() / 1000 - MARGIN
    try:
        if not token and has_ticket(event):
            caller, stream_key = admit(event, Tickets(backend))
            return _policy(caller.id, "Allow", event["methodArn"], caller.to_context() | {"stream_key": stream_key})
        caller = standing(backend).caller(token, deadline)
    except (TokenExpired, TokenRevoked, CredentialsRefused) as refusal:
        return _policy("nobody", "Allow", event["methodArn"], {"refused": refusal.code, "reason": refusal.detail})
    except TicketForAnother:
        return _policy("ticket", "Deny", event["methodArn"], {})
    except (TokenRefused, TicketRefused):
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the gateway knows this one message
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
    """Keep verified callers while the function is warm."""
    return Standing(backend)
