"""The responses of the Codegen API, as Pydantic models.

Unknown keys are kept. Statuses and source types are plain strings, because the API documents no list of them and new
ones appear without notice. A key is required if the official OpenAPI document of 2025-10 requires it and does not allow
null.

One odd value does not hide the values around it. The attribute of a value with another type than the documented one is
the nearest value of that type (`"5"` becomes 5, 7 becomes `"7"`); else None if that is allowed; else 0, `""`, False or
empty. `unreadable` names these fields. An item of a list that is not an object is kept as `raw`. Dumping a model gives
the JSON that was received, and `unreadable` if it is not empty. Only the fields in `essential` must be readable, and
only in a response that is not an item of a list.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from ._statuses import RunStatus, Status
from ._timestamps import Timestamp

T = TypeVar("T")
R = TypeVar("R")

_RAW = "raw"
_MARKER = "unreadable"

# Larger integers fit neither a column of a database nor a number of DynamoDB.
_LARGEST = 2**63

# JSON that Pydantic's parser refuses, or that leads to values that are not JSON: NaN, infinite numbers, and surrogates,
# which may have no partner.
_DELICATE = re.compile(rb"NaN|Infinity|\\u[dD][89abAB]|\\u[dD][cdefCDEF]|\d[eE]\+?\d{3}")
_MENDING = object()
_UNREADABLE = object()

# Deeper values become JSON text. The parsers of most languages read a few hundred levels.
_MAX_DEPTH = 64
_MAX_DIGITS = 4000

# The fields whose items or members are read as models of their own.
_OF_MODELS = {"items", "logs", "github_pull_requests", "integrations", "providers", "models", "settings"}

_EMPTY: dict[Any, Any] = {int: 0, float: 0.0, str: "", bool: False, list: [], dict: {}}

# What `print` shows of an object: these fields, then the first of the texts.
_LINE: tuple[str, ...] = (
    "at",
    "id",
    "agent_run_id",
    "checkpoint_id",
    "index",
    "name",
    "full_name",
    "status",
    "created_at",
)
_LINE += ("tool_name", "message_type", "role", "url")
_TEXTS: tuple[str, ...] = (
    "title",
    "prompt",
    "text",
    "response",
    "result",
    "result_preview",
    "summary",
    "thought",
    "detail",
    "description",
)
_TEXTS += ("note", "message", "label", "reason")
_REPR_FIELDS = 4

Harness = Literal["codegen", "claude_code"]
"""The program that runs the language model, `agent_type` in the Codegen API."""


def parse_timestamp(value: str) -> Timestamp:
    """Parse a timestamp of the Codegen API into an aware UTC datetime.

    Live responses have the format `2025-06-21 11:20:04.338398`, the documentation shows `2024-01-15T10:30:00Z`. A
    timestamp without a time zone is in UTC.

    Raises:
        ValueError: The text has neither format.
    """
    return Timestamp.read(value)


class Model(BaseModel):
    """An object of the API: unknown keys kept, values of another type marked, dumped as it was received."""

    # Strict, so that a value of another type is noticed. Validators are built on first use, so that a cold start pays
    # only for the models that it uses.
    model_config = ConfigDict(extra="allow", strict=True, defer_build=True)

    essential: ClassVar[frozenset[str] | None] = None
    """The fields without which a response is useless; None for all required fields."""

    _odd: dict[str, Any] = PrivateAttr(default_factory=dict)
    """The values that could not be read, as they were received. A required field that is missing has no value here."""
    _unread: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def unreadable(self) -> list[str]:
        """The fields whose value is missing or has another type than the documented one."""
        received = (self.model_extra or {}).get(_MARKER)
        marked = received if isinstance(received, list) and all(isinstance(name, str) for name in received) else []
        return marked if _RAW in marked else sorted({*marked, *self._unread})

    @classmethod
    def is_useless(cls, odd: frozenset[str]) -> bool:
        """Return whether a response is useless if these fields cannot be read."""
        essential = cls.essential
        if essential is None:
            essential = frozenset(name for name, field in cls.model_fields.items() if field.is_required())
        return bool(essential & odd)

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Read a response.

        Texts and numbers that are not valid in JSON are replaced: a surrogate without a partner by U+FFFD, NaN and
        infinite numbers by their names as text, and what is nested too deeply by its JSON text. `unreadable` names
        their fields.

        Raises:
            ValueError: The response is not JSON, or has another structure.
        """
        return _read(content, cls.model_validate_json, cls.model_validate)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Return the first fields that have a value, shortened."""
        return [(name, _short(value, 40)) for name, value in self._scalars()][:_REPR_FIELDS]

    def __str__(self) -> str:
        values = dict(self._scalars())
        shown = [_short(values[name], 100) for name in _LINE if values.get(name)]
        texts = [_short(values[name], 100) for name in _TEXTS if values.get(name)]
        return "  ".join(map(str, shown + texts[:1])) or repr(self)

    def _scalars(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the documented fields that have a value of their own and are no secret."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name, None)
            if field.repr and value is not None and not isinstance(value, dict | list | Model):
                yield name, value

    @model_validator(mode="wrap")
    @classmethod
    def _field_by_field(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Read an object, without the values that cannot be read."""
        if not isinstance(data, dict):
            return handler(data)
        if info.context is not _MENDING:
            return cls._readable(data, handler)
        mended = {
            _mended(name): value if cls._has_models(name, value) else _mended(value) for name, value in data.items()
        }
        changed = {
            name for (name, after), before in zip(mended.items(), data.values(), strict=False) if after != before
        }
        model = cls._readable(mended, handler)
        model._odd |= {name: mended[name] for name in changed - model._unread}
        model._unread |= changed
        return model

    @classmethod
    def _readable(cls, data: dict[str, Any], handler: ModelWrapValidatorHandler[Self]) -> Self:
        too_large = {
            name: _UNREADABLE
            for name, value in data.items()
            if type(value) is int and abs(value) >= _LARGEST and cls._is_integer(name)
        }
        try:
            return handler(data | too_large if too_large else data)
        except ValidationError as refused:
            error, odd = refused, frozenset(str(fault["loc"][0]) for fault in refused.errors() if fault["loc"])
        nearest = {name: _nearest(cls.model_fields[name].annotation, data[name]) for name in odd & data.keys()}
        if cls.is_useless(frozenset(name for name in odd if nearest.get(name) is None)):
            raise error
        return cls._without(odd, data, nearest, handler)

    @classmethod
    def _without(cls, odd: frozenset[str], data: dict[str, Any], nearest: Mapping[str, Any], handler: Any) -> Self:
        """Read an object with other values for some fields, and note the values that were received."""
        read = {name: value for name, value in data.items() if name not in odd}
        for name in odd:
            field = cls.model_fields[name]
            if nearest.get(name) is not None:
                read[name] = nearest[name]
            elif field.is_required():
                read[name] = _empty(field.annotation)
        model: Self = handler(read)
        model._odd |= {name: _mended(data[name]) for name in odd if name in data}
        model._unread |= {name for name in odd if not cls._is_other_time(name, data.get(name))}
        return model

    @classmethod
    def kept(cls, item: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        """Read an item of a list, whatever it is."""
        try:
            return handler(item)  # type: ignore[no-any-return]
        except ValidationError as error:
            data = item if isinstance(item, dict) else {_RAW: _mended(item), _MARKER: [_RAW]}
            odd = frozenset(str(fault["loc"][0]) for fault in error.errors() if fault["loc"])
            odd = odd if isinstance(item, dict) else cls._required()
            return cls._without(odd & cls.model_fields.keys(), data, {}, handler)

    @classmethod
    def _has_models(cls, name: str, value: Any) -> bool:
        return name in _OF_MODELS and name in cls.model_fields and isinstance(value, list | dict)

    @classmethod
    def _is_integer(cls, name: str) -> bool:
        field = cls.model_fields.get(name)
        return field is not None and int in _types(field.annotation)

    @classmethod
    def _is_other_time(cls, name: str, value: Any) -> bool:
        """Return whether a value is a text that is no time. Codegen documents its times as texts of any form."""
        return isinstance(value, str) and Timestamp in _types(cls.model_fields[name].annotation)

    @classmethod
    def _required(cls) -> frozenset[str]:
        return frozenset(name for name, field in cls.model_fields.items() if field.is_required())

    @model_serializer(mode="wrap")
    def _as_received(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo):  # type: ignore[no-untyped-def]
        # No return annotation, because Pydantic would use it as the JSON schema instead of the fields.
        dumped: dict[str, Any] = handler(self)
        received = {}
        unread, read = self._unread, self.model_fields_set
        for name in (*type(self).model_fields, *(self.model_extra or ())):
            if name in self._odd:
                if not _left_out(name, info):
                    received[name] = self._odd[name]
                continue
            if name in unread:
                continue  # a required field that was not received
            if name not in read:
                continue  # a default value that was not received
            if name in dumped:
                received[name] = dumped[name]
            elif not _left_out(name, info):
                received[name] = getattr(self, name)  # removed by exclude_none or exclude_defaults
        if unread and not _left_out(_MARKER, info):
            received[_MARKER] = self.unreadable
        return received


class _Kept:
    """Annotates the items of a list: an item that cannot be read does not hide the others."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        if not (isinstance(source, type) and issubclass(source, Model)):
            return schema
        return core_schema.no_info_wrap_validator_function(source.kept, schema)


def _read(content: bytes, from_json: Callable[[bytes], R], from_python: Callable[..., R]) -> R:
    refused = None
    if not _DELICATE.search(content):
        try:
            return from_json(content)
        except ValidationError as error:
            if error.errors()[0]["type"] != "json_invalid":
                raise
            refused = error
    try:
        data = json.loads(content.decode("utf-8", errors="replace"), parse_int=_integer)
    except ValueError as error:
        raise refused or error from None
    return from_python(data, context=_MENDING)


def _mended(value: Any, depth: int = 0) -> Any:
    """Return a JSON value that every parser accepts."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list | dict) and depth == _MAX_DEPTH:
        return json.dumps(value)
    if isinstance(value, list):
        return [_mended(element, depth + 1) for element in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(member, depth + 1) for name, member in value.items()}
    return value


def _integer(digits: str) -> Any:
    """Read an integer. Python refuses to read one that is too long, so it stays a text."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _short(value: Any, length: int) -> Any:
    """Return a value for a line: the beginning of the first line of a text, a time without its zone."""
    if isinstance(value, Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if not isinstance(value, str):
        return value
    line, *further = value.strip().split("\n", 1)
    return f"{line[:length]}..." if further or len(line) > length else line


def _types(annotation: Any) -> set[Any]:
    """Return the types of a field: `int | None` is int and None."""
    return {annotation} if get_origin(annotation) in _EMPTY else {annotation, *getattr(annotation, "__args__", ())}


def _nearest(annotation: Any, value: Any) -> Any:
    """Return the value of the documented type that a value stands for; None if there is none."""
    accepted = _types(annotation)
    if isinstance(value, bool):
        return None
    if int in accepted and isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        return int(value)
    if int in accepted and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if str in accepted and isinstance(value, int) and abs(value) < _LARGEST:
        return str(value)
    if get_origin(annotation) is list and value is None:
        return []
    if isinstance(value, str) and isinstance(annotation, type) and issubclass(annotation, Status):
        return annotation("unknown")
    return None


def _empty(annotation: Any) -> Any:
    """Return the value of a required field that could not be read."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return {}
    if isinstance(annotation, type) and issubclass(annotation, Status):
        return annotation("unknown")
    return _EMPTY.get(get_origin(annotation) or annotation)


def _left_out(name: str, info: SerializationInfo) -> bool:
    """Return whether the caller of the dump excluded this key with `exclude` or `include`."""
    return (info.exclude is not None and name in info.exclude) or (
        info.include is not None and name not in info.include
    )


class Page(Model, Generic[T]):
    """One page of a list: the `items`, and the position of the page in the list (`page` counts from 1)."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"items"})

    items: list[Annotated[T, _Kept()]]
    total: int
    page: int
    size: int
    pages: int

    @property
    def known_total(self) -> int | None:
        """The `total`; None if it could not be read."""
        received = self._odd.get("total")
        is_known = "total" not in self._unread or _nearest(int, received) is not None
        return self.total if is_known else None

    def __iter__(self) -> Iterator[T]:  # type: ignore[override] # a model iterates over its fields
        return iter(self.items)


class User(Model):
    """A user of an organization; `role` is ADMIN, MANAGER or MEMBER."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"id"})

    @property
    def name(self) -> str:
        """The full name, else the GitHub username."""
        return self.full_name or self.github_username

    id: int
    email: str | None = None
    github_user_id: str
    github_username: str
    avatar_url: str | None = None
    full_name: str | None = None
    role: str | None = None
    is_admin: bool | None = None


class OrganizationSettings(Model):
    """What an organization allows its agents to do."""

    enable_pr_creation: bool = True
    enable_rules_detection: bool = True


class Organization(Model):
    """An organization that the user of the token is a member of."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"id"})

    id: int
    name: str
    settings: OrganizationSettings


class Repo(Model):
    """A repository of an organization."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"id"})

    id: int
    name: str
    full_name: str
    description: str | None = None
    github_id: str
    organization_id: int
    visibility: str | None = None
    archived: bool | None = None
    setup_status: str
    language: str | None = None


class PullRequest(Model):
    """A pull request that a run opened."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"id"})

    id: int
    title: str | None = None
    url: str | None = None
    created_at: Timestamp | None = None
    head_branch_name: str | None = None


class AgentRun(Model):
    """An agent run. `result` (Markdown) is null until the run ends; `metadata` is what the creator sent."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"id"})

    id: int
    organization_id: int
    status: str | None = None
    created_at: Timestamp | None = None
    web_url: str | None = None
    result: str | None = None
    summary: str | None = None
    source_type: str | None = None
    github_pull_requests: list[Annotated[PullRequest, _Kept()]] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def run_status(self) -> RunStatus:
        """The status in the vocabulary of all objects. `status` is the word of the Codegen API."""
        return RunStatus.of(self.status)


class AgentRunLog(Model):
    """A log entry: one step of a run. Entries have no id; their position in the log identifies them."""

    essential: ClassVar[frozenset[str] | None] = frozenset()

    agent_run_id: int
    created_at: Timestamp | None = None
    tool_name: str | None = None
    message_type: str | None = None
    thought: str | None = None
    observation: Any = None
    tool_input: Any = None
    tool_output: Any = None


class AgentRunLogs(Model):
    """A run with one page of its log. It lacks the `summary`, `source_type` and pull requests of `AgentRun`."""

    @classmethod
    def is_useless(cls, odd: frozenset[str]) -> bool:
        """Return whether neither the run nor its log can be read."""
        return odd >= {"id", "logs"}

    id: int
    organization_id: int
    status: str | None = None
    created_at: Timestamp | None = None
    web_url: str | None = None
    result: str | None = None
    metadata: dict[str, Any] | None = None
    logs: list[Annotated[AgentRunLog, _Kept()]]
    total_logs: int | None = None
    page: int | None = None
    size: int | None = None
    pages: int | None = None

    @property
    def run_status(self) -> RunStatus:
        """The status in the vocabulary of all objects. `status` is the word of the Codegen API."""
        return RunStatus.of(self.status)


class Integration(Model):
    """One integration of an organization. Its ids are documented as integers, but live responses also have strings."""

    integration_type: str
    active: bool
    token_id: int | str | None = None
    installation_id: int | str | None = None
    # Live responses had the secret of a webhook in it.
    metadata: dict[str, Any] | None = Field(default=None, repr=False)


class Integrations(Model):
    """All integrations of an organization."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"integrations"})

    organization_id: int
    organization_name: str
    integrations: list[Annotated[Integration, _Kept()]]
    total_active_integrations: int


class ModelOption(Model):
    """A language model. Pass its `value` as `model` to start a run with it."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"value"})

    label: str
    value: str


class ModelProvider(Model):
    """A provider and its language models."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"models"})

    name: str
    models: list[Annotated[ModelOption, _Kept()]]


class Models(Model):
    """The language models that an organization can use."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"providers"})

    providers: list[Annotated[ModelProvider, _Kept()]]
    default_model: str


class SetupCommands(Model):
    """The run that finds the setup commands of a repository. They are in the result of the run."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"agent_run_id"})

    agent_run_id: int
    status: str
    url: str


class SandboxAnalysis(Model):
    """The run that analyzes the setup log of a sandbox."""

    essential: ClassVar[frozenset[str] | None] = frozenset({"agent_run_id"})

    agent_run_id: int
    status: str
    message: str


class Webhook(Model):
    """The URL to which Codegen reports the end of one run, instead of the organization's webhook."""

    url: str
    secret: str | None = Field(default=None, repr=False)


Webhooks = Sequence[Webhook | Mapping[str, Any]]


class WebhookConfig(Model):
    """The webhook of an organization, which is called when a run ends. Codegen never returns its secret."""

    url: str | None = None
    enabled: bool
    has_secret: bool


class OAuthProvider(Model):
    """An OAuth provider of MCP servers."""

    id: int
    name: str
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    default_scopes: list[str] | None = None
    is_mcp: bool
    meta: dict[str, Any] | None = None


OAuthProviders = list[Annotated[OAuthProvider, _Kept()]]
"""A list of providers, in which an odd one does not hide the others."""


def read_oauth_providers(content: bytes) -> OAuthProviders:
    """Read a response that is a list of providers. Raises `ValueError` if it is not a list."""
    providers = TypeAdapter(OAuthProviders)
    return _read(content, providers.validate_json, providers.validate_python)


class CliRules(Model):
    """What an organization and its user tell agents that a command line tool runs."""

    organization_rules: str | None = None
    user_custom_prompt: str | None = None


class CheckSuiteSettings(Model):
    """Whether and how Codegen repairs failed checks of a repository."""

    check_retry_count: int
    ignored_checks: list[str]
    check_retry_counts: dict[str, int]
    custom_prompts: dict[str, str]
    high_priority_apps: list[str]
    available_check_suite_names: list[str]


PullRequestState = Literal["open", "closed", "draft", "ready_for_review"]
"""The states that a pull request can be given."""


class EditedPullRequest(Model):
    """The outcome of an edit of a pull request. Without `success`, `error` is the reason."""

    success: bool
    url: str | None = None
    number: int | None = None
    title: str | None = None
    state: str | None = None
    error: str | None = None


class SlackToken(Model):
    """A token that connects the user's Slack account. It can be used once, within ten minutes."""

    token: str = Field(repr=False)
    message: str = Field(repr=False)
    expires_in_minutes: int
