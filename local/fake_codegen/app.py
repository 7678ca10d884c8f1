"""Every operation of the upstream at its path, named as in the upstream's OpenAPI document.

Each call passes these steps in order: the token (401), the trouble scripted for it, the rate limit (429), and the
operation itself (422, 403, 404 or the answer). The order in which the upstream checks is not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from . import answers, control, sample_data
from .control import Fake
from .runs import PullRequest, Run, page_numbers
from .schemas import (
    AgentRunLimitReachedErrorResponse,
    AgentRunNotFoundErrorResponse,
    AgentRunResponse,
    AgentRunWithLogsResponse,
    AnalyzeLogsResponse,
    ApiAgentRunSourceType,
    APIRateLimitErrorResponse,
    CheckSuiteSettingsRequest,
    CheckSuiteSettingsResponse,
    CLIRulesResponse,
    CreateAgentRunInput,
    EditPRInput,
    EditPRResponse,
    GenerateSetupCommandsInput,
    GenerateTokenRequest,
    GenerateTokenResponse,
    HTTPValidationError,
    ModelsResponse,
    NoReposFoundInOrgErrorResponse,
    OAuthProviderResponse,
    OrganizationIntegrationsResponse,
    OrganizationResponse,
    Page,
    PermissionsErrorResponse,
    RepoResponse,
    ResumeAgentRunInput,
    SetupCommandsResponse,
    StopAgentRunInput,
    UserNotFoundErrorResponse,
    UserResponse,
    WebhookConfigRequest,
    WebhookConfigResponse,
    WebhookTestRequest,
)
from .state import Caller, FakeCodegen, UpstreamError
from .webhooks import webhook_call
from .wire import wire_of


def create_app(fake: FakeCodegen) -> FastAPI:
    """Return the ASGI app of one fake Codegen, with the control surface under `/_fake`."""
    # All apps share the routes. `include_router` would build each route again, which takes longer than many requests.
    routes = [*router.routes, *undocumented.routes, *control.router.routes]
    app = FastAPI(title="Fake Codegen", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None, routes=routes)
    app.state.fake = fake
    app.state.operations = [
        route.name for route in (*router.routes, *undocumented.routes) if isinstance(route, Operation)
    ]
    app.add_exception_handler(UpstreamError, _refuse)
    return app


class Operation(APIRoute):
    """A route that counts its calls, and applies the token, the scripted trouble and the rate limit to each."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler of the route."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            fake: FakeCodegen = request.app.state.fake
            fake.count(self.name, request.path_params.get("agent_run_id"))
            caller = fake.authenticate(request.headers.get("authorization"))
            if caller is None:
                # Observed for a bad token: JSON of 41 bytes, the length of this text. For no token at all: not known.
                raise HTTPException(401, "Invalid authentication token")
            request.state.caller = caller

            async def effect() -> Response:
                fake.admit(caller, self.name)
                return await handle(request)

            trouble = fake.next_trouble(self.name)
            if trouble is None:
                return await effect()
            # Closing a socket with unread bytes resets it, which the caller would see as another error.
            await request.body()
            return await trouble.meet(request, wire_of(request), effect)

        return answer


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, UpstreamError)
    seconds = error.retry_after
    headers = {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}
    return JSONResponse(error.body.model_dump(), error.body.status_code, headers)


router = APIRouter(route_class=Operation)
undocumented = APIRouter(route_class=Operation, include_in_schema=False)
"""Operations that stand in no document, and that the upstream's command line calls. Their forms are guesses."""


# Dependencies of the operations. All are async: FastAPI would run any other in a thread.


async def _caller(request: Request, authorization: Annotated[Any, Header()] = None) -> Caller:  # noqa: ARG001
    """Return the caller. The header is a parameter because the upstream documents it for each operation."""
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(_caller)]


async def _organization(org_id: int, fake: Fake, caller: CurrentCaller) -> sample_data.Organization:
    return fake.organization(caller, org_id)


async def _undocumented_organization(request: Request, fake: Fake) -> sample_data.Organization:
    """Return the organization in the path, for an operation that documents neither `org_id` nor the header."""
    org_id = request.path_params["org_id"]
    return fake.organization(request.state.caller, int(org_id) if org_id.isdecimal() else 0)


