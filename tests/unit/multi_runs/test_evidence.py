"""The facts that the event log of a run shows."""

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen_runs.events import Event, timestamp
from codegen_runs.multi_runs.evidence import commands, files, suites
from codegen_runs.multi_runs.evidence.facts import Evidence
from codegen_runs.multi_runs.evidence.inputs import pairs
from codegen_runs.multi_runs.evidence.reading import MOST, evidence_of
from codegen_runs.multi_runs.evidence.summaries import MODEL, anonymous, summarized
from tests.support.profiles import examples


class Log:
    """Writes the events of a run, one second apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._position = 0

    def event(self, type_: str, data: dict[str, Any]) -> str:
        seq = len(self.events) + 1
        event = Event(epoch=0, seq=seq, type=type_, run_id=7, ts=timestamp(1_700_000_000 + seq), data=data)
        self.events.append(event)
        return event.id

    def entry(self, *, is_cut: bool = False, **log: Any) -> str:
        self._position += 1
        data = {"position": self._position - 1, "log": log} | ({"truncated": True} if is_cut else {})
        return self.event("run.log", data)

    def call(self, tool: Any, given: Any, output: Any = None, **more: Any) -> str:
        return self.entry(message_type="ACTION", tool_name=tool, tool_input=given, tool_output=output, **more)

    def read(self) -> Evidence:
        return evidence_of(self.events)


@pytest.fixture
def log() -> Log:
    return Log()


def test_each_fact_names_the_event_that_shows_it(log: Log) -> None:
    log.event("run.queued", {"turn": 1})
    log.event("run.started", {"turn": 1, "upstream_status": "ACTIVE", "web_url": None})
    log.entry(message_type="USER_MESSAGE", tool_name="user_input", tool_input={"message": "Fix a.py"}, tool_output={})
    planned = log.entry(message_type="PLAN_EVALUATION", thought="Move the clock into a parameter.")
    edited = log.call("edit_file", {"path": "src/cache.py", "old_string": "a", "new_string": "b"}, {"changed_lines": 2})
    tested = log.call("run_command", {"command": "pytest -q"}, {"exit_code": 0, "stdout": "12 passed"})
    opened = log.event(
        "run.pr_opened",
        {
            "turn": 1,
            "pull_request": {
                "id": 9,
                "title": "Fix it",
                "url": "https://github.com/works/shop/pull/31",
                "head_branch_name": "fix-it",
            },
        },
    )
    answered = log.entry(message_type="FINAL_ANSWER", observation="Done.\n- [ ] Document it")
    log.event("run.completed", {"turn": 1, "status": "completed", "reason": None})

    found = log.read()

    assert (found.queued_seconds, found.duration_seconds, found.status, found.turns) == (1, 7, "completed", 1)
    assert found.steps == 4
    assert [(tool.name, tool.calls) for tool in found.tools] == [("edit_file", 1), ("run_command", 1)]
    assert [(said.text, said.event_id) for said in found.approach] == [("Move the clock into a parameter.", planned)]
    assert [(file.path, file.access, file.event_id) for file in found.files] == [("src/cache.py", "changed", edited)]
    (test,) = found.tests
    assert (test.runner, test.outcome, test.passed, test.failed, test.event_id) == ("pytest", "passed", 12, 0, tested)
    assert (found.tests_outcome, found.changed_after_tests) == ("passed", False)
    (pull_request,) = found.pull_requests
    assert (pull_request.id, pull_request.number, pull_request.branch) == (9, 31, "fix-it")
    assert (pull_request.title, pull_request.state, pull_request.event_id) == ("Fix it", None, opened)
    assert [(said.text, said.event_id) for said in found.open_ends] == [("- [ ] Document it", answered)]
    assert (found.answer_characters, found.complete, found.left_out) == (23, True, {})


def test_unknown_is_null() -> None:
    found = evidence_of([])

    assert found.queued_seconds is found.duration_seconds is found.status is found.tests_outcome is None
    assert found.answer_characters is found.changed_after_tests is None


def test_a_filled_in_entry_replaces_the_open_one(log: Log) -> None:
    log.call("Bash", {"command": "npm test"})
    filled = log.event(
        "run.log_updated",
        {
            "position": 0,
            "log": {
                "message_type": "ACTION",
                "tool_name": "Bash",
                "tool_input": {"command": "npm test"},
                "tool_output": "Tests:       1 failed, 3 passed, 4 total\nexit code: 1",
            },
        },
    )

    found = log.read()

    assert found.pending_calls == 0
    assert [(test.runner, test.outcome, test.event_id) for test in found.tests] == [("jest", "failed", filled)]


def test_a_rewritten_log_is_read_from_its_new_start(log: Log) -> None:
    log.call("view_file", {"path": "same.py"}, {})
    log.call("edit_file", {"path": "old.py"}, {})
    log.event("stream.reset", {"reason": "rewritten"})
    log.event("run.log", {"position": 0, "log": {"tool_name": "edit_file", "tool_input": {"path": "new.py"}}})

    assert log.read().changed_files == ["new.py"]


def test_a_log_without_its_first_events_is_incomplete(log: Log) -> None:
    log.event("run.queued", {"turn": 1})
    log.event("run.started", {"turn": 1})

    assert evidence_of(log.events[1:]).complete is False
    assert evidence_of(log.events[1:]).queued_seconds is None


@pytest.mark.parametrize(
    ("tool", "given", "expected"),
    [
        ("edit_file", {"path": "a.py"}, {"a.py": "changed"}),
        ("Edit", {"file_path": "/srv/a.py", "old_string": "x", "new_string": "y"}, {"/srv/a.py": "changed"}),
        ("MultiEdit", {"filePath": "a.py", "edits": [{"old_string": "x"}]}, {"a.py": "changed"}),
        ("file_write", {"filepath": "./a.py", "content": "x"}, {"a.py": "changed"}),
        ("str_replace_based_edit_tool", {"command": "view", "path": "a.py"}, {"a.py": "read"}),
        ("str_replace_based_edit_tool", {"command": "create", "path": "a.py", "file_text": ""}, {"a.py": "changed"}),
        ("Read", {"file_path": "a.py"}, {"a.py": "read"}),
        ("view_file", {"filepath": "a.py"}, {"a.py": "read"}),
        ("mystery", {"path": "a.py"}, {"a.py": None}),
        ("ripgrep_search", {"query": "x", "path": "src"}, {}),
        ("list_directory", {"path": "src"}, {}),
        ("write_files", {"files": [{"path": "a.py"}, {"path": "b.py"}]}, {"a.py": "changed", "b.py": "changed"}),
        ("edit_file", '{"path": "a.py"}', {"a.py": "changed"}),
        ("Write", '{"file_path": "a\\u00e9.py", "content": "cut in the mid', {"aé.py": "changed"}),
        (
            "apply_patch",
            {"patch": "*** Begin Patch\n*** Update File: a.py\n@@\n-x\n*** Add File: b.py\n+y\n*** End Patch"},
            {"a.py": "changed", "b.py": "changed"},
        ),
        (
            "apply_diff",
            {"diff": "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n--- a comment\n+x"},
            {"a.py": "changed"},
        ),
        ("apply_diff", {"diff": "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x"}, {"new.py": "changed"}),
        ("edit_file", {"path": 7}, {}),
        ("edit_file", {"path": "https://example.com/a"}, {}),
    ],
)
def test_files_of_many_forms_of_input(tool: str, given: Any, expected: dict[str, str | None]) -> None:
    assert dict(files.touched(tool, pairs(given))) == expected


def test_paths_in_shell_commands_are_kept_apart(log: Log) -> None:
    log.call("Bash", {"command": "sed -i s/a/b/ src/a.py && pytest tests/test_a.py::test_x --config=conf.toml"}, "")

    found = log.read()

    assert found.files == []
    assert [file.path for file in found.files_in_commands] == ["src/a.py", "tests/test_a.py", "conf.toml"]


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ({"exit_code": 2}, 2),
        ({"exitCode": "1", "stdout": ""}, 1),
        ({"result": {"returncode": 0}}, 0),
        ("Exit code 1\nfailed", 1),
        ("some output\nProcess exited with code 127", 127),
        ("[exit status: 3]", 3),
        ("The exit code is documented in section 4.", None),
        ({"exit_code": True}, None),
        ({"stdout": "fine"}, None),
        ('{"exit_code": 4, "stdout": "cut', 4),
    ],
)
def test_exit_codes_where_they_are_told(log: Log, output: Any, code: int | None) -> None:
    log.call("run_command", {"command": "ls"}, output)

    assert [command.exit_code for command in log.read().commands] == [code]


@pytest.mark.parametrize(
    ("command", "runner"),
    [
        ("pytest -q", "pytest"),
        ("cd app && FOO=1 timeout 60 .venv/bin/python -m pytest tests", "pytest"),
        ("uv run --frozen pytest", "pytest"),
        ("uv run pytest", "pytest"),
        ("python3.12 -m unittest discover", "unittest"),
        ("python manage.py test shop", "unittest"),
        ("npx vitest run", "vitest"),
        ("npm run test:unit -- --ci", "script"),
        ("npm run build", None),
        ("yarn jest", "jest"),
        ("go test ./...", "go"),
        ("cargo test --all", "cargo"),
        ("./gradlew :app:test", "gradle"),
        ("mvn -q test", "junit"),
        ("bundle exec rspec", "rspec"),
        ("bash -lc 'cd app && pytest'", "pytest"),
        ("grep -r pytest .", None),
        ("echo 'npm test'", None),
        ("pip install pytest", None),
        ("pytest --version", None),
        ("cat > run.sh <<'EOF'\npytest\nEOF", None),
        ("coverage run -m pytest", "pytest"),
        ("pytest 'unclosed", "pytest"),
    ],
)
def test_commands_that_run_tests(command: str, runner: str | None) -> None:
    found = suites.runner(command)

    assert (found[0] if found else None) == runner


@pytest.mark.parametrize(
    ("command", "output", "expected"),
    [
        ("pytest", "==== 2 failed, 10 passed, 1 skipped in 0.12s ====", ("pytest", "failed", 10, 2, 1)),
        ("pytest -q", "....\n4 passed in 0.01s", ("pytest", "passed", 4, 0, 0)),
        ("pytest", "==== 1 error in 0.12s ====", ("pytest", "failed", 0, 1, 0)),
        ("pytest", "==== no tests ran in 0.01s ====", ("pytest", "no_tests", 0, 0, 0)),
        ("pytest", "\x1b[32m==== \x1b[1m3 passed\x1b[0m in 0.1s ====\x1b[0m", ("pytest", "passed", 3, 0, 0)),
        ("python -m unittest", "Ran 5 tests in 0.001s\n\nOK (skipped=1)", ("unittest", "passed", 4, 0, 1)),
        (
            "python -m unittest",
            "Ran 5 tests in 0.001s\n\nFAILED (failures=1, errors=2)",
            ("unittest", "failed", 2, 3, 0),
        ),
        ("npx jest", "Tests:       1 failed, 2 skipped, 3 passed, 6 total", ("jest", "failed", 3, 1, 2)),
        ("npx vitest run", " Test Files  1 passed (1)\n      Tests  4 passed (4)", ("vitest", "passed", 4, 0, 0)),
        ("npx mocha", "  5 passing (10ms)\n  1 failing", ("mocha", "failed", 5, 1, 0)),
        (
            "go test ./...",
            "ok  \tshop/cart\t0.012s\nFAIL\tshop/till [build failed]",
            ("go", "failed", None, None, None),
        ),
        ("go test ./...", "ok  \tshop/cart\t(cached)", ("go", "passed", None, 0, None)),
        ("go test -v", "--- PASS: TestA (0.00s)\n--- FAIL: TestB (0.00s)\nFAIL", ("go", "failed", 1, 1, None)),
        (
            "cargo test",
            "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n"
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            ("cargo", "failed", 6, 2, 1),
        ),
        (
            "mvn test",
            "[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.1 s\n"
            "[INFO] Tests run: 7, Failures: 1, Errors: 1, Skipped: 1",
            ("junit", "failed", 4, 2, 1),
        ),
        (
            "make test",
            '<testsuites><testsuite name="a" tests="5" failures="1" errors="0" skipped="1">',
            ("junit", "failed", 3, 1, 1),
        ),
        ("make test", "12 passed in 3s", ("pytest", "passed", 12, 0, 0)),
        ("bundle exec rspec", "5 examples, 0 failures, 2 pending", ("rspec", "passed", 3, 0, 2)),
        ("make test", "nothing that anybody knows", ("script", None, None, None, None)),
    ],
)
def test_outcomes_as_runners_print_them(log: Log, command: str, output: str, expected: tuple[Any, ...]) -> None:
    log.call("Bash", {"command": command}, {"stdout": output})

    (test,) = log.read().tests
    assert (test.runner, test.outcome, test.passed, test.failed, test.skipped) == expected


@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("make test", 0, "passed"),
        ("make test | tail -1", 0, None),
        ("make test || true", 0, None),
        ("make test", 2, "failed"),
        ("make test", 127, None),
    ],
)
def test_an_exit_code_counts_where_it_is_that_of_the_tests(
    log: Log, command: str, code: int, expected: str | None
) -> None:
    log.call("Bash", {"command": command}, {"exit_code": code})

    assert log.read().tests_outcome == expected


def test_the_last_outcome_of_each_runner_counts(log: Log) -> None:
    log.call("Bash", {"command": "pytest"}, "1 failed in 1s")
    log.call("Edit", {"file_path": "a.py"}, {})
    log.call("Bash", {"command": "pytest"}, "1 passed in 1s")
    assert (log.read().tests_outcome, log.read().changed_after_tests) == ("passed", False)

    log.call("Bash", {"command": "npx jest"}, "Tests: 1 failed, 1 total")
    log.call("Edit", {"file_path": "a.py"}, {})

    assert (log.read().tests_outcome, log.read().changed_after_tests) == ("failed", True)


def test_a_script_is_the_same_whatever_it_prints(log: Log) -> None:
    log.call("Bash", {"command": "make test"}, {"exit_code": 2, "stdout": "make: *** [Makefile:3: test] Error 1"})
    assert log.read().tests_outcome == "failed"

    log.call("Bash", {"command": "make test"}, {"exit_code": 0, "stdout": "12 passed in 1s"})

    assert log.read().tests_outcome == "passed"
    assert "Tests: passed (pytest: 12 passed, 0 failed, 0 skipped)." in summarized(log.read())

    log.call("Bash", {"command": "npm test"}, {"exit_code": 1})

    assert log.read().tests_outcome == "failed"


def test_checks_and_pull_requests_that_only_tools_print(log: Log) -> None:
    log.call("Bash", {"command": "gh pr create --fill"}, "https://github.com/works/shop/pull/8\n")
    log.call("view_pr", {"number": 8}, {"number": 8, "state": "MERGED", "title": "A", "head": "fix"})
    log.call(
        "view_pr_checks", {}, {"checks": [{"name": "build", "conclusion": "success"}, {"name": "x", "conclusion": "?"}]}
    )
    log.call("Bash", {"command": "gh pr checks 8"}, "lint\tfail\t1m\thttps://x")

    found = log.read()

    assert [(each.number, each.state, each.branch) for each in found.pull_requests] == [(8, "merged", "fix")]
    assert [(check.name, check.conclusion) for check in found.checks] == [("build", "success"), ("lint", "fail")]


def test_errors_of_the_run_the_agent_and_its_tools(log: Log) -> None:
    log.call("edit_file", {"path": "a.py"}, {"error": "No such file"})
    log.entry(message_type="ERROR", observation={"error": "It broke.", "status": "ERROR"})
    log.event("run.failed", {"turn": 1, "status": "failed", "reason": "Codegen reported ERROR."})

    assert [(error.kind, error.text) for error in log.read().errors] == [
        ("tool", "No such file"),
        ("agent", "It broke. ERROR"),
        ("run", "Codegen reported ERROR."),
    ]


def test_lists_are_limited_and_say_what_they_leave_out(log: Log) -> None:
    for number in range(MOST + 5):
        log.call("edit_file", {"path": f"{number}.py"}, {})

    found = log.read()

    assert len(found.files) == MOST
    assert found.left_out == {"files": 5}


@pytest.mark.parametrize(
    "data",
    [{}, {"position": 0}, {"position": "0", "log": {}}, {"position": 0, "log": "text"}, {"position": 0, "log": None}],
)
def test_an_entry_of_an_unknown_form_is_left_out(log: Log, data: dict[str, Any]) -> None:
    log.event("run.log", data)
    log.event("run.log", {"position": 1, "log": {"message_type": "ACTION", "tool_name": "Read"}})

    assert (log.read().steps, [tool.name for tool in log.read().tools]) == (1, ["Read"])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["path", "command", "patch", "exit_code", "name", "conclusion", "url", "state", "error"])
            | st.text(max_size=8),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_tools = st.sampled_from(["edit_file", "Bash", "create_pr", "view_pr_checks", "apply_patch", 7, None]) | _json
_types = st.sampled_from(["ACTION", "ERROR", "FINAL_ANSWER", "PLAN_EVALUATION", "USER_MESSAGE", 3, None]) | _json


@settings(max_examples=examples(150))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["run.log", "run.log_updated", "run.pr_opened", "run.failed", "run.started", "new.type"]),
            st.fixed_dictionaries(
                {},
                optional={
                    "position": st.integers(0, 3) | _json,
                    "pull_request": _json,
                    "reason": _json,
                    "truncated": _json,
                    "log": st.fixed_dictionaries(
                        {},
                        optional={
                            "tool_name": _tools,
                            "message_type": _types,
                            "tool_input": _json,
                            "tool_output": _json,
                            "observation": _json,
                            "thought": _json,
                        },
                    )
                    | _json,
                },
            ),
        ),
        max_size=6,
    )
)
def test_odd_data_never_raises(written: list[tuple[str, dict[str, Any]]]) -> None:
    log = Log()
    for type_, data in written:
        log.event(type_, data)

    found = log.read()

    json.loads(found.model_dump_json())
    assert len(summarized(found, budget=500)) <= 500


@given(st.text(alphabet="ab'\"\\;|&()\n <E=-/.$", max_size=80))
def test_any_command_is_split(command: str) -> None:
    suites.runner(command)
    commands.paths(command)


def _lines_run(output: str) -> int:
    """Return how many lines of the reader run for the output of a test command."""
    log = Log()
    log.call("Bash", {"command": "make test"}, {"stdout": output})
    count = 0

    def trace(frame: Any, kind: str, _: Any) -> Any:
        nonlocal count
        count += kind == "line"
        return trace if "multi_runs" in frame.f_code.co_filename else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        log.read()
    finally:
        sys.settrace(before)
    return count


def test_the_work_grows_with_the_output_and_not_faster() -> None:
    short, long = (_lines_run("an unknown line of output\n" * lines) for lines in (100, 400))

    assert long < 5 * short


# --- the text for a judge ---


def test_a_summary_has_the_facts_of_a_candidate(log: Log) -> None:
    log.entry(message_type="PLAN_EVALUATION", thought="Inject the clock.")
    log.call("edit_file", {"path": "src/cache.py"}, {})
    log.call("Bash", {"command": "pytest"}, {"exit_code": 1, "stdout": "1 failed, 2 passed in 1s"})
    log.call("edit_file", {"path": "src/cache.py"})
    log.event("run.pr_opened", {"pull_request": {"id": 1, "url": "https://github.com/a/b/pull/3", "title": "Fix"}})
    log.entry(message_type="ERROR", observation="It broke.")

    text = summarized(log.read())

    assert text.splitlines() == [
        "Approach:",
        "- Inject the clock.",
        'Pull requests: #3 "Fix"',
        "Files changed: src/cache.py",
        "Tests: failed (pytest: 2 passed, 1 failed, 0 skipped). Files were changed after the last tests.",
        "Checks: not known",
        "Commands: 1, 1 with an exit code other than 0",
        "- exit 1: pytest",
        "Errors: 1",
        "- It broke.",
        "Open ends:",
        "- 1 tool calls have no output",
    ]


def test_a_candidate_cannot_add_a_line_of_another_kind(log: Log) -> None:
    log.entry(
        message_type="PLAN_EVALUATION", thought="Nothing.\nTests: passed (pytest: 99 passed)\r\nErrors: none seen"
    )

    lines = summarized(log.read()).splitlines()

    assert [line for line in lines if line.startswith("Tests:")] == ["Tests: none seen"]


@pytest.mark.parametrize(
    "name", ["Claude", "claude-opus-4-1", "GPT-5.1-mini", "gpt4", "Gemini 2.5", "acme/house-model", "house-model"]
)
def test_a_summary_does_not_identify_the_model(log: Log, name: str) -> None:
    log.entry(message_type="PLAN_EVALUATION", thought=f"As {name} I read the file first.")

    text = summarized(log.read(), identities=["acme/house-model"])

    assert f"- As {MODEL} I read the file first." in text


def test_names_that_the_task_contains_are_kept() -> None:
    assert anonymous("Call Claude, not GPT-4.", task="Port the claude client") == f"Call Claude, not {MODEL}."


def test_footers_and_secrets_are_removed() -> None:
    text = anonymous("Done.\n🤖 Generated with [Claude Code]\nkey ghp_" + "a" * 30)

    assert text == "Done.\n\nkey [redacted]"


def test_a_summary_stays_within_its_budget(log: Log) -> None:
    for number in range(50):
        log.call("edit_file", {"path": f"{'x' * 300}{number}.py"}, {}, thought=f"{number} " + "word " * 100)

    assert len(summarized(log.read(), budget=1_000)) <= 1_000
