"""Tests that a command ran, and their outcome as the runner printed it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from codegen_runs.multi_runs.evidence import commands
from codegen_runs.multi_runs.evidence.facts import Outcome, TestRun

SCRIPT = "script"
"""The runner of a script such as `make test`: its output shows the real one."""

_PROGRAMS = {
    "pytest": "pytest",
    "py.test": "pytest",
    "jest": "jest",
    "vitest": "vitest",
    "mocha": "mocha",
    "ava": "ava",
    "tap": "tap",
    "rspec": "rspec",
    "phpunit": "phpunit",
    "ctest": "ctest",
    "tox": SCRIPT,
    "nox": SCRIPT,
    "nosetests": "unittest",
    "trial": "unittest",
    "gotestsum": "go",
    "nextest": "cargo",
}
_SUBCOMMANDS = {
    "go": {"test": "go"},
    "cargo": {"test": "cargo", "t": "cargo", "nextest": "cargo"},
    "npm": {"test": SCRIPT, "t": SCRIPT, "tst": SCRIPT},
    "pnpm": {"test": SCRIPT, "t": SCRIPT, "jest": "jest", "vitest": "vitest", "mocha": "mocha"},
    "yarn": {"test": SCRIPT, "jest": "jest", "vitest": "vitest", "mocha": "mocha"},
    "bun": {"test": "bun"},
    "deno": {"test": "deno"},
    "mvn": {"test": "junit", "verify": "junit"},
    "mvnw": {"test": "junit", "verify": "junit"},
    "gradle": {"test": "gradle", "check": "gradle"},
    "gradlew": {"test": "gradle", "check": "gradle"},
    "dotnet": {"test": "dotnet"},
    "mix": {"test": "mix"},
    "swift": {"test": "swift"},
    "bazel": {"test": SCRIPT},
    "rake": {"test": SCRIPT, "spec": "rspec"},
    "rails": {"test": SCRIPT},
    "make": {"test": SCRIPT, "tests": SCRIPT, "check": SCRIPT},
    "just": {"test": SCRIPT, "tests": SCRIPT},
    "hatch": {"test": "pytest"},
    "composer": {"test": SCRIPT},
    "node": {"--test": "tap"},
    "playwright": {"test": "playwright"},
    "cypress": {"run": "mocha"},
    "manage.py": {"test": "unittest"},
    "setup.py": {"test": "unittest"},
}
_SCRIPT_NAME = re.compile(r"^(?:test|tests|unit|spec|check)(?:[:_-].*)?$")
_MODULES = {"pytest": "pytest", "unittest": "unittest", "nose2": "unittest", "tox": SCRIPT, "nox": SCRIPT}


class Result(NamedTuple):
    """The numbers that a runner printed. None: it did not print the number."""

    runner: str
    passed: int | None
    failed: int | None
    skipped: int | None
    is_failure: bool | None = None
    """Whether the runner called it a failure; None if only the numbers show it."""


def runner(command: str) -> tuple[str, str] | None:
    """Return the runner and the part of a command that runs tests, the first one; None if no part does."""
    for words in commands.parts(command):
        if name := _runner(words):
            return name, " ".join(words)
    return None


def suite(test: TestRun) -> str:
    """Return what distinguishes tests: their runner, or the script that started them, whatever it printed."""
    found = runner(test.command)
    return found[1] if found and found[0] == SCRIPT else test.runner


def outcome(result: Result | None, exit_code: int | None, *, is_simple: bool) -> Outcome | None:
    """Return the outcome of tests.

    Args:
        result: What the runner printed, if it could be read.
        exit_code: The exit code of the whole command.
        is_simple: Whether the exit code is certainly that of the tests.
    """
    if result is not None:
        if result.is_failure or result.failed:
            return "failed"
        if result.passed or result.is_failure is False:
            # A runner that exits with an error although all tests passed has another reason, such as the coverage.
            return "failed" if is_simple and exit_code else "passed"
        if result.passed == 0 or result.skipped:
            return "no_tests"
    if exit_code is None or exit_code in (126, 127):  # the program could not be started
        return None
    if exit_code:
        return "failed"
    return "passed" if is_simple else None


def _runner(words: Sequence[str]) -> str | None:
    name, rest = commands.program(words[0]), list(words[1:])
    if re.fullmatch(r"python[\d.]*|pypy3?|py", name):
        rest = [word for word in rest if not re.fullmatch(r"-[A-Za-z]|-X\S*|-W\S*", word) or word in ("-m", "-c")]
        if rest[:1] == ["-m"]:
            return _MODULES.get(rest[1]) if len(rest) > 1 else None
        return _runner(rest) if rest and commands.program(rest[0]) in ("manage.py", "setup.py") else None
    if name in _PROGRAMS:
        asks = {"--version", "--help", "-h", "--collect-only", "--co", "--fixtures", "--markers", "--listTests"}
        return None if asks & set(rest) else _PROGRAMS[name]
    if known := _SUBCOMMANDS.get(name):
        arguments = [word for word in rest if not word.startswith(("-", "+")) or word == "--test"]
        if name in ("npm", "pnpm", "yarn", "bun", "composer") and arguments[:1] in (["run"], ["run-script"]):
            return SCRIPT if len(arguments) > 1 and _SCRIPT_NAME.match(arguments[1]) else None
        if name in ("mvn", "mvnw", "gradle", "gradlew", "make", "just"):
            goals = (goal.rpartition(":")[2] for goal in arguments)
            return next((known[goal] for goal in goals if goal in known), None)
        return known.get(arguments[0]) if arguments else None
    return None


def read(output: str, name: str) -> Result | None:
    """Return what a runner printed; None if the output has no summary of a known form.

    Args:
        output: The text, without terminal codes.
        name: The runner. Its form is tried first, then all others: a script may start any of them.
    """
    lines = output.split("\n")
    first = [form for form in _FORMS if form[0] == name]
    for runner_, form in [*first, *(form for form in _FORMS if form[0] != name)]:
        if result := form(lines):
            return result._replace(runner=runner_)
    return None


# --- one reader per form ---

_COUNT = re.compile(r"(\d{1,7}) (passed|failed|skipped|errors?|error|xfailed|xpassed|deselected|warnings?|rerun)\b")
_PYTEST = re.compile(
    r"^=*\s*(?:\d{1,7} (?:passed|failed|skipped|errors?|xfailed|xpassed|deselected|warnings?|rerun|subtests passed)"
    r"(?:, | and )?){1,10}(?: in [\d.:hms ()]{1,40})?\s*=*$"
)


def _pytest(lines: Sequence[str]) -> Result | None:
    for line in reversed(lines):
        text = line.strip()[:300]
        if _PYTEST.match(text):
            counts = _counted(_COUNT.findall(text))
            failed = counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
            return Result("", counts.get("passed", 0) + counts.get("xpassed", 0), failed, counts.get("skipped", 0))
        if re.match(r"^=*\s*no tests ran\b", text):
            return Result("", 0, 0, 0)
    return None


_UNITTEST = re.compile(r"^Ran (\d{1,7}) tests? in ")


def _unittest(lines: Sequence[str]) -> Result | None:
    ran: int | None = None
    result: Result | None = None
    for line in lines:
        text = line.strip()[:200]
        if found := _UNITTEST.match(text):
            ran = int(found[1])
        elif ran is not None and (found := re.match(r"^(OK|FAILED|NO TESTS RAN)\b(?: \((.{0,120})\))?", text)):
            counts = {name.strip(): int(number) for name, number in re.findall(r"([a-z ]+)=(\d{1,7})", found[2] or "")}
            failed = sum(counts.get(name, 0) for name in ("failures", "errors", "unexpected successes"))
            skipped = counts.get("skipped", 0)
            result = Result("", max(0, ran - failed - skipped), failed, skipped, found[1] == "FAILED" or None)
            ran = None
    return result


_JEST = re.compile(r"^Tests:?\s{1,20}(?=.{0,200}\b(?:passed|failed|skipped|todo|total)\b)")


def _jest(lines: Sequence[str]) -> Result | None:
    for line in reversed(lines):
        text = line.strip()[:300]
        if _JEST.match(text):
            counts = _counted(re.findall(r"(\d{1,7}) (passed|failed|skipped|todo)\b", text))
            return Result("", counts.get("passed", 0), counts.get("failed", 0), counts.get("skipped", 0))
    return None


def _mocha(lines: Sequence[str]) -> Result | None:
    counts: dict[str, int] = {}
    for line in lines:
        if found := re.match(r"^(\d{1,7}) (passing|failing|pending)\b(?: \([^)]{1,20}\))?$", line.strip()[:100]):
            counts[found[2]] = counts.get(found[2], 0) + int(found[1])
    if not counts.keys() & {"passing", "failing"}:
        return None
    return Result("", counts.get("passing", 0), counts.get("failing", 0), counts.get("pending", 0))


_GO = re.compile(r"^(ok|FAIL)\s{1,8}\S{1,200}\s{1,8}(?:[\d.]{1,12}s|\(cached\)|\[(?:build|setup) failed\])")


def _go(lines: Sequence[str]) -> Result | None:
    packages: dict[str, int] = {}
    tests: dict[str, int] = {}
    for line in lines:
        if found := _GO.match(line[:300].strip()):
            packages[found[1]] = packages.get(found[1], 0) + 1
        elif found := re.match(r"^\s{0,20}--- (PASS|FAIL|SKIP): ", line[:100]):
            tests[found[1]] = tests.get(found[1], 0) + 1
    if not packages and not tests:
        return None
    is_failure = "FAIL" in packages or "FAIL" in tests
    passed = tests.get("PASS") if "PASS" in tests else None
    failed = tests.get("FAIL") if "FAIL" in tests else (None if is_failure else 0)
    return Result("", passed, failed, tests.get("SKIP"), is_failure)


_CARGO = re.compile(r"^test result: (ok|FAILED)\. (\d{1,7}) passed; (\d{1,7}) failed; (\d{1,7}) ignored;")


def _cargo(lines: Sequence[str]) -> Result | None:
    found = [match for line in lines if (match := _CARGO.match(line.strip()[:200]))]
    if not found:
        return None
    passed, failed, ignored = (sum(int(match[group]) for match in found) for group in (2, 3, 4))
    return Result("", passed, failed, ignored, any(match[1] == "FAILED" for match in found) or None)


_SUREFIRE = re.compile(
    r"Tests run:\s{0,4}(\d{1,7}), Failures:\s{0,4}(\d{1,7})(?:, Errors:\s{0,4}(\d{1,7}))?"
    r"(?:, Skipped:\s{0,4}(\d{1,7}))?"
)
_SUITE = re.compile(r"<testsuite(s?)\b([^>]{0,1000})>")


def _junit(lines: Sequence[str]) -> Result | None:
    totals = [match for line in lines if "Time elapsed" not in line and (match := _SUREFIRE.search(line[:300]))]
    found = totals[-1:] or [match for line in lines if (match := _SUREFIRE.search(line[:300]))]
    if found:
        numbers = [sum(int(match[group] or 0) for match in found) for group in (1, 2, 3, 4)]
        return _of_total(*numbers)
    suites = [match for line in lines for match in _SUITE.finditer(line[:20_000])]
    chosen = [suite for suite in suites if suite[1] and 'tests="' in suite[2]][:1] or [
        suite for suite in suites if not suite[1]
    ]
    if not chosen:
        return None
    attributes = [dict(re.findall(r'\b(tests|failures|errors|skipped)="(\d{1,7})"', suite[2])) for suite in chosen]
    if not any("tests" in each for each in attributes):
        return None
    names = ("tests", "failures", "errors", "skipped")
    return _of_total(*(sum(int(each.get(name, 0)) for each in attributes) for name in names))


def _gradle(lines: Sequence[str]) -> Result | None:
    for line in reversed(lines):
        text = line.strip()[:200]
        if found := re.match(r"^(\d{1,7}) tests? completed, (\d{1,7}) failed(?:, (\d{1,7}) skipped)?", text):
            return _of_total(int(found[1]), int(found[2]), 0, int(found[3] or 0))
    built = {match[1] for line in lines if (match := re.match(r"^BUILD (SUCCESSFUL|FAILED)\b", line.strip()[:60]))}
    return Result("", None, None, None, "FAILED" in built) if built else None


def _examples(lines: Sequence[str]) -> Result | None:
    """Read `5 examples, 1 failure, 2 pending` and `5 tests, 1 failure`."""
    for line in reversed(lines):
        text = line.strip()[:200]
        if found := re.match(
            r"^(?:\d{1,7} doctests?, )?(\d{1,7}) (?:examples?|tests?), (\d{1,7}) failures?"
            r"(?:, (\d{1,7}) (?:pending|skipped))?",
            text,
        ):
            return _of_total(int(found[1]), int(found[2]), 0, int(found[3] or 0))
    return None


def _phpunit(lines: Sequence[str]) -> Result | None:
    for line in reversed(lines):
        text = line.strip()[:300]
        if found := re.match(r"^OK \((\d{1,7}) tests?, \d{1,7} assertions?\)", text):
            return Result("", int(found[1]), 0, 0)
        if found := re.match(r"^Tests: (\d{1,7}), Assertions: \d{1,7}(.{0,200})", text):
            counts = {name: int(number) for name, number in re.findall(r"([A-Z][a-z]+): (\d{1,7})", found[2])}
            return _of_total(
                int(found[1]), counts.get("Failures", 0), counts.get("Errors", 0), counts.get("Skipped", 0)
            )
    return None


_DOTNET = re.compile(
    r"^(?:Passed|Failed|Skipped)!\s{1,4}-\s{1,4}Failed:\s{0,8}(\d{1,7}), Passed:\s{0,8}(\d{1,7}), "
    r"Skipped:\s{0,8}(\d{1,7})"
)


def _dotnet(lines: Sequence[str]) -> Result | None:
    found = [match for line in lines if (match := _DOTNET.match(line.strip()[:300]))]
    if not found:
        return None
    failed, passed, skipped = (sum(int(match[group]) for match in found) for group in (1, 2, 3))
    return Result("", passed, failed, skipped)


def _tap(lines: Sequence[str]) -> Result | None:
    counts = {
        match[1]: int(match[2])
        for line in lines
        if (match := re.match(r"^[#\u2139]\s{1,4}(tests|pass|fail|skipped|skip) (\d{1,7})$", line.strip()[:60]))
    }
    if "pass" not in counts and "fail" not in counts:
        return None
    return Result("", counts.get("pass", 0), counts.get("fail", 0), counts.get("skipped", counts.get("skip", 0)))


def _ctest(lines: Sequence[str]) -> Result | None:
    for line in reversed(lines):
        if found := re.match(r"^\d{1,3}% tests passed, (\d{1,7}) tests? failed out of (\d{1,7})", line.strip()[:100]):
            return _of_total(int(found[2]), int(found[1]), 0, 0)
    return None


def _swift(lines: Sequence[str]) -> Result | None:
    for line in reversed(lines):
        if found := re.match(
            r"^Executed (\d{1,7}) tests?, with (?:(\d{1,7}) tests? skipped and )?(\d{1,7}) failures?",
            line.strip()[:200],
        ):
            return _of_total(int(found[1]), int(found[3]), 0, int(found[2] or 0))
    return None


def _bun(lines: Sequence[str]) -> Result | None:
    counts: dict[str, int] = {}
    for line in lines:
        if found := re.match(r"^(\d{1,7}) (pass|fail|skip)$", line.strip()[:40]):
            counts[found[2]] = int(found[1])
    if not counts.keys() & {"pass", "fail"}:
        return None
    return Result("", counts.get("pass", 0), counts.get("fail", 0), counts.get("skip", 0))


def _deno(lines: Sequence[str]) -> Result | None:
    for line in reversed(lines):
        if found := re.match(
            r"^(?:ok|FAILED) \| (\d{1,7}) passed(?: \([^)]{0,40}\))? \| (\d{1,7}) failed(?:.{0,60}?(\d{1,7}) ignored)?",
            line.strip()[:200],
        ):
            return Result("", int(found[1]), int(found[2]), int(found[3] or 0))
    return None


def _of_total(total: int, failures: int, errors: int, skipped: int) -> Result:
    failed = failures + errors
    return Result("", max(0, total - failed - skipped), failed, skipped)


def _counted(found: Sequence[tuple[str, str]]) -> dict[str, int]:
    return {name: int(number) for number, name in found}


_FORMS: Sequence[tuple[str, Callable[[Sequence[str]], Result | None]]] = (
    ("pytest", _pytest),
    ("unittest", _unittest),
    ("jest", _jest),
    ("vitest", _jest),
    ("cargo", _cargo),
    ("junit", _junit),
    ("gradle", _gradle),
    ("phpunit", _phpunit),
    ("rspec", _examples),
    ("mix", _examples),
    ("dotnet", _dotnet),
    ("tap", _tap),
    ("ctest", _ctest),
    ("swift", _swift),
    ("deno", _deno),
    ("mocha", _mocha),
    ("bun", _bun),
    ("go", _go),
)