Organization = Annotated[sample_data.Organization, Depends(_organization)]
UndocumentedOrganization = Annotated[sample_data.Organization, Depends(_undocumented_organization)]
Skip = Annotated[int, Query(ge=0)]
PageSize = Annotated[int, Query(ge=1, le=100)]


def _responses(*errors: type[BaseModel], **bare: str) -> dict[int | str, dict[str, Any]]:
    """Return the declared error answers: with a schema by its class, without one as `s404="description"`."""
    declared: dict[int | str, dict[str, Any]] = {
        error.model_fields["status_code"].default: {"model": error} for error in errors
    }
    declared |= {int(status[1:]): {"description": why} for status, why in bare.items()}
    return declared | {422: {"model": HTTPValidationError, "description": "Validation Error"}}


def _page(items: Sequence[Any], skip: int, limit: int) -> dict[str, Any]:
    return {"items": items[skip : skip + limit], "total": len(items), **page_numbers(len(items), skip, limit)}


LIMITED = APIRateLimitErrorResponse
FORBIDDEN = PermissionsErrorResponse
NO_RUN = AgentRunNotFoundErrorResponse


# Users and organizations


@router.get("/v1/organizations/{org_id}/users", responses=_responses(LIMITED, FORBIDDEN))
async def get_users(organization: Organization, skip: Skip = 0, limit: PageSize = 100) -> Page[UserResponse]:
    """List the members of an organization."""
    return Page[UserResponse](**_page(organization.members, skip, limit))


@router.get(
    "/v1/organizations/{org_id}/users/{user_id}", responses=_responses(LIMITED, FORBIDDEN, UserNotFoundErrorResponse)
)
async def get_user(organization: Organization, user_id: int, fake: Fake) -> UserResponse:
    """Get a member of an organization."""
    return fake.user(organization, user_id)


@router.get("/v1/users/me", responses=_responses(LIMITED, FORBIDDEN))
async def get_current_user_info(caller: CurrentCaller, fake: Fake) -> UserResponse:
    """Get the user that the token belongs to."""
    return fake.user(fake.organizations_of(caller)[0], caller.user_id)


@router.get("/v1/organizations", responses=_responses(LIMITED))
async def get_organizations(
    caller: CurrentCaller, fake: Fake, skip: Skip = 0, limit: PageSize = 100
) -> Page[OrganizationResponse]:
    """List the organizations that the caller is a member of."""
    items = [organization.response() for organization in fake.organizations_of(caller)]
    return Page[OrganizationResponse](**_page(items, skip, limit))


@router.get("/v1/organizations/{org_id}/repos", responses=_responses(LIMITED))
async def get_repositories(organization: Organization, skip: Skip = 0, limit: PageSize = 100) -> Page[RepoResponse]:
    """List the repositories of an organization."""
    return Page[RepoResponse](**_page(organization.repos, skip, limit))


@router.get("/v1/organizations/{org_id}/integrations", responses=_responses(LIMITED, FORBIDDEN))
async def get_organization_integrations_endpoint(organization: Organization) -> OrganizationIntegrationsResponse:
    """List the integrations of an organization."""
    return OrganizationIntegrationsResponse(
        organization_id=organization.id,
        organization_name=organization.name,
        integrations=organization.integrations,
        total_active_integrations=sum(integration.active for integration in organization.integrations),
    )


@router.get("/v1/organizations/{org_id}/models", responses=_responses(LIMITED, FORBIDDEN))
async def get_available_models(_: Organization, fake: Fake) -> ModelsResponse:
    """List the models that a run can use."""
    return fake.models


@router.get("/v1/organizations/{org_id}/cli/rules", responses=_responses(LIMITED, FORBIDDEN))
async def get_cli_rules(organization: Organization) -> CLIRulesResponse:
    """Get the rules that a command line tool follows."""
    return CLIRulesResponse(organization_rules=organization.rules, user_custom_prompt=None)


# Agent runs


@router.post(
    "/v1/organizations/{org_id}/agent/run",
    responses=_responses(LIMITED, AgentRunLimitReachedErrorResponse, FORBIDDEN, NoReposFoundInOrgErrorResponse),
)
async def create_agent_run(
    organization: Organization, body: CreateAgentRunInput, request: Request, caller: CurrentCaller, fake: Fake
) -> AgentRunResponse:
    """Start a run. The answer is always ACTIVE without a result, even for a run that ends at once."""
    try:
        run = fake.create(organization, caller, body, await request.json())
    except ValidationError as error:
        raise _bad_script(error) from None
    return _just_started(run)


