"""The facts about one run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

EVENT_ID = "The event that shows it."

Outcome = Literal["passed", "failed", "no_tests"]


class Fact(BaseModel):
    """Something that an event shows."""

    event_id: str = Field(description=EVENT_ID)


class Said(Fact):
    """A text of the agent, on one line and cut."""

    text: str


class ToolMix(Fact):
    """The calls of one tool. The event is that of the first call."""

    name: str
    calls: int
    pending: int = Field(0, description="Calls without an output.")


class TouchedFile(Fact):
    """A file that a tool was given. The event is the first one with this access."""

    path: str
    access: Literal["changed", "read"] | None = Field(None, description="Null if the tool does not show it.")


class MentionedFile(Fact):
    """A path in a shell command. It may be no file, and the command may not have touched it."""

    path: str


class Command(Fact):
    """A shell command."""

    command: str
    exit_code: int | None = Field(None, description="Null if the output does not show it.")


class TestRun(Fact):
    """A command that ran tests."""

    runner: str = Field(description="`pytest`, `jest`, `go`, ..., or `script` for a script such as `make test`.")
    command: str
    outcome: Outcome | None = Field(description="Null if neither the output nor the exit code shows it.")
    passed: int | None = None
    failed: int | None = Field(None, description="Failures and errors.")
    skipped: int | None = None
    exit_code: int | None = None


class CheckResult(Fact):
    """The last state of a check of a pull request that a tool has printed."""

    name: str
    conclusion: str


class ErrorSeen(Fact):
    """An error."""

    kind: Literal["run", "agent", "tool"] = Field(
        description="`run`: the run ended with it. `agent`: an error entry of the log. `tool`: the output of a tool."
    )
    text: str


class PullRequestFact(Fact):
    """A pull request that the run opened or works on."""

    id: int | None = Field(None, description="Codegen's id. Null if only the output of a tool shows the pull request.")
    number: int | None = None
    url: str | None = None
    title: str | None = None
    branch: str | None = None
    state: str | None = Field(None, description="As a tool printed it last: `open`, `closed`, `merged`, ...")


class Evidence(BaseModel):
    """The facts about one run. Unknown values are null; an empty list means that no event shows one.

    Lists have limits. `left_out` has the number of further entries of each list that was cut.
    """

    queued_seconds: float | None = Field(None, description="From the first event to the launch.")
    duration_seconds: float | None = Field(
        None, description="From the launch to the end, as this deployment saw them; for several turns their sum."
    )
    turns: int = Field(0, description="The turns that have ended.")
    status: str | None = Field(None, description="The status with which the last turn ended.")
    steps: int = Field(0, description="Entries of the log that are not messages of a user.")
    tools: list[ToolMix] = []
    approach: list[Said] = Field([], description="The agent's own words: its plans, else its thoughts.")
    files: list[TouchedFile] = Field([], description="From what tools were given.")
    files_in_commands: list[MentionedFile] = Field([], description="Paths in shell commands, by their form.")
    commands: list[Command] = []
    tests: list[TestRun] = []
    tests_outcome: Outcome | None = Field(
        None, description="The last outcome of each runner and script: `failed` if one failed, `passed` if one passed."
    )
    changed_after_tests: bool | None = Field(
        None, description="Whether a tool changed a file after the last tests. Null without tests."
    )
    checks: list[CheckResult] = []
    errors: list[ErrorSeen] = []
    pull_requests: list[PullRequestFact] = []
    open_ends: list[Said] = Field([], description="Lines of the answer that name remaining work.")
    answer_characters: int | None = Field(None, description="The length of the last answer in the log.")
    answer_event_id: str | None = None
    complete: bool = Field(True, description="Whether all events of the run were read.")
    left_out: dict[str, int] = {}

    def shortened(self, most: int) -> Evidence:
        """Return the facts with at most `most` entries in each list; of tests, the last ones."""
        cut: dict[str, Any] = {}
        left_out = dict(self.left_out)
        for name in type(self).model_fields:
            entries = getattr(self, name)
            if isinstance(entries, list) and len(entries) > most:
                cut[name] = entries[-most:] if name == "tests" else entries[:most]
                left_out[name] = left_out.get(name, 0) + len(entries) - most
        return self.model_copy(update=cut | {"left_out": left_out})

    @property
    def changed_files(self) -> list[str]:
        """The paths of the files that tools changed."""
        return [file.path for file in self.files if file.access == "changed"]

    @property
    def pending_calls(self) -> int:
        """The number of tool calls without an output."""
        return sum(tool.pending for tool in self.tools)
