"""A stack behind a proxy: only requests to the Codegen API pass through it."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen_api import CodegenAPI
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, serve
from local.stack import Codegen, Stack
from tests.support.proxy import proxy


@pytest.mark.full
def test_only_requests_to_the_codegen_api_pass_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codegen = Codegen("http://codegen.test", DEMO_ORG_ID, DEMO_TOKEN)
    with proxy() as passing, serve(FakeCodegen(pace=0, limits={})) as fake:
        passing.hosts["codegen.test"] = fake
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, passing.url)
            monkeypatch.setenv(name.lower(), passing.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "elsewhere.test")
        with (
            Stack(codegen=codegen, log_dir=tmp_path) as stack,
            CodegenAPI(DEMO_ORG_ID, DEMO_TOKEN, stack.api_url, timeout=35) as api,
        ):
            assert api.users.get_current_user().id == 789
            task = api.run_task("Explain it.")
            assert [event.type for event in task.stream()][-1] == "run.completed"

    targets = {request.split()[1].partition("?")[0] for request in passing.requests}
    assert {target.partition("/v1/")[0] for target in targets} == {"http://codegen.test"}
    assert "POST http://codegen.test/v1/organizations/123/agent/run" in passing.requests
