"""The fake Codegen against the upstream's OpenAPI documents, where they are stored beside this repository."""

import pytest

from local.fake_codegen import FakeCodegen, create_app
from tests.support.documents import NEWEST, OFFICIAL
from tests.support.documents import read as document


@pytest.fixture(scope="module")
def fake():
    return create_app(FakeCodegen()).openapi()


@pytest.fixture(scope="module", params=[OFFICIAL, NEWEST])
def upstream(request):
    return document(request.param)


@pytest.fixture(scope="module")
def newest():
    return document(NEWEST)


def operations(openapi):
    return {
        (method.upper(), path): operation
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }


def plain(schema, openapi):
    """Return a schema with references resolved and without what only people read."""
    if isinstance(schema, list):
        return [plain(item, openapi) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return plain(openapi["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]], openapi)
    words = {"title", "description", "examples", "deprecated"}
    shown = {
        key: value for key, value in schema.items() if key not in words or not isinstance(value, str | list | bool)
    }
    return {key: sorted(value) if key == "required" else plain(value, openapi) for key, value in shown.items()}


def parameters(operation, openapi):
    return {
        (parameter["in"], parameter["name"]): (parameter.get("required", False), plain(parameter["schema"], openapi))
        for parameter in operation.get("parameters", [])
    }


def request_body(operation, openapi):
    body = operation.get("requestBody")
    return body and (body.get("required", False), plain(body["content"]["application/json"]["schema"], openapi))


def responses(operation, openapi):
    return {
        status: plain(answer.get("content", {}).get("application/json", {}).get("schema"), openapi)
        for status, answer in operation["responses"].items()
    }


def differences(fake, upstream, view):
    """Return the operations of the upstream of which the fake shows something else, with both sides."""
    ours = operations(fake)
    return {
        f"{method} {path}": {"fake": mine, "upstream": theirs}
        for (method, path), operation in operations(upstream).items()
        if (mine := view(ours[method, path], fake)) != (theirs := view(operation, upstream))
    }


def test_the_fake_has_exactly_the_operations_of_the_newest_document(fake, newest):
    assert set(operations(fake)) == set(operations(newest))


def test_the_fake_has_every_operation_of_the_official_document(fake):
    assert set(operations(document(OFFICIAL))) <= set(operations(fake))


def test_operations_carry_the_names_they_have_upstream(fake, upstream):
    assert not differences(fake, upstream, lambda operation, _: operation["operationId"])


def test_parameters_are_the_upstream_s_in_place_type_bounds_and_requiredness(fake, upstream):
    assert not differences(fake, upstream, parameters)


def test_request_bodies_are_those_of_the_newest_document(fake, newest):
    assert not differences(fake, newest, request_body)


def test_request_bodies_of_the_official_document_only_gained_optional_fields(fake):
    official = document(OFFICIAL)
    for key, operation in operations(official).items():
        theirs, ours = request_body(operation, official), request_body(operations(fake)[key], fake)
        assert bool(theirs) == bool(ours), key
        if theirs and ours:
            assert theirs[0] == ours[0], key
            assert theirs[1].get("required") == ours[1].get("required"), key
            assert theirs[1]["properties"].items() <= ours[1]["properties"].items(), key


def test_answers_and_declared_errors_are_the_upstream_s_per_status(fake, upstream):
    assert not differences(fake, upstream, responses)
