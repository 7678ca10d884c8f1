"""The addresses of AWS services.

The environment can name other addresses, with the variables of the AWS SDKs: `AWS_ENDPOINT_URL_DYNAMODB` for one
service, `AWS_ENDPOINT_URL` for all, and `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` to ignore both.
"""

from __future__ import annotations

import os

# The first part of a region names its partition. The suffixes are compared with botocore's data in a test.
_SUFFIXES = {
    "cn": "amazonaws.com.cn",
    "eusc": "amazonaws.eu",
    "us-iso": "c2s.ic.gov",
    "us-isob": "sc2s.sgov.gov",
    "eu-isoe": "cloud.adc-e.uk",
    "us-isof": "csp.hci.ic.gov",
}

# The names of services in `AWS_ENDPOINT_URL_...`, by their names in signatures.
_VARIABLES = {
    "dynamodb": "DYNAMODB",
    "execute-api": "APIGATEWAYMANAGEMENTAPI",
    "lambda": "LAMBDA",
    "secretsmanager": "SECRETS_MANAGER",
    "sqs": "SQS",
    "states": "SFN",
}

_NOT_SUPPORTED = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")


class UnsupportedSetting(ValueError):  # noqa: N818 - the state of the environment
    """The environment asks for endpoints that this code cannot find."""


def endpoint(service: str, region: str, url: str | None = None) -> str:
    """Return the URL of a service, without a slash at the end.

    Args:
        service: The name of the service in signatures.
        region: The region.
        url: The URL of a service that has no address by region, such as an API of API Gateway.

    Raises:
        UnsupportedSetting: The environment asks for FIPS or dual-stack endpoints and names no address for the service.
            Their hosts have no rule that holds for all services and partitions.
    """
    if configured := _configured(service):
        return configured.rstrip("/")
    if url:
        return url
    for name in _NOT_SUPPORTED:
        if _true(name):
            variable = f"AWS_ENDPOINT_URL_{_VARIABLES[service]}"
            raise UnsupportedSetting(f"{name} is not supported. Name the endpoint in {variable} instead.")
    return f"https://{service}.{region}.{_suffix(region)}"


def _configured(service: str) -> str | None:
    if _true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        return None
    return os.environ.get(f"AWS_ENDPOINT_URL_{_VARIABLES[service]}") or os.environ.get("AWS_ENDPOINT_URL")


def _suffix(region: str) -> str:
    parts = region.split("-")
    return _SUFFIXES.get(parts[0]) or _SUFFIXES.get("-".join(parts[:2])) or "amazonaws.com"


def _true(name: str) -> bool:
    return os.environ.get(name, "").lower() == "true"
