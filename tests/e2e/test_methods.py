"""Methods, unknown routes and encodings, as API Gateway and the functions answer them together."""

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

from local.fake_codegen import DEMO_ORG_ID, DEMO_TOKEN
from local.stack import Stack

HOME = f"/v1/organizations/{DEMO_ORG_ID}"
PER_REQUEST = {"date", "x-request-id", "x-amzn-requestid"}


@pytest.mark.parametrize("path", ["/health", "/docs", "/v1/users/me", f"{HOME}/agents"])
def test_head_has_the_status_and_the_headers_of_get(http: httpx.Client, path: str) -> None:
    get, head = http.get(path), http.head(path)

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.keys() == get.headers.keys()
    for name in head.headers.keys() - PER_REQUEST - {"content-length"}:
        assert head.headers[name] == get.headers[name], name


@pytest.mark.parametrize("kind", ["live", "paged"])
def test_head_of_a_stream_ends_at_once_and_only_get_opens_one(request: pytest.FixtureRequest, kind: str) -> None:
    stack: Stack = request.getfixturevalue(kind)
    with httpx.Client(base_url=stack.api_url, headers={"Authorization": f"Bearer {DEMO_TOKEN}"}, timeout=35) as client:
        run = client.post(f"{HOME}/agent/run", json={"prompt": "Say hello."}).json()
        path = f"{HOME}/agent/run/{run['id']}/logs/stream"

        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "text/event-stream; charset=utf-8"

        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for opened in (path, path.removeprefix("/v1")):
                refused = client.request(method, opened)
                assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
                assert refused.json()["request_id"] == refused.headers["x-request-id"]
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            refused = client.request(method, f"{HOME}/chat")
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST, OPTIONS")


def test_an_answer_without_content_has_no_type(http: httpx.Client) -> None:
    made = http.post(f"{HOME}/agents", json={"name": "For a moment"})
    unchanged = http.get(f"{HOME}/agents/{made.json()['id']}", headers={"If-None-Match": made.headers["etag"]})
    deleted = http.delete(f"{HOME}/agents/{made.json()['id']}")

    assert (unchanged.status_code, deleted.status_code) == (304, 204)
    assert "content-type" not in {*unchanged.headers, *deleted.headers}


@pytest.mark.parametrize("token", ["", "a-token-of-nobody", "cgr_nobodys"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_every_401_has_an_id_and_says_how_to_authenticate(stack: Stack, method: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    answer = httpx.request(method, f"{stack.api_url}/v1/users/me", headers=headers, trust_env=False)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.headers["x-request-id"]
    if method != "HEAD":
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_quote_in_a_path_does_not_break_a_problem(stack: Stack) -> None:
    """Clients encode it, so this one is written by hand."""
    url = urlsplit(stack.api_url)
    for path in ('/v1/organizations/1"/agents', '/v1/users/me"x', "/v1/organizations/1\\/agents"):
        connection = HTTPConnection(str(url.hostname), url.port)
        connection.request("GET", url.path + path)
        answer = connection.getresponse()

        assert (answer.status, json.loads(answer.read())["code"]) == (401, "unauthorized")
        connection.close()


@pytest.mark.parametrize("path", ["/nothing", "/agent/nothing"])
def test_an_unknown_route_with_a_token_is_our_404(http: httpx.Client, path: str) -> None:
    answer = http.get(path, headers={"Origin": "https://example.com"})

    assert (answer.status_code, answer.json()["code"]) == (404, "route_not_found")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_body_in_every_encoding_of_json_is_read(http: httpx.Client, encoding: str) -> None:
    body = f'{{"name": "Gr\u00fc\u00dfe in {encoding}"}}'.encode(encoding)

    answer = http.post(f"{HOME}/agents", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["name"]) == (201, f"Gr\u00fc\u00dfe in {encoding}")
