"""HTTP methods: HEAD is answered as GET, without the body; 405 answers a method that the path does not have.

On each path, API Gateway sends every method without a function of its own to one function, which the template gives the
method ANY. That is the function for GET if the path has one.
"""

from collections.abc import Collection

from codegen_runs.http.proxy import Answer, Event
from codegen_runs.problems import MethodNotAllowed

# The paths with several methods. Each function has one method, so `Allow` cannot come from the function alone.
_SHARED = {
    "/agent_runs/{agent_run_id}": ("GET", "DELETE"),
    "/api/agents": ("GET", "POST"),
    "/api/agents/{agent_id}": ("GET", "PATCH", "DELETE"),
    "/api/checkpoints/runs/{agent_run_id}/checkpoints": ("GET", "POST"),
    "/starred-runs": ("GET", "POST"),
    "/v1/organizations/{org_id}": ("GET", "PATCH"),
    "/v1/organizations/{org_id}/agent/run/{agent_run_id}/checkpoints": ("GET", "POST"),
    "/v1/organizations/{org_id}/agents": ("GET", "POST"),
    "/v1/organizations/{org_id}/agents/{agent_id}": ("GET", "PATCH", "DELETE"),
    "/v1/organizations/{org_id}/budgets": ("GET", "PUT"),
    "/v1/organizations/{org_id}/doorbell": ("GET", "PUT", "DELETE"),
    "/v1/organizations/{org_id}/multi-runs": ("GET", "POST"),
    "/v1/organizations/{org_id}/multi-runs/{multi_run_id}/pick": ("POST", "DELETE"),
    "/v1/organizations/{org_id}/repos/check-suite-settings": ("GET", "PUT"),
    "/v1/organizations/{org_id}/run-cards": ("GET", "POST"),
    "/v1/organizations/{org_id}/run-cards/{agent_run_id}": ("GET", "DELETE"),
    "/v1/organizations/{org_id}/starred-runs": ("GET", "POST"),
    "/v1/organizations/{org_id}/users/{user_id}": ("GET", "PATCH"),
    "/v1/organizations/{org_id}/webhook-endpoints": ("GET", "POST"),
    "/v1/organizations/{org_id}/webhook-endpoints/{endpoint_id}": ("GET", "PATCH", "DELETE"),
    "/v1/organizations/{org_id}/webhook-endpoints/{endpoint_id}/deliveries": ("GET", "POST"),
    "/v1/organizations/{org_id}/webhooks/agent-run": ("GET", "POST", "DELETE"),
    "/v1/starred-runs": ("GET", "POST"),
    "/v1/users/me/api-tokens": ("GET", "POST"),
}


def served(event: Event, methods: Collection[str]) -> Event:
    """Return the event for a function with these methods; HEAD becomes GET.

    Raises:
        MethodNotAllowed: The function has no such method.
    """
    method = event["httpMethod"]
    if method in methods:
        return event
    if method == "HEAD" and "GET" in methods:
        return event | {"httpMethod": "GET"}
    raise MethodNotAllowed(method, allowed(event["resource"], methods))


def allowed(resource: str, methods: Collection[str]) -> list[str]:
    """Return the methods of a path for `Allow`. `methods` are those of the function that answers."""
    found = [*(_SHARED.get(resource) or sorted(methods)), "OPTIONS"]
    return ["GET", "HEAD", *found[1:]] if found[0] == "GET" else found


def without_body(answer: Answer) -> Answer:
    """Return the answer to HEAD: that to GET with the length of its body, but without the body."""
    answer.pop("stream", None)  # Frames would follow.
    if body := answer["body"]:
        answer["multiValueHeaders"]["Content-Length"] = [str(len(body.encode()))]
    return answer | {"body": ""}
