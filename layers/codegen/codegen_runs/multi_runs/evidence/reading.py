"""Evidence from the events of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from codegen_runs.backend import Backend
from codegen_runs.events import Event, is_terminal
from codegen_runs.multi_runs.evidence import commands, files, suites
from codegen_runs.multi_runs.evidence.facts import (
    CheckResult,
    Command,
    ErrorSeen,
    Evidence,
    MentionedFile,
    Outcome,
    PullRequestFact,
    Said,
    TestRun,
    ToolMix,
    TouchedFile,
)
from codegen_runs.multi_runs.evidence.inputs import Pair, one_line, pairs, text_of
from codegen_runs.redaction import redact
from codegen_runs.storage.runs import Watch

_T = TypeVar("_T")

# A page has at most this many events, and DynamoDB ends a page at 1 MB.
PAGE = 1_000

# The most pages that are read of one run, and of all runs together, unless there are more than half as many runs.
MOST_PAGES_OF_RUN = 12
MOST_PAGES = 60

# How many runs are read at the same time.
CONCURRENCY = 4

# The most entries of each list of an `Evidence`, and the most characters of each text.
MOST = 200
MOST_SAID = 12
TEXT = 400
NAME = 120

_PLANS = {"PLAN_EVALUATION", "COMMIT_EVALUATION", "PR_EVALUATION", "INITIAL_PR_GENERATION"}
_ERRORS = {"ERROR", "PR_CREATION_FAILED", "DETECT_PR_ERRORS"}
_CONCLUSIONS = {
    *("success", "failure", "neutral", "cancelled", "timed_out", "action_required", "skipped", "stale"),
    *("startup_failure", "pending", "error", "passed", "failed", "pass", "fail", "in_progress", "queued"),
}
_PR_WORDS = {"pr", "pull", "pulls", "prs"}
_PR_URL = re.compile(
    r"https?://[^\s\"'<>()/]{1,100}/[^\s\"'<>()]{1,200}/(?:pull|merge_requests|pull-requests)/(\d{1,9})"
)
_GH_CHECK = re.compile(r"^([^\t]{1,120})\t(pass|fail|pending|skipping|cancel)\t")
_OPEN_END = re.compile(
    r"^\W{0,6}(?:\[ \]|todo\b|fixme\b|remaining\b|left open|open questions?\b|not (?:done|tested|verified|covered)\b"
    r"|still (?:missing|open|to do)\b|next steps?\b|follow[- ]?ups?\b|could not\b|i could not\b|unable to\b"
    r"|i (?:did not|didn't|was unable|have not|haven't)\b)",
    re.IGNORECASE,
)


@dataclass
class _Entry:
    """What one entry of the log shows. Of an entry, only this is kept in memory."""

    event_id: str
    type: str = ""
    tool: str = ""
    pending: bool = False
    thought: str = ""
    files: Sequence[tuple[str, files.Access | None]] = ()
    mentioned: Sequence[str] = ()
    command: Command | None = None
    test: TestRun | None = None
    checks: Sequence[CheckResult] = ()
    errors: Sequence[ErrorSeen] = ()
    pull_requests: Sequence[PullRequestFact] = ()
    answer: str | None = None
    answer_characters: int | None = None


@dataclass
class Reader:
    """Collects the facts of one run from its events, which are added in their order."""

    _entries: dict[int, _Entry] = field(default_factory=dict)
    _opened: list[PullRequestFact] = field(default_factory=list)
    _ends: list[ErrorSeen] = field(default_factory=list)
    _first: datetime | None = None
    _launched: datetime | None = None
    _turn_began: datetime | None = None
    _seconds: float | None = None
    _turns: int = 0
    _status: str | None = None
    _complete: bool = True

    def add(self, event: Event) -> None:
        """Add an event. Data of an unknown form is left out."""
        moment = _moment(event.ts)
        if self._first is None:
            self._first = moment
            self._complete = self._complete and event.seq <= 1
        data: Mapping[str, Any] = event.data if isinstance(event.data, dict) else {}
        if event.type == "stream.reset":
            self._entries.clear()
        elif event.type in ("run.log", "run.log_updated"):
            self._log(event.id, data)
        elif event.type == "run.pr_opened":
            if len(self._opened) < MOST and (found := _opened(data.get("pull_request"), event.id)):
                self._opened.append(found)
        elif event.type == "run.started":
            self._launched = self._launched or moment
        elif is_terminal(event.type):
            self._ended(event, data, moment)
        is_work = event.type in ("run.started", "run.log") or (
            event.type == "run.status_changed" and data.get("to") == "running"
        )
        if is_work and self._turn_began is None:
            self._turn_began = moment

    def stopped(self) -> None:
        """Note that further events were not read."""
        self._complete = False

    def evidence(self) -> Evidence:
        """Return the facts of the events that were added."""
        entries = [self._entries[position] for position in sorted(self._entries)]
        left_out: dict[str, int] = {}

        def limited(name: str, found: Sequence[_T], most: int = MOST) -> list[_T]:
            if len(found) > most:
                left_out[name] = len(found) - most
            return list(found[:most])

        tests = [entry.test for entry in entries if entry.test]
        answered = next((entry for entry in reversed(entries) if entry.answer_characters is not None), None)
        answer = next((entry for entry in reversed(entries) if entry.answer is not None), None)
        return Evidence(
            queued_seconds=_between(self._first, self._launched) if self._complete else None,
            duration_seconds=self._seconds,
            turns=self._turns,
            status=self._status,
            steps=sum(entry.type != "USER_MESSAGE" for entry in entries),
            tools=limited("tools", _tools(entries)),
            approach=limited("approach", _approach(entries), MOST_SAID),
            files=limited("files", _files(entries)),
            files_in_commands=limited("files_in_commands", _mentioned(entries)),
            commands=limited("commands", [entry.command for entry in entries if entry.command]),
            # The last tests count, so the first ones are left out.
            tests=limited("tests", tests[::-1])[::-1],
            tests_outcome=outcome_of(tests),
            changed_after_tests=_changed_after_tests(entries),
            checks=limited("checks", _checks(entries)),
            errors=limited("errors", [error for entry in entries for error in entry.errors] + self._ends),
            pull_requests=limited("pull_requests", _pull_requests(self._opened, entries)),
            open_ends=limited("open_ends", _open_ends(answer), MOST_SAID),
            answer_characters=answered.answer_characters if answered else None,
            answer_event_id=answer.event_id if answer else None,
            complete=self._complete,
            left_out=left_out,
        )

    def _log(self, event_id: str, data: Mapping[str, Any]) -> None:
        position, log = data.get("position"), data.get("log")
        if not isinstance(position, int) or not isinstance(log, dict):
            return
        self._entries[position] = _entry(event_id, log, is_cut=data.get("truncated") is True)

    def _ended(self, event: Event, data: Mapping[str, Any], moment: datetime | None) -> None:
        self._turns += 1
        self._status = event.type.partition(".")[2]
        spent = _between(self._turn_began, moment)
        if spent is not None:
            self._seconds = round((self._seconds or 0) + spent, 3)
        self._turn_began = None
        reason = one_line(data.get("reason"), TEXT)
        if reason and self._status != "completed" and len(self._ends) < MOST:
            self._ends.append(ErrorSeen(kind="run", text=reason, event_id=event.id))


def evidence_of(events: Iterable[Event]) -> Evidence:
    """Return the facts that the events of one run show. The events are in their order, from the first one."""
    reader = Reader()
    for event in events:
        reader.add(event)
    return reader.evidence()


def gathered(
    watches: Sequence[Watch], *, backend: Backend, page: int = PAGE, most_pages: int = MOST_PAGES
) -> dict[str, Evidence]:
    """Read the event logs of some runs and return the facts of each, by key. Raises `StorageUnavailable`.

    The runs share `most_pages`, at least two each. Events are not kept, so the memory does not depend on their number.
    """
    pages = min(MOST_PAGES_OF_RUN, max(2, most_pages // max(1, len(watches))))

    def one(watch: Watch) -> Evidence:
        reader, after = Reader(), (0, 0)
        for _ in range(pages):
            if after[1] >= watch.seq:
                break
            found = backend.runs.events(watch.org_id, watch.key, after=after, limit=page, now=backend.clock.now())
            for event in found:
                reader.add(event)
            if not found:
                break
            after = (found[-1].epoch, found[-1].seq)
        if after[1] < watch.seq:
            reader.stopped()
        return reader.evidence()

    if not watches:
        return {}
    with ThreadPoolExecutor(CONCURRENCY) as threads:
        return dict(zip((watch.key for watch in watches), threads.map(one, watches), strict=True))


def outcome_of(tests: Sequence[TestRun]) -> Outcome | None:
    """Return the outcome of all tests of a run: the last one of each runner and of each script decides."""
    last = {suites.suite(test): test.outcome for test in tests if test.outcome is not None}
    for outcome in ("failed", "passed", "no_tests"):
        if outcome in last.values():
            return outcome
    return None


# --- one entry ---


def _entry(event_id: str, log: Mapping[str, Any], *, is_cut: bool) -> _Entry:
    entry = _Entry(event_id, type=_word(log.get("message_type")).upper(), tool=_word(log.get("tool_name")))
    entry.thought = one_line(log.get("thought"), TEXT)
    if entry.type == "USER_MESSAGE":
        return entry
    observation = log.get("observation")
    if entry.type == "FINAL_ANSWER":
        entry.answer = text_of(observation)
        entry.answer_characters = None if is_cut else len(entry.answer)
    if entry.type in _ERRORS and (text := one_line(text_of(observation) or log.get("thought"), TEXT)):
        entry.errors = [ErrorSeen(kind="agent", text=text, event_id=event_id)]
    if entry.tool:
        _read_call(entry, log, is_cut=is_cut)
    return entry


def _read_call(entry: _Entry, log: Mapping[str, Any], *, is_cut: bool) -> None:
    given, output = pairs(log.get("tool_input")), log.get("tool_output")
    entry.pending = output is None
    printed = pairs(output) if output is not None else []
    text = text_of(output, *([log.get("observation")] if not text_of(output) else []))
    command = files.shell_command(entry.tool, given)
    if command is None:
        entry.files = files.touched(entry.tool, given)
    else:
        _read_command(entry, command, printed, text, is_cut=is_cut)
    # `gh pr checks` prints lines; other tools print objects.
    entry.checks = _checks_in(output, entry.event_id) or _checks_in_text(command or "", text, entry.event_id)
    opens = command is not None and bool(re.search(r"\bgh\s+pr\s+create\b", command[:TEXT]))
    if files.words(entry.tool) & _PR_WORDS or opens:
        entry.pull_requests = _printed_pull_requests(printed, text, entry.event_id)
    error = next((value for name, value in printed if name in ("error", "errormessage") and isinstance(value, str)), "")
    if text := one_line(error, TEXT):
        entry.errors = [*entry.errors, ErrorSeen(kind="tool", text=text, event_id=entry.event_id)]


def _read_command(entry: _Entry, command: str, printed: Sequence[Pair], text: str, *, is_cut: bool) -> None:
    code = commands.exit_code(printed, text)
    # A text of this entry may be split over two fields of a secret, so it is masked again as a whole.
    shown = one_line(redact(command), TEXT)
    entry.command = Command(command=shown, exit_code=code, event_id=entry.event_id)
    entry.mentioned = commands.paths(command)[:MOST]
    if run := suites.runner(command):
        name, _ = run
        result = suites.read(text, name)
        is_simple = not commands.is_piped(command) and not is_cut
        runner = result.runner if result and name == suites.SCRIPT else name
        entry.test = TestRun(
            runner=runner,
            command=shown,
            outcome=None if entry.pending else suites.outcome(result, code, is_simple=is_simple),
            passed=result.passed if result else None,
            failed=result.failed if result else None,
            skipped=result.skipped if result else None,
            exit_code=code,
            event_id=entry.event_id,
        )


def _checks_in(value: Any, event_id: str) -> list[CheckResult]:
    """Return the checks among the objects in an output: those with a name and a conclusion that GitHub has."""
    found: list[CheckResult] = []
    for each in _objects(value):
        name = next((each[key] for key in ("name", "context") if isinstance(each.get(key), str)), None)
        said = next((each[key] for key in ("conclusion", "state", "status") if isinstance(each.get(key), str)), None)
        if name and said and said.lower() in _CONCLUSIONS and len(found) < MOST:
            found.append(CheckResult(name=one_line(name, NAME), conclusion=said.lower(), event_id=event_id))
    return found


def _checks_in_text(command: str, text: str, event_id: str) -> list[CheckResult]:
    if not re.search(r"\bgh\s+pr\s+checks\b", command[:TEXT]):
        return []
    lines = (_GH_CHECK.match(line[:400]) for line in text.split("\n")[:MOST])
    return [
        CheckResult(name=one_line(found[1], NAME), conclusion=found[2], event_id=event_id) for found in lines if found
    ]


def _objects(value: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    if depth > 5:
        return
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for element in value[:MOST]:
            yield from _objects(element, depth + 1)


def _printed_pull_requests(printed: Sequence[Pair], text: str, event_id: str) -> list[PullRequestFact]:
    members = dict(reversed(printed))
    number = members.get("number") or members.get("prnumber") or members.get("pullrequestnumber")
    urls = {found[0]: int(found[1]) for found in _PR_URL.finditer(text[:20_000])}
    state = members.get("state") if isinstance(members.get("state"), str) else None
    if members.get("merged") is True:
        state = "merged"
    known = int(number) if isinstance(number, int) and not isinstance(number, bool) else None
    branch = next((members[name] for name in ("headbranchname", "branch", "headref", "head") if name in members), None)
    title = members.get("title")
    if len(urls) > 1 or (not urls and known is None and state is None):
        return []  # a list of pull requests, or no pull request at all
    url = next(iter(urls), None)
    return [
        PullRequestFact(
            number=urls[url] if url else known,
            url=url,
            title=one_line(title, NAME) or None,
            branch=one_line(branch, NAME) or None,
            state=one_line(state, 20).lower() or None,
            event_id=event_id,
        )
    ]


def _opened(shown: Any, event_id: str) -> PullRequestFact | None:
    if not isinstance(shown, dict):
        return None
    url = shown.get("url") if isinstance(shown.get("url"), str) else None
    found = _PR_URL.search(url[:1000]) if url else None
    known = shown.get("id")
    return PullRequestFact(
        id=known if isinstance(known, int) and not isinstance(known, bool) else None,
        number=int(found[1]) if found else None,
        url=url[:1000] if url else None,
        title=one_line(shown.get("title"), NAME) or None,
        branch=one_line(shown.get("head_branch_name"), NAME) or None,
        event_id=event_id,
    )


# --- all entries ---


def _tools(entries: Sequence[_Entry]) -> list[ToolMix]:
    mix: dict[str, ToolMix] = {}
    for entry in entries:
        if entry.tool and entry.type != "USER_MESSAGE":
            tool = mix.setdefault(entry.tool, ToolMix(name=entry.tool, calls=0, event_id=entry.event_id))
            tool.calls += 1
            tool.pending += entry.pending
    return sorted(mix.values(), key=lambda tool: (-tool.calls, tool.name))


def _approach(entries: Sequence[_Entry]) -> list[Said]:
    plans = [entry for entry in entries if entry.thought and entry.type in _PLANS]
    thoughts = [entry for entry in entries if entry.thought and entry.type not in _PLANS]
    said: dict[str, Said] = {}
    for entry in plans or thoughts:
        said.setdefault(entry.thought, Said(text=entry.thought, event_id=entry.event_id))
    return list(said.values())


def _files(entries: Sequence[_Entry]) -> list[TouchedFile]:
    weight = {None: 0, "read": 1, "changed": 2}
    found: dict[str, TouchedFile] = {}
    for entry in entries:
        for path, access in entry.files:
            if path not in found or weight[access] > weight[found[path].access]:
                found[path] = TouchedFile(path=path, access=access, event_id=entry.event_id)
    return sorted(found.values(), key=lambda file: (-weight[file.access], file.path))


def _mentioned(entries: Sequence[_Entry]) -> list[MentionedFile]:
    found: dict[str, MentionedFile] = {}
    for entry in entries:
        for path in entry.mentioned:
            found.setdefault(path, MentionedFile(path=path, event_id=entry.event_id))
    return list(found.values())


def _changed_after_tests(entries: Sequence[_Entry]) -> bool | None:
    tested = [number for number, entry in enumerate(entries) if entry.test]
    if not tested:
        return None
    return any(access == "changed" for entry in entries[tested[-1] + 1 :] for _, access in entry.files)


def _checks(entries: Sequence[_Entry]) -> list[CheckResult]:
    return list({check.name: check for entry in entries for check in entry.checks}.values())


def _pull_requests(opened: Sequence[PullRequestFact], entries: Sequence[_Entry]) -> list[PullRequestFact]:
    """Return the pull requests that have an event, then those that only a tool printed; each with its last state."""
    found = list({each.url or f"id {each.id} {each.event_id}": each for each in opened}.values())
    for printed in (each for entry in entries for each in entry.pull_requests):
        same = [each for each in found if _is_same(each, printed)]
        if not same and printed.url is None and printed.number is None and len(found) == 1:
            same = found  # `{"state": "open"}` of a tool that opens a pull request
        if same:
            number = found.index(same[0])
            names = ("number", "url", "title", "branch")
            known = {name: getattr(same[0], name) or getattr(printed, name) for name in names}
            found[number] = same[0].model_copy(update={**known, "state": printed.state or same[0].state})
        elif printed.url is not None:
            found.append(printed)
    return found


def _is_same(one: PullRequestFact, other: PullRequestFact) -> bool:
    if one.url and other.url:
        return one.url == other.url
    return one.number is not None and one.number == other.number


def _open_ends(answer: _Entry | None) -> list[Said]:
    if answer is None or not answer.answer:
        return []
    lines = [line for line in answer.answer.split("\n") if _OPEN_END.match(line[:200])]
    return [Said(text=one_line(line, TEXT), event_id=answer.event_id) for line in lines[: 10 * MOST_SAID]]


def _word(value: Any) -> str:
    return one_line(value, NAME)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _between(first: datetime | None, last: datetime | None) -> float | None:
    if first is None or last is None or last < first:
        return None
    return round((last - first).total_seconds(), 3)
