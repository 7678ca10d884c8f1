"""The pages of the documentation."""

import json
import re
from pathlib import Path

import pytest

from local import openapi
from tests.support.backend import template
from tests.support.events import Answer, call, rest
from tests.support.handlers import handler


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in template().functions["ServeDocs"].environment.items():
        monkeypatch.setenv(name, value)


def get(path: str) -> Answer:
    return call(handler("docs/serve"), rest("GET", path, caller=None))


def test_the_document_is_served_unchanged() -> None:
    answer = get("/openapi.json")

    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == json.loads(openapi.DOCUMENT.read_text("utf-8"))


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_may_load_only_what_it_needs(path: str) -> None:
    answer = get(path)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None
    assert "unsafe" not in scripts[1]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert '<a href="openapi.json">' in answer.text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_loads_its_assets_at_any_stage(path: str) -> None:
    parts = re.findall(r'(?:href|src)="([^"]*asset=[^"]*)"', get(path).text)

    assert len(parts) == 3
    for part in parts:
        assert not part.startswith(("/", "http"))
        assert get(f"/{part}").status == 200


@pytest.mark.parametrize(
    ("asset", "content_type", "content"),
    [
        ("swagger-ui-bundle.min.js", "text/javascript", "SwaggerUIBundle"),
        ("swagger-ui.min.css", "text/css", ".swagger-ui"),
        ("swagger.js", "text/javascript", 'url: "openapi.json"'),
        ("reader.js", "text/javascript", 'url: "openapi.json"'),
    ],
)
def test_an_asset_is_served_with_its_content_type(asset: str, content_type: str, content: str) -> None:
    answer = get(f"/docs?asset={asset}")

    assert answer.headers["content-type"].startswith(content_type)
    assert content in answer.text
    assert "max-age" in answer.headers["cache-control"]


@pytest.mark.parametrize("asset", ["", "serve.py", "../health/get.py", "/etc/passwd", "swagger.html"])
def test_an_unknown_asset_is_not_served(asset: str) -> None:
    answer = get(f"/docs?asset={asset}")

    assert answer.status == 404
    assert answer.json["code"] == "not_found"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_loads_nothing_from_another_host(path: str) -> None:
    answer = get(path)

    assert "//" not in answer.text
    assert "//" not in answer.headers["content-security-policy"]
    assert re.findall(r'<script src="([^"?]*)', answer.text) == ["docs", "docs"]


def test_a_token_is_stored_until_the_tab_closes_and_only_by_the_page_that_sends_requests() -> None:
    sender, reader = get("/docs?asset=swagger.js").text, get("/docs?asset=reader.js").text

    assert "sessionStorage.setItem" in sender
    assert "persistAuthorization: false" in sender
    assert "localStorage." not in sender
    assert "Storage" not in reader
    assert "supportedSubmitMethods: []" in reader


def test_the_function_contains_every_file_that_it_serves() -> None:
    folder = Path(template().functions["ServeDocs"].code_dir)

    for name in ("openapi.json", "reader.html", "reader.js", "swagger.html", "swagger.js"):
        assert (folder / name).is_file()
        assert not (folder / name).is_symlink()
