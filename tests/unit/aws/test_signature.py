"""Signatures, compared with those of AWS's own library."""

from datetime import UTC, datetime
from unittest.mock import patch

import botocore.auth
import botocore.credentials
from botocore.awsrequest import AWSRequest
from hypothesis import example, given
from hypothesis import strategies as st

from codegen_runs.aws.credentials import Credentials
from codegen_runs.aws.signature import sign

words = st.text("abcXYZ019-_.~%=+/", max_size=20)
AT = datetime(2026, 11, 21, 9, 30, 1, tzinfo=UTC)


@example("DELETE", "@connections/..", b"", "", None, "execute-api")
@example("DELETE", "@connections/.", b"", "", None, "execute-api")
@example("POST", "a//b/./c/../", b"", "", None, "lambda")
@given(
    method=st.sampled_from(["POST", "DELETE"]),
    path=words,
    body=st.binary(max_size=50),
    value=st.text("abc 019", max_size=10).filter(lambda value: "  " not in value),
    token=st.none() | st.just("session-token"),
    service=st.sampled_from(["dynamodb", "states", "lambda", "secretsmanager", "execute-api"]),
)
def test_a_signature_equals_that_of_botocore(
    method: str, path: str, body: bytes, value: str, token: str | None, service: str
) -> None:
    url = f"https://{service}.eu-west-1.amazonaws.com/{path}"
    request = AWSRequest(method, url, headers={"X-Amz-Target": value}, data=body)
    keys = botocore.credentials.Credentials("AKIDEXAMPLE", "not-a-secret", token)
    with patch("botocore.auth.get_current_datetime", return_value=AT.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(keys, service, "eu-west-1").add_auth(request)

    ours = sign(
        method,
        url,
        {"X-Amz-Target": value},
        body,
        service=service,
        region="eu-west-1",
        credentials=Credentials("AKIDEXAMPLE", "not-a-secret", token),
        at=AT,
    )

    assert ours["authorization"] == request.headers["Authorization"]
    assert ours.get("x-amz-security-token") == token
