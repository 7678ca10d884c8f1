"""The pages of the documentation."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from codegen_runs.http.etags import tag_of
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


def assets(path: str) -> list[str]:
    """Return the addresses of the assets of a page."""
    return [unescape(address) for address in re.findall(r'(?:href|src)="([^"]*asset=[^"]*)"', get(path).text)]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_page_loads_its_assets_at_any_stage(path: str) -> None:
    addresses = assets(path)

    assert len(addresses) == 3
    for address in addresses:
        assert not address.startswith(("/", "http"))
        assert get(f"/{address}").status == 200


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_a_deployment_shows_at_once(path: str) -> None:
    assert get(path).headers["cache-control"] == "no-cache"
    for address in assets(path):
        assert get(f"/{address}").headers["cache-control"] == "public, max-age=31536000, immutable"
        # The address of another version: what it returns must not be kept for that version.
        assert get(f"/{address}0").headers["cache-control"] == "no-cache"


def test_the_address_of_an_asset_names_its_content() -> None:
    for address in assets("/docs") + assets("/redoc"):
        assert address.endswith(f"&version={tag_of(get(f'/{address}').text)[1:-1]}")


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


@pytest.mark.parametrize("asset", ["", "serve.py", "../health/get.py", "/etc/passwd", "page.html"])
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

    for name in ("openapi.json", "page.html", "reader.js", "swagger.js"):
        assert (folder / name).is_file()
        assert not (folder / name).is_symlink()