@router.get("/v1/organizations/{org_id}/agent/run/{agent_run_id}", responses=_responses(LIMITED, FORBIDDEN, NO_RUN))
async def get_agent_run(organization: Organization, agent_run_id: int, fake: Fake) -> AgentRunResponse:
    """Get a run."""
    return fake.run(organization, agent_run_id).response(fake.clock.now())


@router.get("/v1/organizations/{org_id}/agent/runs", responses=_responses(LIMITED, FORBIDDEN))
async def list_agent_runs(
    organization: Organization,
    fake: Fake,
    user_id: int | None = None,
    source_type: ApiAgentRunSourceType | None = None,
    skip: Skip = 0,
    limit: PageSize = 100,
) -> Page[AgentRunResponse]:
    """List runs, newest first."""
    now = fake.clock.now()
    page = _page(fake.list_runs(organization, user_id, source_type), skip, limit)
    return Page[AgentRunResponse](**{**page, "items": [run.response(now) for run in page["items"]]})


@router.post("/v1/organizations/{org_id}/agent/run/resume", responses=_responses(LIMITED, FORBIDDEN, NO_RUN))
async def resume_agent_run(organization: Organization, body: ResumeAgentRunInput, fake: Fake) -> AgentRunResponse:
    """Send a follow-up to a run, which is ACTIVE again under the same id."""
    try:
        run = fake.resume(organization, body)
    except ValidationError as error:
        raise _bad_script(error) from None
    return _just_started(run)


# The upstream does not document the 200 bodies of these three operations.


@router.post(
    "/v1/organizations/{org_id}/agent/run/ban",
    responses=_responses(LIMITED, FORBIDDEN, NO_RUN),
    response_model=None,
)
async def ban_all_checks_for_agent_run(organization: Organization, body: StopAgentRunInput, fake: Fake) -> Any:
    """Mute the checks of a run's pull request and stop every run on it."""
    fake.ban(organization, body.agent_run_id)
    return {"message": "All checks are banned for this pull request.", "status_code": 200}


@router.post(
    "/v1/organizations/{org_id}/agent/run/unban",
    responses=_responses(LIMITED, FORBIDDEN, NO_RUN),
    response_model=None,
)
async def unban_all_checks_for_agent_run(organization: Organization, body: StopAgentRunInput, fake: Fake) -> Any:
    """Stop muting the checks of a run's pull request."""
    fake.unban(organization, body.agent_run_id)
    return {"message": "All checks are unbanned for this pull request.", "status_code": 200}


@router.post(
    "/v1/organizations/{org_id}/agent/run/remove-from-pr",
    responses=_responses(LIMITED, FORBIDDEN, NO_RUN),
    response_model=None,
)
async def remove_codegen_from_pr(organization: Organization, body: StopAgentRunInput, fake: Fake) -> Any:
    """Do the same as ban."""
    fake.ban(organization, body.agent_run_id)
    return {"message": "Codegen is removed from this pull request.", "status_code": 200}


@router.get(
    "/v1/alpha/organizations/{org_id}/agent/run/{agent_run_id}/logs", responses=_responses(LIMITED, FORBIDDEN, NO_RUN)
)
async def get_agent_run_logs(
    organization: Organization,
    agent_run_id: int,
    fake: Fake,
    skip: Skip = 0,
    limit: PageSize = 100,
    reverse: bool = False,
) -> AgentRunWithLogsResponse:
    """Get a run with a page of its logs."""
    run = fake.run(organization, agent_run_id)
    return run.response_with_logs(fake.clock.now(), skip=skip, limit=limit, reverse=reverse)


def _just_started(run: Run) -> AgentRunResponse:
    """Return a run as it was just before its new turn did anything."""
    return run.response(run.turns[-1].started_at - datetime.resolution)


def _bad_script(error: ValidationError) -> RequestValidationError:
    return RequestValidationError([{**fault, "loc": ("body", "fake", *fault["loc"])} for fault in error.errors()])


# Runs about a repository or a sandbox


