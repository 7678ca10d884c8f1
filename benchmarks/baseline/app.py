"""The same backend in its simplest form: a FastAPI app with all endpoints, in one Lambda function.

The functions of template.yaml are measured against it. It is written as well as this design allows: one shared
connection pool, typed requests and answers, Codegen's errors passed on, and boto3 loaded only by the endpoints of
starred runs. Multi-runs are tasks of the event loop that read each candidate's status every two seconds. They need a
process that keeps running (`uvicorn benchmarks.baseline.app:app`), which a Lambda function does not.
"""

# ruff: noqa: D101 - the fields of the models describe them

import asyncio
import json
import logging
import os
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import httpx
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, Field

logger = logging.getLogger("baseline")

BASE_URL = os.environ.get("CODEGEN_BASE_URL", "https://api.codegen.com").rstrip("/").removesuffix("/v1")
POLL_SECONDS = 2.0

T = TypeVar("T")


# Answers


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class User(Answer):
    id: int
    email: str | None = None
    github_user_id: str
    github_username: str
    avatar_url: str | None = None
    full_name: str | None = None
    role: str | None = None
    is_admin: bool | None = None


class OrganizationSettings(Answer):
    enable_pr_creation: bool = True
    enable_rules_detection: bool = True


class Organization(Answer):
    id: int
    name: str
    settings: OrganizationSettings


class Repo(Answer):
    id: int
    name: str
    full_name: str
    description: str | None
    github_id: str
    organization_id: int
    visibility: str | None
    archived: bool | None
    setup_status: str
    language: str | None


class PullRequest(Answer):
    id: int
    title: str | None = None
    url: str | None = None
    created_at: str
    head_branch_name: str | None = None


class AgentRun(Answer):
    id: int
    organization_id: int
    status: str | None = None
    created_at: str | None = None
    web_url: str | None = None
    result: str | None = None
    summary: str | None = None
    source_type: str | None = None
    github_pull_requests: list[PullRequest] | None = None
    metadata: dict[str, Any] | None = None


class AgentRunLog(Answer):
    agent_run_id: int
    created_at: str | None = None
    tool_name: str | None = None
    message_type: str | None = None
    thought: str | None = None
    observation: dict[str, Any] | str | None = None
    tool_input: dict[str, Any] | None = None
    tool_output: dict[str, Any] | str | None = None


class AgentRunLogs(Answer):
    id: int
    organization_id: int
    status: str | None = None
    created_at: str | None = None
    web_url: str | None = None
    result: str | None = None
    metadata: dict[str, Any] | None = None
    logs: list[AgentRunLog]
    total_logs: int | None = None
    page: int | None = None
    size: int | None = None
    pages: int | None = None


class Integration(Answer):
    integration_type: str
    active: bool
    token_id: int | str | None = None
    installation_id: int | str | None = None
    metadata: dict[str, Any] | None = None


class Integrations(Answer):
    organization_id: int
    organization_name: str
    integrations: list[Integration]
    total_active_integrations: int


class Model(Answer):
    label: str
    value: str


class Provider(Answer):
    name: str
    models: list[Model]


class Models(Answer):
    providers: list[Provider]
    default_model: str | None = None


class StartedRun(Answer):
    agent_run_id: int
    status: str


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int
    page: int
    size: int
    pages: int


class StarredRun(BaseModel):
    agent_run_id: int
    organization_id: int
    starred_at: datetime
    note: str | None = None


class Candidate(BaseModel):
    agent_run_id: int
    status: str | None
    result: str | None = None


class MultiRun(BaseModel):
    id: str
    org_id: int
    prompt: str
    status: str = "running"
    candidates: list[Candidate] = Field(default_factory=list)
    synthesis: Candidate | None = None
    result: str | None = None


# Requests


class AgentRunRequest(BaseModel):
    prompt: str
    repo_id: int | None = None
    model: str | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    images: list[str] | None = None
    metadata: dict[str, Any] | None = None
    agent_type: str | None = None


class ResumeRequest(BaseModel):
    agent_run_id: int
    prompt: str
    images: list[str] | None = None
    model: str | None = None


class StopRequest(BaseModel):
    agent_run_id: int
    before_card_order_id: str | None = None
    after_card_order_id: str | None = None


class SetupCommandsRequest(BaseModel):
    repo_id: int
    prompt: str | None = None
    trigger_source: str = "setup-commands"


