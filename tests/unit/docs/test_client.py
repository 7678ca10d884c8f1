"""The examples of docs/client.md run unchanged."""

import re
from pathlib import Path
from typing import Any

import pytest

import codegen_api
from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN, FakeCodegen, serve
from tests.support.sources import ROOT

TEXT = (ROOT / "docs" / "client.md").read_text("utf-8")
EXAMPLES = re.findall(r"(?ms)^```python\n(.*?)^```", TEXT)


@pytest.mark.parametrize("source", EXAMPLES)
def test_an_example_runs(
    source: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with (
        serve(FakeCodegen(pace=0)) as url,
        codegen_api.CodegenAPI(DEMO_ORG_ID, DEMO_TOKEN, url, sleep=lambda _seconds: None) as api,
    ):
        namespace: dict[str, Any] = {"api": api, "prompts": ["One.", "Two."], "task": api.run_task("Do it.")}
        exec(source.replace("http://127.0.0.1:3000", url), namespace)

    output = capsys.readouterr().out
    assert "complete" in output.lower()


def test_every_error_that_is_named_is_exported() -> None:
    names = set(re.findall(r"`(\w+Error)`", TEXT)) - {"TimeoutError"}

    assert names
    for name in names:
        assert issubclass(getattr(codegen_api, name), codegen_api.CodegenAPIError)