@router.post(
    "/v1/organizations/{org_id}/setup-commands/generate",
    responses=_responses(s404="Repository not found", s400="Invalid input", s500="Internal server error"),
)
async def generate_setup_commands(
    organization: Organization, body: GenerateSetupCommandsInput, caller: CurrentCaller, fake: Fake
) -> SetupCommandsResponse:
    """Start a run that works out how a repository is set up."""
    repo = next((repo for repo in organization.repos if repo.id == body.repo_id), None)
    if repo is None:
        raise HTTPException(404, "Repository not found")
    run = fake.start(
        organization,
        body.prompt or f"Work out the setup commands of {repo.full_name}",
        user_id=caller.user_id,
        source_type=ApiAgentRunSourceType.SETUP_COMMANDS,
        repo_id=repo.id,
        result=answers.setup_commands(repo.full_name, repo.language),
    )
    return SetupCommandsResponse(agent_run_id=run.id, status="ACTIVE", url=run.web_url)


@router.post(
    "/v1/organizations/{org_id}/sandbox/{sandbox_id}/analyze-logs",
    responses=_responses(LIMITED, FORBIDDEN, s404="Sandbox not found", s400="No logs available for analysis"),
)
async def analyze_sandbox_logs(
    organization: Organization, sandbox_id: int, caller: CurrentCaller, fake: Fake
) -> AnalyzeLogsResponse:
    """Start a run that analyses a sandbox's setup logs."""
    has_logs = organization.sandboxes.get(sandbox_id)
    if has_logs is None:
        raise HTTPException(404, "Sandbox not found")
    if not has_logs:
        raise HTTPException(400, "No logs available for analysis")
    run = fake.start(
        organization,
        f"Analyse the setup logs of sandbox {sandbox_id}",
        user_id=caller.user_id,
        result=answers.sandbox_analysis(sandbox_id),
    )
    return AnalyzeLogsResponse(
        agent_run_id=run.id, status="ACTIVE", message="The analysis has started. Read the run for its result."
    )


# Pull requests and checks


@router.patch("/v1/organizations/{org_id}/prs/{pr_id}", responses=_responses(LIMITED))
async def edit_pull_request_simple(
    organization: Organization, pr_id: int, body: EditPRInput, fake: Fake
) -> EditPRResponse:
    """Change the state of a pull request."""
    return _edit(fake.pull_request(organization, pr_id), body)


@router.patch("/v1/organizations/{org_id}/repos/{repo_id}/prs/{pr_id}", responses=_responses(LIMITED))
async def edit_pull_request(
    organization: Organization, repo_id: int, pr_id: int, body: EditPRInput, fake: Fake
) -> EditPRResponse:
    """Change the state of a pull request of a repository."""
    pull_request = fake.pull_request(organization, pr_id)
    return _edit(pull_request if pull_request and pull_request.repo_id == repo_id else None, body)


def _edit(pull_request: PullRequest | None, body: EditPRInput) -> EditPRResponse:
    if pull_request is None:
        return EditPRResponse(success=False, error="Pull request not found.")
    pull_request.state = "open" if body.state == "ready_for_review" else body.state
    return EditPRResponse(
        success=True,
        url=pull_request.url,
        number=pull_request.number,
        title=pull_request.title,
        state=pull_request.state,
    )


@router.get("/v1/organizations/{org_id}/repos/check-suite-settings", responses=_responses())
async def get_check_suite_settings(organization: UndocumentedOrganization, repo_id: int) -> CheckSuiteSettingsResponse:
    """Get the check settings of a repository."""
    return organization.check_suite(repo_id)


@router.put("/v1/organizations/{org_id}/repos/check-suite-settings", responses=_responses())
async def update_check_suite_settings(
    organization: UndocumentedOrganization, repo_id: int, body: CheckSuiteSettingsRequest
) -> dict[str, Any]:
    """Change the check settings of a repository."""
    changes = body.model_dump(exclude_none=True)
    settings = organization.check_suite(repo_id).model_copy(update=changes)
    organization.check_suites[repo_id] = settings
    return settings.model_dump()


# Account connections and webhooks


@router.post("/v1/slack-connect/generate-token", responses=_responses())
async def generate_slack_connect_token_endpoint(
    body: GenerateTokenRequest, caller: CurrentCaller, fake: Fake
) -> GenerateTokenResponse:
    """Create a token that connects a Slack account."""
    organization = fake.organization(caller, body.org_id)
    token = f"fake-slack-token-{organization.id}-{caller.user_id}"
    return GenerateTokenResponse(
        token=token, message=f"Send this to the bot: Connect my account: {token}", expires_in_minutes=10
    )