class StarredRunRequest(BaseModel):
    agent_run_id: int
    note: str | None = None


class MultiRunRequest(BaseModel):
    prompt: str
    concurrency: int = Field(3, ge=1, le=20)
    repo_id: int | None = None
    model: str | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    synthesis_temperature: float | None = Field(None, ge=0, le=2)


# The Codegen API

http = httpx.AsyncClient(base_url=BASE_URL, timeout=30)


class Codegen:
    """A client of the Codegen API with one token."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **params: Any) -> Any:
        """Send a GET request."""
        return await self._request("GET", path, params={k: v for k, v in params.items() if v is not None})

    async def post(self, path: str, body: BaseModel | dict[str, Any] | None = None) -> Any:
        """Send a POST request."""
        if isinstance(body, BaseModel):
            body = body.model_dump(exclude_none=True)
        return await self._request("POST", path, json=body)

    async def _request(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = await http.request(method, f"/v1{path}", headers=self._headers, **arguments)
        except httpx.TimeoutException:
            logger.exception("%s %s", method, path)
            raise HTTPException(504, "The Codegen API did not answer in time.") from None
        except httpx.HTTPError:
            logger.exception("%s %s", method, path)
            raise HTTPException(502, "Could not reach the Codegen API.") from None
        if response.is_error:
            logger.error("%s %s: %s", method, path, response.status_code)
            raise HTTPException(response.status_code, _reason(response))
        return response.json()


def _reason(response: httpx.Response) -> Any:
    try:
        body = response.json()
    except ValueError:
        return response.text
    return body.get("message") or body.get("detail") or body


def get_api_key(authorization: Annotated[str | None, Header()] = None, api_key: str | None = None) -> str:
    """Return the caller's token, from the header or from the query."""
    token = (authorization or "").removeprefix("Bearer ") or api_key
    if not token:
        raise HTTPException(401, "An API key is required.")
    return token


def get_client(api_key: Annotated[str, Depends(get_api_key)]) -> Codegen:
    """Return a client that acts as the caller."""
    return Codegen(api_key)


Client = Annotated[Codegen, Depends(get_client)]
Skip = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=100)]

app = FastAPI(title="Codegen backend")
app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"])


# Users and organizations


@app.get("/v1/organizations/{org_id}/users")
async def get_users(org_id: int, codegen: Client, skip: Skip = 0, limit: Limit = 100) -> Page[User]:
    return await codegen.get(f"/organizations/{org_id}/users", skip=skip, limit=limit)


@app.get("/v1/organizations/{org_id}/users/{user_id}")
async def get_user(org_id: int, user_id: int, codegen: Client) -> User:
    return await codegen.get(f"/organizations/{org_id}/users/{user_id}")


@app.get("/v1/users/me")
async def get_current_user(codegen: Client) -> User:
    return await codegen.get("/users/me")


@app.get("/v1/organizations")
async def get_organizations(codegen: Client, skip: Skip = 0, limit: Limit = 100) -> Page[Organization]:
    return await codegen.get("/organizations", skip=skip, limit=limit)


@app.get("/v1/organizations/{org_id}/repos")
async def get_repos(org_id: int, codegen: Client, skip: Skip = 0, limit: Limit = 100) -> Page[Repo]:
    return await codegen.get(f"/organizations/{org_id}/repos", skip=skip, limit=limit)


@app.get("/v1/organizations/{org_id}/integrations")
async def get_integrations(org_id: int, codegen: Client) -> Integrations:
    return await codegen.get(f"/organizations/{org_id}/integrations")


@app.get("/v1/organizations/{org_id}/models")
async def get_models(org_id: int, codegen: Client) -> Models:
    return await codegen.get(f"/organizations/{org_id}/models")


# Agent runs


@app.post("/v1/organizations/{org_id}/agent/run")
async def create_agent_run(org_id: int, request: AgentRunRequest, codegen: Client) -> AgentRun:
    return await codegen.post(f"/organizations/{org_id}/agent/run", request)


@app.get("/v1/organizations/{org_id}/agent/run/{agent_run_id}")
async def get_agent_run(org_id: int, agent_run_id: int, codegen: Client) -> AgentRun:
    return await codegen.get(f"/organizations/{org_id}/agent/run/{agent_run_id}")


