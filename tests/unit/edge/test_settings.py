import pytest

from codegen_runs import settings
from codegen_runs.settings import SettingError


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNS_TABLE", raising=False)

    with pytest.raises(SettingError, match="RUNS_TABLE"):
        settings.required("RUNS_TABLE")


def test_an_empty_variable_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEGEN_BASE_URL", "")

    with pytest.raises(SettingError, match="CODEGEN_BASE_URL"):
        settings.codegen_base_url()


def test_a_deployment_may_have_no_default_organization(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEGEN_ORG_ID", "")
    assert settings.codegen_org_id() is None

    monkeypatch.setenv("CODEGEN_ORG_ID", "123")
    assert settings.codegen_org_id() == 123


def test_a_variable_that_is_not_a_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEGEN_TIMEOUT", "soon")

    with pytest.raises(SettingError, match="CODEGEN_TIMEOUT"):
        settings.codegen_timeout()
