"""The HTTP edge: it admits each request, lets the handler act, and answers. Handlers contain none of this.

`endpoint` turns a resolver into a Lambda handler. It identifies the caller and admits the request (`admission`), lets
the resolver act, answers every error as a problem (`answers`), and writes one line per request (`report`).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from time import perf_counter
from typing import Protocol

from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.event_handler.api_gateway import Route
from aws_lambda_powertools.utilities.typing import LambdaContext

from codegen_runs import correlation, links, problems
from codegen_runs.audit.acts import Act
from codegen_runs.backend import Backend
from codegen_runs.callers import Caller
from codegen_runs.clock import waiting_for_codegen
from codegen_runs.http import admission, answers, etags, methods, report, routing
from codegen_runs.http.proxy import Answer, Event, Handler, headers_of, plainly_encoded, request_id_of
from codegen_runs.limits import allowances
from codegen_runs.logs import logger
from codegen_runs.problems import InternalError, RouteNotFound
from codegen_runs.roles import Role, needed_for

_MARGIN = 1.0  # Seconds of the function's time that are reserved for the answer that the upstream took too long.
_METHODS_WITH_BODY = {"POST", "PUT", "PATCH"}


class Serve(Protocol):
    """Answers one event, or raises."""

    def __call__(self, event: Event, context: LambdaContext, backend: Backend) -> Answer:
        """Answer one event."""


def endpoint(
    app: APIGatewayRestResolver,
    *,
    public: bool = False,
    any_body: bool = False,
    role: Role | None = None,
    codegen_decides: bool = False,
    own_data: bool = False,
    secret: bool = False,
    verbatim: bool = False,
    own_account: bool = False,
    audit: Act | Mapping[str, Act] | None = None,
    organization: admission.Place = admission.DEFAULT_ORGANIZATION,
) -> Handler:
    """Return the Lambda handler that serves the routes of `app`.

    Args:
        app: The resolver.
        public: Whether the routes have no authorizer, so that anyone may call them.
        any_body: Whether a body may have any form. The edge then neither reads nor refuses it.
        role: The role that the caller needs in the organization that a request is about. By default a viewer may read,
            and a member may do everything else.
        codegen_decides: Whether Codegen, and not the role, decides about callers who send their own Codegen token and
            have no role in this deployment.
        own_data: Whether the operation changes only the caller's own data in this deployment. It is then allowed while
            the Codegen API cannot confirm the caller.
        secret: Whether requests or answers contain a secret. They are not stored, so an Idempotency-Key has no effect.
        own_account: Whether the operation acts on the caller's own account at Codegen. It then needs a Codegen token.
        audit: What the operation does, if the audit trail records it; for several operations, what each does by its
            method. Without an entry that it was attempted, it is not done.
        verbatim: Whether answers contain texts as they came: Codegen's on its own paths, or what the caller wrote and
            may edit. In all other answers, what looks like a secret is masked.
        organization: Where a request names its organization if its path does not. By default it is the deployment's.
    """
    # Powertools would answer errors in its own form. They are raised again, and `answering` answers them.
    app.exception_handler(Exception)(answers.pass_on)
    app.not_found(answers.refuse_route)
    if audit:
        # Imported here, because most operations only read.
        from codegen_runs.http import auditing

        app.use([auditing.middleware(audit)])
    routes = (*app._static_routes, *app._dynamic_routes)  # Powertools has no public name for them.
    served = {route.method for route in routes}
    resources = {route.path.replace("<", "{").replace(">", "}") for route in routes}

    def serve(event: Event, context: LambdaContext, backend: Backend) -> Answer:
        if event["resource"] not in resources:
            raise RouteNotFound("No such route.")
        views = event["httpMethod"] != "HEAD"
        event = methods.served(event, served)
        # Powertools matches the path in the API.
        event = plainly_encoded(event | {"path": routing.path_of(event)})
        in_route = routing.organization_of(event)
        place = organization if in_route is None else admission.NO_ORGANIZATION
        method, headers = event["httpMethod"], headers_of(event)
        with admission.requiring(role or needed_for(method), codegen_decides=codegen_decides):
            caller = None if public else admission.identify(event, in_route, own_data=own_data)
            org_id = admission.admitted_organization(event, caller, place, in_route) if caller else None
            if caller and own_account:
                admission.require_codegen_token(caller)

            def act() -> Answer:
                read = admission.read_body(event) if method in _METHODS_WITH_BODY and not any_body else event
                answer = app.resolve(_prepared(app, read, context, caller, org_id, backend, views=views), context)
                if not (verbatim or secret):
                    answer = answers.masked(answer)
                return answer if method == "GET" or not answers.is_too_large(answer) else _shortened(answer)

            if method == "GET":
                answer = act()
                if answers.is_too_large(answer):
                    answer = _smaller(answer, event, act)
                return etags.compared(answer, headers.get("if-none-match"))
            if caller and not secret and method == "POST" and "idempotency-key" in headers:
                return _once(act, routes, event, context, caller, org_id, place, backend)
            return act()

    return answering(serve)


def answering(serve: Serve) -> Handler:
    """Return a Lambda handler that returns the answers of `serve`, and answers its errors as problems."""
    requests = count(1)

    def handler(event: Event, context: LambdaContext, backend: Backend | None = None) -> Answer:
        exchange = report.exchange(event, cold_start=next(requests) == 1)
        started, waited = perf_counter(), waiting_for_codegen.seconds
        base_path = links.below(routing.base_path_of(event))
        with (
            logger.append_context_keys(**exchange),
            correlation.of(exchange["request_id"]),
            base_path,
            allowances.noting() as noted,
        ):
            capped = False
            try:
                answer, code = answers.within_limit(serve(event, context, backend or Backend())), None
            except Exception as error:  # noqa: BLE001 - the one place where every error becomes an answer
                problem = problems.of(error)
                if problem.status == InternalError.status:
                    report.write_fault(error, event)
                code = problem.code
                answer = answers.refusal(problem, routing.path_in_url(event), exchange["request_id"])
                capped = problem.capped
            answer = answers.complete(answer, exchange["request_id"], noted, exchange["unconfirmed_since"])
            if event["httpMethod"] == "HEAD":
                answer = methods.without_body(answer)
            report.write(
                exchange,
                status=answer["statusCode"],
                code=code,
                capped=capped,
                seconds=perf_counter() - started,
                upstream_seconds=waiting_for_codegen.seconds - waited,
            )
        return answer

    return handler


def seconds_left_in(context: LambdaContext) -> float:
    """Return the seconds that an operation may still take."""
    return context.get_remaining_time_in_millis() / 1000 - _MARGIN


def _prepared(
    app: APIGatewayRestResolver,
    event: Event,
    context: LambdaContext,
    caller: Caller | None,
    org_id: int | None,
    backend: Backend,
    *,
    views: bool,
) -> Event:
    """Give the resolver the values of the shared parameters, and return the event."""
    seconds_left = seconds_left_in(context)
    app.context.update(seconds_left=seconds_left, backend=backend, organization=org_id, views=views)
    if caller:
        app.context.update(caller=caller, backend=backend.acting_as(caller, deadline=seconds_left))
    return event


def _shortened(answer: Answer) -> Answer:
    """Return the answer of a request that had its effect, without the fields that are too large."""
    from codegen_runs.http import shrinking

    return shrinking.shortened(answer)


def _smaller(answer: Answer, event: Event, act: Callable[[], Answer]) -> Answer:
    """Return a smaller page in the place of a page that is too large."""
    # Imported here, because hardly any answer is too large.
    from codegen_runs.http import shrinking

    return shrinking.fitting(answer, event, act)


def _once(
    act: Callable[[], Answer],
    routes: Sequence[Route],
    event: Event,
    context: LambdaContext,
    caller: Caller,
    org_id: int | None,
    place: admission.Place,
    backend: Backend,
) -> Answer:
    """Answer a request with an Idempotency-Key. The edge has checked the caller's role in the organization."""
    # Imported here, because requests without a key need no storage.
    from codegen_runs.http import idempotency, sameness

    # The organization is part of the scope, wherever the request names it.
    in_scope = place.name if place.kind == "body" else ""
    return idempotency.once(
        idempotency.Keyed.read(
            headers_of(event)["idempotency-key"],
            # The token is part of the scope: another token of the same caller may not be allowed to see the answer.
            scope=(
                *(caller.id, caller.token_id),
                str(org_id),
                f"POST {sameness.operation(event, routes)}",
            ),
            asked=(sameness.query(event), sameness.fields(event, routes, in_scope=in_scope)),
        ),
        act,
        attempts=backend.idempotency,
        refuse=lambda problem: answers.refusal(problem, routing.path_in_url(event), request_id_of(event)),
        seconds=context.get_remaining_time_in_millis() / 1000,
        clock=backend.clock,
    )
