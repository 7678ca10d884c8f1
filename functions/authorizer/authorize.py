"""The authorizer of the REST API: find the caller of a request by its token, or by the ticket of a stream."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import metrics
from codegen_runs.access.authentication import TokenRefused
from codegen_runs.access.standing import Standing
from codegen_runs.backend import Backend
from codegen_runs.callers import address_of, token_in
from codegen_runs.live.admission import admit, has_ticket
from codegen_runs.live.tickets import TicketRefused, Tickets
from codegen_runs.metrics import Metric
from codegen_runs.problems import (
    CredentialsRefused,
    Problem,
    TicketForAnother,
    TokenExpired,
    TokenRevoked,
    TooManyRefusedTokens,
)

MARGIN = 1.0  # Seconds of the function's time that are reserved for the answer that the token could not be checked.

backend = Backend()


def handler(event: dict[str, Any], context: LambdaContext, backend: Backend = backend) -> dict[str, Any]:
    """Return the policy of the caller, or raise. The gateway answers `Unauthorized` with 401, other errors with 502.

    The policy for a token allows every route of the stage, so that the gateway can cache it for the caller's next
    route. A ticket allows only the stream that is requested. An API token of this deployment that has expired or was
    revoked is denied with the reason in the context, from which the gateway's answer takes it: a function cannot send
    WWW-Authenticate, because API Gateway renames it.

    Other refusals have a reason and another status: a ticket for another run, an address with many refused tokens, a
    Codegen token of the deployment that does not work. The gateway has one answer, with one status, to whatever is
    denied. So such a request is allowed without a caller, and the function answers with the reason.
    """
    token = token_in(event.get("headers") or {}) or ""
    deadline = context.get_remaining_time_in_millis() / 1000 - MARGIN
    try:
        if not token and has_ticket(event):
            caller, stream_key = admit(event, Tickets(backend))
            standing(backend).check_token_of(caller)
            return _policy(caller.id, "Allow", event["methodArn"], caller.to_context() | {"stream_key": stream_key})
        caller = standing(backend).caller(token, deadline, address_of(event))
    except (TokenExpired, TokenRevoked) as refusal:
        return _refused("Deny", event, refusal)
    except (CredentialsRefused, TicketForAnother, TooManyRefusedTokens) as refusal:
        return _refused("Allow", event, refusal)
    except (TokenRefused, TicketRefused):
        metrics.add(Metric.DENIALS)
        raise Exception("Unauthorized") from None  # noqa: TRY002 - the gateway recognises this message
    finally:
        metrics.write_added("authorization", request_id=context.aws_request_id)
    api_and_stage = "/".join(event["methodArn"].split("/")[:2])
    return _policy(caller.id, "Allow", f"{api_and_stage}/*", caller.to_context())


def _refused(effect: str, event: dict[str, Any], refusal: Problem) -> dict[str, Any]:
    metrics.add(Metric.DENIALS)
    context = {"refused": refusal.code, "reason": refusal.detail, "remedy": refusal.remedy}
    if refusal.retry_after is not None:
        context["retry_after"] = str(refusal.retry_after)
    return _policy("nobody", effect, event["methodArn"], context)


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
