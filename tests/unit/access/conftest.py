"""The API with a clock that tests move, over the fake Codegen."""

from collections.abc import Iterator

import pytest

from codegen_runs import upstream
from codegen_runs.backend import Backend
from codegen_runs.storage.access import AccessTable
from local.fake_codegen import DEMO_TOKEN, FakeCodegen, FakeTransport, ManualClock
from local.template import Template
from tests.support import aws
from tests.support.backend import SECRET_NAME, Kicks, TestClock
from tests.support.events import working_with
from tests.unit.access.service import ADA, IDS, Service


@pytest.fixture
def fake() -> FakeCodegen:
    fake = FakeCodegen(clock=ManualClock(), limits={})
    fake.tokens |= {token: user_id for token, user_id in IDS.items() if token != ADA}
    return fake


@pytest.fixture
def service(
    deployed: Template, fake: FakeCodegen, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    monkeypatch.setenv("CODEGEN_MAX_RETRIES", "0")
    upstream.deployment_token.forget()
    aws.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=DEMO_TOKEN)
    service = Service(deployed)
    service.another_process()
    with upstream.over(FakeTransport(fake)), working_with(Backend(clock=clock, kick=Kicks())):
        yield service
    service.another_process()


@pytest.fixture
def table(deployed: Template) -> AccessTable:
    return AccessTable(deployed.tables["AccessTable"].name)
