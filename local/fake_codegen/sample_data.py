"""The data that the fake starts with: organizations, members, repositories, tokens and models."""

from __future__ import annotations

from dataclasses import dataclass, field

from .schemas import (
    CheckSuiteSettingsResponse,
    IntegrationStatus,
    ModelOption,
    ModelsResponse,
    OAuthProviderResponse,
    OrganizationResponse,
    OrganizationSettings,
    ProviderModels,
    RepoResponse,
    UserResponse,
    WebhookConfigResponse,
)

DEMO_TOKEN = "YOUR_TOKEN"
"""The token of Ada, a member of the demo organization and of the empty one. It is the placeholder that the examples
show, so that they work unchanged."""
OTHER_TOKEN = "fake-codegen-token-of-grace"
"""The token of Grace, a member of the foreign organization only."""

DEMO_ORG_ID = 123
EMPTY_ORG_ID = 124
"""An organization without repositories: creating a run there answers 404."""
FOREIGN_ORG_ID = 125
"""An organization that Ada is not a member of."""

DEMO_REPO_ID = 456
DEMO_USER_ID = 789
OTHER_USER_ID = 790
DEMO_SANDBOX_ID = 31
SILENT_SANDBOX_ID = 32
"""A sandbox without logs to analyse."""


@dataclass
class Organization:
    """An organization and what belongs to it."""

    id: int
    name: str
    members: list[UserResponse]
    repos: list[RepoResponse] = field(default_factory=list)
    integrations: list[IntegrationStatus] = field(default_factory=list)
    connected_providers: list[str] = field(default_factory=list)
    sandboxes: dict[int, bool] = field(default_factory=dict)
    """Whether each sandbox has logs, by its id."""
    rules: str | None = None
    webhook: WebhookConfigResponse = field(
        default_factory=lambda: WebhookConfigResponse(url=None, enabled=False, has_secret=False)
    )
    webhook_secret: str | None = None
    check_suites: dict[int, CheckSuiteSettingsResponse] = field(default_factory=dict)
    """By repository, once they have been changed."""

    def response(self) -> OrganizationResponse:
        """Return the organization as the list shows it."""
        return OrganizationResponse(id=self.id, name=self.name, settings=OrganizationSettings())

    def check_suite(self, repo_id: int) -> CheckSuiteSettingsResponse:
        """Return the check settings of a repository."""
        return self.check_suites.get(repo_id) or CheckSuiteSettingsResponse(
            check_retry_count=3,
            ignored_checks=[],
            check_retry_counts={},
            custom_prompts={},
            high_priority_apps=[],
            available_check_suite_names=["build", "lint", "test"],
        )


def organizations() -> list[Organization]:
    """Return new organizations, as at the start."""
    ada = _user(DEMO_USER_ID, "ada", "Ada Example", "ADMIN")
    grace = _user(OTHER_USER_ID, "grace", "Grace Example", "MEMBER")
    return [
        Organization(
            DEMO_ORG_ID,
            "Example Works",
            members=[
                ada,
                _user(791, "linus", "Linus Example", "MANAGER"),
                _user(792, "mary", "Mary Example", "MEMBER"),
            ],
            repos=[
                _repo(DEMO_REPO_ID, "shop", "Python", "The shop and its API"),
                _repo(457, "website", "TypeScript", None),
                _repo(458, "attic", None, "Old code that is kept for reference", archived=True),
            ],
            integrations=[
                IntegrationStatus(
                    integration_type="github_app",
                    active=True,
                    installation_id=5001,
                    metadata={"organization": "example-works"},
                ),
                IntegrationStatus(integration_type="slack_app", active=True, token_id=61, metadata={"team": "Example"}),
                IntegrationStatus(integration_type="linear_user", active=True, token_id=62),
                IntegrationStatus(integration_type="notion", active=False),
                IntegrationStatus(integration_type="circleci", active=False),
            ],
            connected_providers=["linear", "notion"],
            sandboxes={DEMO_SANDBOX_ID: True, SILENT_SANDBOX_ID: False},
            rules="Write tests. Keep pull requests small.",
        ),
        Organization(EMPTY_ORG_ID, "Example Attic", members=[ada]),
        Organization(FOREIGN_ORG_ID, "Somebody Else", members=[grace]),
    ]


def tokens() -> dict[str, int]:
    """Return the user id of each token."""
    return {DEMO_TOKEN: DEMO_USER_ID, OTHER_TOKEN: OTHER_USER_ID}


def models() -> ModelsResponse:
    """Return the models that a run can use."""
    return ModelsResponse(
        providers=[
            ProviderModels(name="Anthropic", models=[_model("Claude Sonnet"), _model("Claude Opus")]),
            ProviderModels(name="OpenAI", models=[_model("GPT 4"), _model("GPT 5")]),
            ProviderModels(name="Google", models=[_model("Gemini Pro")]),
        ],
        default_model="claude-sonnet",
    )


def mcp_providers() -> list[OAuthProviderResponse]:
    """Return the providers of MCP servers."""
    return [
        OAuthProviderResponse(
            id=number,
            name=name,
            issuer=f"https://{name}.example",
            authorization_endpoint=f"https://{name}.example/oauth/authorize",
            token_endpoint=f"https://{name}.example/oauth/token",
            default_scopes=["read"],
            is_mcp=True,
        )
        for number, name in enumerate(("linear", "notion", "sentry"), start=1)
    ]


def _user(user_id: int, login: str, full_name: str, role: str) -> UserResponse:
    return UserResponse(
        id=user_id,
        email=f"{login}@example.com",
        github_user_id=str(user_id * 1000),
        github_username=login,
        avatar_url=f"https://avatars.example/{login}.png",
        full_name=full_name,
        role=role,
        is_admin=role == "ADMIN",
    )


def _repo(
    repo_id: int, name: str, language: str | None, description: str | None, *, archived: bool = False
) -> RepoResponse:
    return RepoResponse(
        id=repo_id,
        name=name,
        full_name=f"example-works/{name}",
        description=description,
        github_id=str(repo_id * 1000),
        organization_id=DEMO_ORG_ID,
        visibility="private",
        archived=archived,
        setup_status="COMPLETED",
        language=language,
    )


def _model(label: str) -> ModelOption:
    return ModelOption(label=label, value=label.lower().replace(" ", "-"))
