"""Addresses of AWS services, compared with those of botocore."""

import re

import botocore.session
import pytest

from codegen_runs.aws.endpoints import UnsupportedSetting, endpoint

SESSION = botocore.session.get_session()
SESSION.set_credentials("testing", "testing")
CLIENTS = {"dynamodb": "dynamodb", "stepfunctions": "states", "secretsmanager": "secretsmanager", "lambda": "lambda"}
PARTITIONS = SESSION.get_component("data_loader").load_data("partitions")["partitions"]

VARIABLES = [
    "AWS_ENDPOINT_URL",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("partition", PARTITIONS, ids=lambda partition: partition["id"])
def test_the_hosts_of_every_region_are_those_of_botocore(partition: dict[str, dict[str, str]]) -> None:
    for region in partition["regions"]:
        if re.fullmatch(r"aws(-.*)?-global", region):
            continue  # no region of a function
        suffix = partition["outputs"]["dnsSuffix"]

        assert endpoint("dynamodb", region) == f"https://dynamodb.{region}.{suffix}"


@pytest.mark.parametrize(("client", "service"), CLIENTS.items())
@pytest.mark.parametrize("region", ["eu-west-1", "us-gov-west-1", "cn-north-1"])
def test_a_service_has_the_address_of_its_client(client: str, service: str, region: str) -> None:
    assert endpoint(service, region) == SESSION.create_client(client, region).meta.endpoint_url


@pytest.mark.parametrize(
    ("specific", "general", "ignored"),
    [
        ("http://127.0.0.1:1/one", None, None),
        (None, "http://127.0.0.1:2", None),
        ("http://127.0.0.1:1/one", "http://127.0.0.1:2", None),
        ("http://127.0.0.1:1/one", "http://127.0.0.1:2", "true"),
        (None, "http://127.0.0.1:2", "True"),
    ],
)
def test_the_variables_of_the_aws_sdks_have_the_same_effect(
    specific: str | None, general: str | None, ignored: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = botocore.session.Session()
    session.set_credentials("testing", "testing")
    for name, value in {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": specific,
        "AWS_ENDPOINT_URL": general,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": ignored,
    }.items():
        if value:
            monkeypatch.setenv(name, value)
    client = session.create_client("secretsmanager", "us-east-1")

    assert endpoint("secretsmanager", "us-east-1") == client.meta.endpoint_url


@pytest.mark.parametrize(("client", "service"), [*CLIENTS.items(), ("apigatewaymanagementapi", "execute-api")])
def test_a_service_has_the_variable_of_its_client(client: str, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = SESSION.get_service_model(client).service_id.replace(" ", "_").upper()
    monkeypatch.setenv(f"AWS_ENDPOINT_URL_{name}", "http://127.0.0.1:1")

    assert endpoint(service, "us-east-1") == "http://127.0.0.1:1"


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_a_setting_that_is_not_supported_is_refused_with_the_variable_to_use(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UnsupportedSetting, match=f"^{variable} is not supported.*AWS_ENDPOINT_URL_SECRETS_MANAGER"):
        endpoint("secretsmanager", "us-gov-west-1")

    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "https://secretsmanager-fips.us-gov-west-1.amazonaws.com/")
    assert endpoint("secretsmanager", "us-gov-west-1") == "https://secretsmanager-fips.us-gov-west-1.amazonaws.com"


def test_the_url_of_an_api_is_its_address() -> None:
    assert endpoint("execute-api", "eu-west-1", "https://connections.test/v0") == "https://connections.test/v0"