@app.get("/v1/organizations/{org_id}/agent/runs")
async def list_agent_runs(
    org_id: int,
    codegen: Client,
    user_id: int | None = None,
    source_type: str | None = None,
    skip: Skip = 0,
    limit: Limit = 100,
) -> Page[AgentRun]:
    return await codegen.get(
        f"/organizations/{org_id}/agent/runs", user_id=user_id, source_type=source_type, skip=skip, limit=limit
    )


@app.post("/v1/organizations/{org_id}/agent/run/resume")
async def resume_agent_run(org_id: int, request: ResumeRequest, codegen: Client) -> AgentRun:
    return await codegen.post(f"/organizations/{org_id}/agent/run/resume", request)


@app.post("/v1/organizations/{org_id}/agent/run/ban")
async def ban_all_checks(org_id: int, request: StopRequest, codegen: Client) -> Any:
    return await codegen.post(f"/organizations/{org_id}/agent/run/ban", request)


@app.post("/v1/organizations/{org_id}/agent/run/unban")
async def unban_all_checks(org_id: int, request: StopRequest, codegen: Client) -> Any:
    return await codegen.post(f"/organizations/{org_id}/agent/run/unban", request)


@app.post("/v1/organizations/{org_id}/agent/run/remove-from-pr")
async def remove_from_pr(org_id: int, request: StopRequest, codegen: Client) -> Any:
    return await codegen.post(f"/organizations/{org_id}/agent/run/remove-from-pr", request)


@app.get("/v1/alpha/organizations/{org_id}/agent/run/{agent_run_id}/logs")
async def get_agent_run_logs(
    org_id: int, agent_run_id: int, codegen: Client, skip: Skip = 0, limit: Limit = 100, reverse: bool = False
) -> AgentRunLogs:
    path = f"/alpha/organizations/{org_id}/agent/run/{agent_run_id}/logs"
    return await codegen.get(path, skip=skip, limit=limit, reverse=reverse)


@app.get("/v1/organizations/{org_id}/agent/run/{agent_run_id}/logs/stream")
async def stream_agent_run_logs(
    org_id: int, agent_run_id: int, codegen: Client, poll_interval: Annotated[float, Query(ge=0.5)] = POLL_SECONDS
) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        skip = 0
        while True:
            path = f"/alpha/organizations/{org_id}/agent/run/{agent_run_id}/logs"
            page = await codegen.get(path, skip=skip, limit=100)
            for log in page["logs"]:
                yield f"data: {json.dumps(log)}\n\n"
            skip += len(page["logs"])
            if not page["logs"] and not _at_work(page["status"]):
                return
            await asyncio.sleep(0 if page["logs"] else poll_interval)

    return StreamingResponse(events(), media_type="text/event-stream")


# Runs about a repository or a sandbox


@app.post("/v1/organizations/{org_id}/setup-commands/generate")
async def generate_setup_commands(org_id: int, request: SetupCommandsRequest, codegen: Client) -> StartedRun:
    return await codegen.post(f"/organizations/{org_id}/setup-commands/generate", request)


@app.post("/v1/organizations/{org_id}/sandbox/{sandbox_id}/analyze-logs")
async def analyze_sandbox_logs(org_id: int, sandbox_id: int, codegen: Client) -> StartedRun:
    return await codegen.post(f"/organizations/{org_id}/sandbox/{sandbox_id}/analyze-logs")


# Starred runs

STARRED_RUNS = os.environ.get("STARRED_RUNS_TABLE", "")


@cache
def dynamodb() -> Any:
    import boto3

    return boto3.client("dynamodb")


@app.get("/v1/organizations/{org_id}/starred-runs")
def get_starred_runs(org_id: int, _: Client) -> list[StarredRun]:
    answer = dynamodb().query(
        TableName=STARRED_RUNS,
        KeyConditionExpression="organization_id = :org_id",
        ExpressionAttributeValues={":org_id": {"N": str(org_id)}},
        ConsistentRead=True,
    )
    starred = [_starred(item) for item in answer["Items"]]
    return sorted(starred, key=lambda starred: starred.starred_at, reverse=True)


