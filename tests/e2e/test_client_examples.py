"""The unchanged examples in `client_examples.md` work against a running stack.

The test replaces the host (with `CODEGEN_BASE_URL`, as the examples describe), tokens and ids, shortens `time.sleep`,
and provides `codegen_api` as the module `api` that the examples import. For the asynchronous client it only adds
`async` and `await`.
"""

import ast
import asyncio
import inspect
import json
import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import codegen_api
from codegen_api import AgentType, AsyncCodegenAPI, CodegenAPI, TaskStatus
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

Namespace = dict[str, Any]

TEXT = (Path(__file__).parent / "client_examples.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"(?ms)^## ([^\n]+)\n\n```python\n(.*?)^```", TEXT))

QUICK = 0.2


def _completed(namespace: Namespace, output: str) -> None:
    assert output.startswith("Task completed: ")
    assert namespace["task"].is_successful()


def _tasks(namespace: Namespace, output: str) -> None:
    assert output.splitlines()[1:] == ["Is complete: False", "Is successful: False"]
    assert namespace["task"].status is TaskStatus.COMPLETED, "cancel() has no effect on a task that has ended"


def _agents(namespace: Namespace, output: str) -> None:
    assert namespace["agent"].id not in {agent.id for agent in namespace["agents"]}, (
        "the example lists the agents before it creates one"
    )
    assert namespace["agent"].type is AgentType.CODE_REVIEW
    assert namespace["task"].metadata["agent_id"] == namespace["agent"].id
    updated = namespace["updated_agent"]
    assert (updated.version, updated.description, updated.configuration) == (
        2,
        "Updated description",
        {"max_files": 100},
    )


def _organizations(namespace: Namespace, output: str) -> None:
    assert output.splitlines()[0].startswith("Organization: ")
    assert output.splitlines()[0].endswith("(3 members)")
    assert output.splitlines()[1:] == [
        f"{member.name} ({member.email}) - {member.role}" for member in namespace["members"]
    ]
    assert namespace["usage"].runs.total == 0


def _users(namespace: Namespace, output: str) -> None:
    assert output == "User: ada@example.com - Role: ADMIN\n"
    assert len(namespace["users"]) == 3
    assert namespace["token_info"].token
    assert namespace["token_info"].id in {token.id for token in namespace["tokens"]}


def _monitored(namespace: Namespace, output: str) -> None:
    task = namespace["completed_task"]
    assert task.is_successful()
    assert output.splitlines()[0] == f"Task {task.id}: running"


def _batch(namespace: Namespace, output: str) -> None:
    assert sorted(output.splitlines()) == sorted(
        f"Task {task.id} completed: completed" for task in namespace["batch_results"]
    )
    assert len(output.splitlines()) == 3


def _healthy(namespace: Namespace, output: str) -> None:
    assert "API is healthy" in output
    assert f"User: 789\nOrganization: {DEMO_ORG_ID}\nProceeding" in output


def _convenient(namespace: Namespace, output: str) -> None:
    assert namespace["client"].__class__.__name__.endswith("CodegenAPI")
    assert namespace["task"].id


def _runs(namespace: Namespace, output: str) -> None:
    assert namespace["api"].metrics.errors == 0


def _ends_with(output: str, line: str) -> None:
    assert output.splitlines()[-1] == line


def _quiet(namespace: Namespace, output: str) -> None:
    assert output == ""


CHECKS: dict[str, Callable[[Namespace, str], None]] = {
    "Quick Start": _completed,
    "Environment Variables": _runs,
    "Context Manager": lambda namespace, output: _completed(namespace, f"Task completed: {output}"),
    "Tasks": _tasks,
    "Agents": _agents,
    "Organizations": _organizations,
    "Users": _users,
    "Task Monitoring with Custom Polling": _monitored,
    "Batch Task Processing": _batch,
    "Error Handling": _quiet,
    "Health Monitoring": _healthy,
    "Convenience Functions": _convenient,
    "Task Status": _quiet,
    "Agent Types": _quiet,
    "1. Use Context Managers": _quiet,
    "2. Handle Rate Limits": _quiet,
    "3. Monitor Long-Running Tasks": lambda namespace, output: _ends_with(output, "Task completed successfully"),
    "4. Secure Token Management": _runs,
    "Debug Mode": _runs,
}

# Calls of what an example defines but does not call.
CALLS = {
    "Task Monitoring with Custom Polling": "completed_task = monitor_task_with_callback(task, progress_callback)",
    "2. Handle Rate Limits": "assert run_task_with_retry(api, 'Review it').id",
    "3. Monitor Long-Running Tasks": "assert run_task_with_monitoring(api, 'Review it')",
    "4. Secure Token Management": "assert api.get_task(api.run_task('Review it').id).prompt == 'Review it'",
    "Environment Variables": "api.users.get_current_user()",
    "Debug Mode": "api.users.get_current_user()",
}


class _Awaiting(ast.NodeTransformer):
    """Adds `await` to the calls of an asynchronous client, and `async` to the functions and blocks around them."""

    def __init__(self) -> None:
        made_with = AsyncCodegenAPI(1, "not-a-token")
        parts = [made_with, made_with.agents, made_with.users, made_with.organizations, codegen_api.AsyncTask]
        self.names = {
            name for part in parts for name, method in inspect.getmembers(part) if inspect.iscoroutinefunction(method)
        } - {"get"}  # in the examples, a method of dictionaries

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        if not any(isinstance(inner, ast.Await) for inner in ast.walk(node)):
            return node
        self.names.add(node.name)
        return ast.copy_location(ast.AsyncFunctionDef(**{name: getattr(node, name) for name in node._fields}), node)

    def visit_With(self, node: ast.With) -> ast.AST:
        self.generic_visit(node)
        if "CodegenAPI" not in ast.unparse(node.items[0]):
            return node
        return ast.copy_location(ast.AsyncWith(items=node.items, body=node.body, type_comment=None), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        return ast.copy_location(ast.Await(node), node) if name in self.names else node


@pytest.fixture(params=["blocking", pytest.param("asynchronous", marks=pytest.mark.full)])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "asynchronous")


@pytest.fixture
def module(asynchronous: bool, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the examples import as `api`."""
    module = ModuleType("api")
    vars(module).update({name: getattr(codegen_api, name) for name in codegen_api.__all__})

    async def doze(seconds: float) -> None:
        await asyncio.sleep(min(seconds, QUICK))

    names: Namespace = {"CodegenAPI": partial(CodegenAPI, sleep=nap)}
    if asynchronous:
        names = {
            "CodegenAPI": partial(AsyncCodegenAPI, sleep=doze),
            "create_client": codegen_api.create_async_client,
            "run_task": codegen_api.run_task_async,
        }
    vars(module).update(names)
    monkeypatch.setitem(sys.modules, "api", module)
    return module


def nap(seconds: float) -> None:
    time.sleep(min(seconds, QUICK))


@pytest.fixture(autouse=True)
def _settings(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The settings for the examples."""
    for name in ("CODEGEN_API_TOKEN", "CODEGEN_TIMEOUT", "CODEGEN_MAX_RETRIES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CODEGEN_ORG_ID", str(DEMO_ORG_ID))
    monkeypatch.setenv("CODEGEN_TOKEN", DEMO_TOKEN)
    monkeypatch.setenv("CODEGEN_BASE_URL", f"{stack.api_url}/v1")


def substituted(source: str) -> str:
    source = re.sub(r'\borg_id="[a-z_]+"', f'org_id="{DEMO_ORG_ID}"', source)
    source = re.sub(r'\btoken="[a-z_]+"', f'token="{DEMO_TOKEN}"', source)
    if "token_123" in source:
        with CodegenAPI() as api:
            source = source.replace("token_123", api.users.create_api_token("to be revoked").id)
    return source.replace("user_123", "791")


def test_every_example_has_a_check() -> None:
    assert EXAMPLES.keys() == CHECKS.keys()
    assert len(EXAMPLES) == TEXT.count("```python")


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_works_as_described(
    title: str,
    asynchronous: bool,
    module: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tree = ast.parse(substituted(EXAMPLES[title]) + CALLS.get(title, ""), f"<{title}>")
    known = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    namespace = known | {
        "api": module.CodegenAPI(),
        "datetime": datetime,
        "timedelta": timedelta,
        "time": SimpleNamespace(time=time.time, sleep=nap),
        "__name__": "example",
    }
    given = namespace["api"]
    if asynchronous:
        tree = ast.fix_missing_locations(_Awaiting().visit(tree))
        code = compile(tree, f"<{title}>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        asyncio.run(_await(code, namespace, given))
    else:
        exec(compile(tree, f"<{title}>", "exec"), namespace)
        for client in (given, *namespace.values()):
            if isinstance(client, CodegenAPI):
                client.close()

    CHECKS[title](namespace, capsys.readouterr().out)


async def _await(code: Any, namespace: Namespace, given: AsyncCodegenAPI) -> None:
    done = eval(code, namespace)
    if inspect.isawaitable(done):
        await done
    for client in (given, *namespace.values()):
        if isinstance(client, AsyncCodegenAPI):
            await client.close()


def test_the_configuration_file_of_the_example_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CODEGEN_ORG_ID", "CODEGEN_TOKEN"):
        monkeypatch.delenv(name)
    file = tmp_path / ".codegen" / "config.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"org_id": DEMO_ORG_ID, "token": DEMO_TOKEN}))
    file.chmod(0o600)

    with CodegenAPI() as api:
        assert api.users.get_current_user().id == 789


def test_the_debug_log_has_each_call_and_no_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with CodegenAPI() as api:
        api.users.get_current_user()

    assert any("GET /v1/users/me -> 200" in record.getMessage() for record in caplog.records)
    assert DEMO_TOKEN not in caplog.text
