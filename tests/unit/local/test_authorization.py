"""How the local API Gateway evaluates the policy of an authorizer."""

from __future__ import annotations

import pytest

from local.authorization import Authorization

METHOD = "arn:aws:execute-api:us-east-1:123456789012:Api/v0/GET/runs/7"


def allows(*statements: tuple[str, object, object]) -> bool:
    authorization = Authorization.model_validate(
        {
            "principalId": "user:1",
            "policyDocument": {
                "Statement": [
                    {"Effect": effect, "Action": action, "Resource": resource}
                    for effect, action, resource in statements
                ]
            },
        }
    )
    return authorization.allows(METHOD)


@pytest.mark.parametrize(
    "resource",
    [
        METHOD,
        "*",
        "arn:aws:execute-api:us-east-1:123456789012:Api/*",
        "arn:aws:execute-api:*:*:Api/v?/GET/runs/*",
        ["arn:aws:execute-api:us-east-1:123456789012:Other/*", METHOD],
    ],
)
def test_a_resource_that_matches_is_allowed(resource):
    assert allows(("Allow", "execute-api:Invoke", resource))


@pytest.mark.parametrize(
    "resource",
    [METHOD[:-1], f"{METHOD}8", METHOD.replace("GET", "POST"), "[a-z]*", []],
)
def test_a_resource_that_does_not_match_is_not_allowed(resource):
    assert not allows(("Allow", "execute-api:Invoke", resource))


@pytest.mark.parametrize(("action", "is_allowed"), [("execute-api:*", True), ("*", True), ("lambda:Invoke", False)])
def test_an_action_applies_if_it_matches_execute_api_invoke(action, is_allowed):
    assert allows(("Allow", action, "*")) == is_allowed


def test_a_deny_overrides_an_allow():
    assert not allows(("Allow", "*", "*"), ("Deny", "execute-api:Invoke", "*/GET/runs/*"))


def test_a_policy_without_statements_allows_nothing():
    assert not allows()
