"""The way to the console, and its files."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.support.backend import template
from tests.support.events import Answer, call, rest
from tests.support.handlers import FUNCTIONS, handler

STATIC = FUNCTIONS / "console" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in template().functions["ServeConsole"].environment.items():
        monkeypatch.setenv(name, value)


def get(path: str, *, stage: str = "", **headers: str) -> Answer:
    return call(handler("console/serve"), rest("GET", path, caller=None, headers=headers, stage_path=stage))


def folder() -> str:
    """Return the path of the folder with the console's files."""
    (found,) = {path.rpartition("/")[0] for path in re.findall(r'(?:href|src)="(console/[^"]*)"', get("/console").text)}
    return f"/{found}"


@pytest.mark.parametrize("stage", ["", "/v0"])
def test_a_browser_is_sent_to_the_console(stage: str) -> None:
    answer = get("/", stage=stage, **BROWSER)

    assert (answer.status, answer.headers["location"]) == (303, f"{stage}/console")


@pytest.mark.parametrize("stage", ["", "/v0"])
def test_other_clients_get_links(stage: str) -> None:
    answer = get("/", stage=stage)

    assert answer.status == 200
    assert answer.json["console"] == f"{stage}/console"
    assert answer.json["organizations"] == f"{stage}/v1/organizations"
    assert answer.headers["vary"] == "Accept"


def test_a_base_path_precedes_the_address_of_the_console() -> None:
    event = rest("GET", "/", caller=None, headers=BROWSER, base_path="/codegen")

    assert call(handler("console/serve"), event).headers["location"] == "/codegen/console"


def test_the_page_may_load_and_send_only_here() -> None:
    answer = get("/console")

    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_has_no_inline_script_or_style() -> None:
    page = get("/console").text

    assert all('src="' in tag for tag in re.findall(r"<script[^>]*>", page))
    assert not re.search(r"<style|\son\w+=|style=", page)


@pytest.mark.parametrize("path", ["/console", "/console/"])
def test_the_addresses_of_the_files_are_relative(path: str) -> None:
    page = get(path).text
    addresses = re.findall(r'<(?:link|script)[^>]* (?:href|src)="([^"]*)"', page)

    assert len(addresses) > 5
    for address in addresses:
        assert not address.startswith(("/", "http"))
        assert get(urljoin(path, address)).status == 200


def test_a_file_is_kept_for_ever_and_the_page_is_not() -> None:
    page, script = get("/console"), get(f"{folder()}/app.js")

    assert page.headers["cache-control"] == "no-cache"
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")
    assert get("/console", **{"If-None-Match": page.headers["etag"]}).status == 304
    assert get(f"{folder()}/app.js", **{"If-None-Match": script.headers["etag"]}).status == 304


def test_a_file_of_another_version_is_not_served() -> None:
    """Modules of two versions must not meet in one page."""
    answer = get("/console/000000000000/app.js")

    assert (answer.status, answer.json["code"]) == (404, "console_updated")


def test_the_latest_version_has_an_address_that_is_not_kept() -> None:
    assert get("/console/latest/app.js").text == get(f"{folder()}/app.js").text
    assert get("/console/latest/app.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["index.html", "serve.py", "..", "none.js", "%2e%2e%2fserve.py"])
def test_nothing_else_is_served(name: str) -> None:
    assert get(f"{folder()}/{name}").status == 404


def test_the_first_load_is_small() -> None:
    import gzip

    page = get("/console").text
    addresses = {urljoin("/console", address) for address in re.findall(r'(?:href|src)="(console/[^"]*)"', page)}

    assert sum(len(gzip.compress(get(address).text.encode())) for address in addresses) < 120_000


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_imports_only_files_of_the_console(script: Path) -> None:
    text = script.read_text("utf-8")
    modules = re.findall(r'from "([^"]*)"|import\("([^"]*)"\)|"(\./[^"]*\.js)"', text)

    for name in {"".join(found) for found in modules}:
        assert name.startswith("./")
        assert (STATIC / name).is_file()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_parses_text_as_html(script: Path) -> None:
    text = script.read_text("utf-8")

    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|DOMParser|document\.write|\beval\b|setHTML|srcdoc", text
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_uses_what_it_imports(script: Path) -> None:
    text = script.read_text("utf-8")
    names = [name.strip() for found in re.findall(r"import \{([^}]*)\} from", text) for name in found.split(",")]

    assert [name for name in names if len(re.findall(rf"\b{re.escape(name)}\b", text)) < 2] == []


def test_the_icons_of_log_lines_are_those_of_the_other_views() -> None:
    """The picture repeats the paths of elements.js and the colours of console.css."""
    elements, styles, picture = (
        (STATIC / name).read_text("utf-8") for name in ("elements.js", "console.css", "icons.svg")
    )
    paths = dict(re.findall(r'^  (\w+): "([^"]+)",$', elements, re.MULTILINE))
    drawn = re.findall(r'<path id="(\w+)" transform="translate\((\d+)\)" d="([^"]+)"/>', picture)
    tones = [
        re.findall(rf"--{name}: light-dark\((#\w+), (#\w+)\)", styles)[0] for name in ("muted", "accent", "good", "bad")
    ]
    places = {
        name: -int(place) for name, place in re.findall(r"\.of-(\w+) [^{]*\{ background-position-x: -(\d+)px", styles)
    }

    assert {name: path for name, _, path in drawn} == {name: paths[name] for name, _, _ in drawn}
    assert places | {"person": 0} == {name: -14 * int(x) // 16 for name, x, _ in drawn}
    assert re.findall(r'stroke="(#\w+)"', picture) == [tone[theme] for theme in (0, 1) for tone in tones]


def test_each_icon_of_a_log_line_is_in_the_picture() -> None:
    log = (STATIC / "log.js").read_text("utf-8")
    table = log[log.index("const KINDS") : log.index("const VERBS")]
    names = set(re.findall(r'\["(\w+)", "|/, "(\w+)"\]', table))

    assert {"".join(found) for found in names} | {"tool", "flag"} == set(
        re.findall(r'<path id="(\w+)"', (STATIC / "icons.svg").read_text("utf-8"))
    )


def test_the_styles_load_only_files_of_the_console() -> None:
    addresses = re.findall(r'url\("?([^")]*)"?\)', get(f"{folder()}/console.css").text)

    assert addresses
    for address in addresses:
        assert get(urljoin(f"{folder()}/console.css", address)).headers["content-type"] == "image/svg+xml"