@app.post("/v1/organizations/{org_id}/starred-runs")
async def star_run(org_id: int, request: StarredRunRequest, codegen: Client) -> StarredRun:
    run = await codegen.get(f"/organizations/{org_id}/agent/run/{request.agent_run_id}")
    answer = await run_in_threadpool(
        dynamodb().update_item,
        TableName=STARRED_RUNS,
        Key=_key(org_id, run["id"]),
        UpdateExpression="SET starred_at = if_not_exists(starred_at, :now), note = :note",
        ExpressionAttributeValues={":now": {"S": datetime.now(UTC).isoformat()}, ":note": {"S": request.note or ""}},
        ReturnValues="ALL_NEW",
    )
    return _starred(answer["Attributes"])


@app.delete("/v1/organizations/{org_id}/starred-runs/{agent_run_id}", status_code=204)
def unstar_run(org_id: int, agent_run_id: int, _: Client) -> None:
    dynamodb().delete_item(TableName=STARRED_RUNS, Key=_key(org_id, agent_run_id))


def _key(org_id: int, agent_run_id: int) -> dict[str, Any]:
    return {"organization_id": {"N": str(org_id)}, "agent_run_id": {"N": str(agent_run_id)}}


def _starred(item: dict[str, Any]) -> StarredRun:
    return StarredRun(
        agent_run_id=int(item["agent_run_id"]["N"]),
        organization_id=int(item["organization_id"]["N"]),
        starred_at=datetime.fromisoformat(item["starred_at"]["S"]),
        note=item["note"]["S"] or None,
    )


# Multi-runs

multi_runs: dict[str, MultiRun] = {}
_tasks: set[asyncio.Task[None]] = set()


@app.post("/v1/organizations/{org_id}/multi-runs")
async def create_multi_run(org_id: int, request: MultiRunRequest, codegen: Client) -> MultiRun:
    multi_run = MultiRun(id=uuid.uuid4().hex, org_id=org_id, prompt=request.prompt)
    multi_runs[multi_run.id] = multi_run
    task = asyncio.create_task(_work(multi_run, request, codegen))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return multi_run


@app.get("/v1/organizations/{org_id}/multi-runs")
async def list_multi_runs(org_id: int, _: Client) -> list[MultiRun]:
    return [multi_run for multi_run in multi_runs.values() if multi_run.org_id == org_id]


@app.get("/v1/organizations/{org_id}/multi-runs/{multi_run_id}")
async def get_multi_run(org_id: int, multi_run_id: str, _: Client) -> MultiRun:
    multi_run = multi_runs.get(multi_run_id)
    if multi_run is None or multi_run.org_id != org_id:
        raise HTTPException(404, "There is no such multi-run.")
    return multi_run


async def _work(multi_run: MultiRun, request: MultiRunRequest, codegen: Codegen) -> None:
    body = request.model_dump(include={"prompt", "repo_id", "model"}, exclude_none=True)
    try:
        path = f"/organizations/{multi_run.org_id}/agent/run"
        runs = await asyncio.gather(*(codegen.post(path, body) for _ in range(request.concurrency)))
        multi_run.candidates = [Candidate(agent_run_id=run["id"], status=run["status"]) for run in runs]
        await asyncio.gather(*(_follow(candidate, multi_run.org_id, codegen) for candidate in multi_run.candidates))
        answers = [candidate.result for candidate in multi_run.candidates if candidate.result]
        run = await codegen.post(path, body | {"prompt": _synthesis_prompt(request.prompt, answers)})
        multi_run.synthesis = Candidate(agent_run_id=run["id"], status=run["status"])
        await _follow(multi_run.synthesis, multi_run.org_id, codegen)
        multi_run.result, multi_run.status = multi_run.synthesis.result, "completed"
    except Exception:
        logger.exception("multi-run %s", multi_run.id)
        multi_run.status = "failed"


async def _follow(candidate: Candidate, org_id: int, codegen: Codegen) -> None:
    while _at_work(candidate.status):
        await asyncio.sleep(POLL_SECONDS)
        run = await codegen.get(f"/organizations/{org_id}/agent/run/{candidate.agent_run_id}")
        candidate.status, candidate.result = run["status"], run["result"]


def _at_work(status: str | None) -> bool:
    return status in ("ACTIVE", "PENDING", "RUNNING", "EVALUATION")


def _synthesis_prompt(prompt: str, answers: list[str]) -> str:
    candidates = "\n\n".join(f"### Candidate {number}\n{answer}" for number, answer in enumerate(answers, 1))
    return f"Several agents answered the same task. Join their answers into one.\n\nTask: {prompt}\n\n{candidates}"


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "healthy"}


handler = Mangum(app, lifespan="off")