@router.get("/v1/mcp-providers", responses=_responses())
async def get_mcp_providers(_: CurrentCaller) -> list[OAuthProviderResponse]:
    """List the OAuth providers of MCP servers."""
    return sample_data.mcp_providers()


# The upstream does not document the 200 bodies from here on, except that the status is a list of names.


@router.get("/v1/oauth/tokens/status", responses=_responses(), response_model=None)
async def get_oauth_token_status(organization: Organization) -> Any:
    """List the providers that the caller is connected to."""
    return organization.connected_providers


@router.post("/v1/oauth/tokens/revoke", responses=_responses(), response_model=None)
async def revoke_oauth_token(organization: Organization, provider: str) -> Any:
    """Disconnect a provider."""
    if provider in organization.connected_providers:
        organization.connected_providers.remove(provider)
    return {"success": True}


@router.get("/v1/organizations/{org_id}/webhooks/agent-run", responses=_responses())
async def get_webhook_config(organization: Organization) -> WebhookConfigResponse:
    """Get the webhook for finished runs."""
    return organization.webhook


@router.post("/v1/organizations/{org_id}/webhooks/agent-run", responses=_responses(), response_model=None)
async def set_webhook_config(organization: Organization, body: WebhookConfigRequest) -> Any:
    """Set the webhook for finished runs."""
    organization.webhook_secret = body.secret
    organization.webhook = WebhookConfigResponse(
        url=str(body.url), enabled=body.enabled, has_secret=body.secret is not None
    )
    return {"success": True}


@router.delete("/v1/organizations/{org_id}/webhooks/agent-run", responses=_responses(), response_model=None)
async def delete_webhook_config(organization: Organization) -> Any:
    """Delete the webhook for finished runs."""
    organization.webhook_secret = None
    organization.webhook = WebhookConfigResponse(url=None, enabled=False, has_secret=False)
    return {"success": True}


@router.post("/v1/organizations/{org_id}/webhooks/agent-run/test", responses=_responses(), response_model=None)
async def test_webhook(organization: Organization, body: WebhookTestRequest, fake: Fake) -> Any:
    """Send a test to a URL, signed as the organization's webhook is."""
    payload: dict[str, object] = {"event_type": "test", "organization_id": organization.id}
    with fake.lock:
        fake.webhooks.tests.append(webhook_call(str(body.url), organization.webhook_secret, payload))
    return {"success": True, "url": str(body.url)}


@undocumented.post("/v1/organizations/{org_id}/claude_code/session")
async def create_claude_code_session(
    organization: Organization, request: Request, caller: CurrentCaller, fake: Fake
) -> Any:
    """Record a session of an agent on the caller's own machine as a run."""
    session_id = (await request.json()).get("session_id")
    run = fake.start(
        organization,
        f"Session {session_id}",
        user_id=caller.user_id,
        source_type=ApiAgentRunSourceType.LOCAL,
        agent_type="claude_code",
    )
    return {"agent_run_id": run.id, "session_id": session_id}


@undocumented.post("/v1/organizations/{org_id}/claude_code/session/{session_id}/{part}")
async def update_claude_code_session(organization: Organization, session_id: str, part: str) -> Any:  # noqa: ARG001
    """Accept the status or a log entry of a session. The fake does not store it."""
    if part not in ("status", "log"):
        raise HTTPException(404, "Not Found")
    return {"success": True, "session_id": session_id}


@undocumented.get("/v1/organizations/{org_id}/tools")
async def list_tools(organization: Organization) -> Any:  # noqa: ARG001
    """List the tools of an organization."""
    return {"tools": [{"name": "echo", "description": "Return the arguments."}]}


@undocumented.post("/v1/organizations/{org_id}/tools/execute")
async def execute_tool(organization: Organization, request: Request) -> Any:  # noqa: ARG001
    """Execute a tool. The only one returns its arguments."""
    body = await request.json()
    return {"tool_name": body.get("tool_name"), "result": body.get("arguments")}


@undocumented.get("/v1/organizations/{org_id}/repositories")
async def list_repositories(organization: Organization) -> Any:
    """List the repositories of an organization, in another form than the documented operation."""
    return {"repositories": [{"id": repo.id, "name": repo.name} for repo in organization.repos]}
