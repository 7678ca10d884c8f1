"""The API as a caller with a token uses it: the authorizer, then the function, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from codegen_runs.backend import Backend
from local.authorization import Authorization
from local.fake_codegen import DEMO_TOKEN
from local.proxy import Routes
from local.template import Template
from tests.support.backend import Kicks, TestClock
from tests.support.events import Answer, Context, call, invoke, rest, working_with
from tests.support.handlers import handler, load
from tests.support.sources import FUNCTIONS

ORG = 123
ATTIC = 124
"""Another organization, of which Ada is the only member."""
ELSEWHERE = 125
HOME = f"/v1/organizations/{ORG}"
TOKENS = "/v1/users/me/api-tokens"

# Ada is an admin at Codegen, Linus a manager and Mary a member; Grace is a member of another organization.
ADA, LINUS, MARY = DEMO_TOKEN, "fake-codegen-token-of-linus", "fake-codegen-token-of-mary"
IDS = {ADA: 789, LINUS: 791, MARY: 792}


def unreachable() -> httpx.MockTransport:
    """Return a transport to AWS that cannot connect."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there", request=request)

    return httpx.MockTransport(fail)


@dataclass
class Service:
    """The deployed API. `answers` has all its answers, which may contain no secret but a new one."""

    template: Template
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        assert self.template.api
        self._routes = Routes(self.template.api.routes)

    def send(self, method: str, path: str, token: str, body: Any = None, **headers: str) -> Answer:
        """Send a request with a token, and with further headers."""
        resource, parameters = self._routes.find(path.partition("?")[0])
        route = resource.get(method) or resource["ANY"]
        event = rest(
            method,
            path,
            body=body,
            headers={"Authorization": f"Bearer {token}", **headers},
            resource=route.path,
            path_parameters=parameters,
            caller=None,
        )
        arn = f"arn:aws:execute-api:us-east-1:123456789012:example/v0/{method}{event['path']}"
        if route.authorizer and (refusal := self._authorize(event, arn)):
            return refusal
        function = route.function
        module = (function.code_dir / function.handler.removesuffix(".handler")).relative_to(FUNCTIONS)
        answer = call(handler(str(module)), event)
        self.answers.append(answer)
        return answer

    def _authorize(self, event: dict[str, Any], arn: str) -> Answer | None:
        """Add the authorizer's context to an event; return the gateway's answer if the authorizer refuses it."""
        try:
            authorization = Authorization.model_validate(
                invoke(handler("authorizer/authorize"), event | {"type": "REQUEST", "methodArn": arn}, Context())
            )
        except Exception as refusal:
            if str(refusal) != "Unauthorized":
                raise
            return Answer(401, "The gateway's own.")
        if not authorization.allows(arn):
            return self._denied(authorization.passed_on())
        event["requestContext"]["authorizer"] = authorization.passed_on()
        return None

    def _denied(self, context: dict[str, Any]) -> Answer:
        """Return the gateway's answer to a request that the authorizer denies."""
        assert self.template.api
        response = self.template.api.gateway_responses["ACCESS_DENIED"]
        text = response.templates["application/json"]
        for name, value in context.items():
            text = text.replace(f"$context.authorizer.{name}", value)
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = Answer(response.status or 403, text, headers)
        self.answers.append(answer)
        return answer

    def make_token(self, maker: str = ADA, **body: Any) -> Any:
        """Create an API token and return the answer."""
        answer = self.send("POST", TOKENS, maker, {"name": "A script", **body})
        assert answer.status == 201, answer.text
        return answer.json

    def give(self, user_id: int, by: str = ADA, org_id: int = ORG, **body: Any) -> Answer:
        """Give a user a role."""
        return self.send("PATCH", f"/v1/organizations/{org_id}/users/{user_id}", by, body)

    def another_process(self) -> None:
        """Clear what the authorizer stores in memory."""
        load("authorizer/authorize").standing.cache_clear()


@contextmanager
def with_table(table: Any, clock: TestClock) -> Iterator[None]:
    """Have the functions work with this access table while the block runs."""
    with working_with(Backend(access=table, clock=clock, kick=Kicks())):
        yield
