"""Multi-runs, as a deployment of Codegen Runs returns them: their candidates, judges, answer, cost and comparison."""

from pydantic import Field

from ._deployment_models import AllowedAction, PullRequestLink, RunSnapshot, SideEffect
from ._models import Model
from ._statuses import MultiRunStatus, RunStatus
from ._timestamps import Timestamp


class QueuePlace(Model):
    """A place in the launch queue: how many runs are ahead, and when the launch is expected."""

    position: int
    expected_at: Timestamp | None = None


class DroppedCandidate(Model):
    """Why a candidate does not count. `dropped_by` is None if nobody dropped it, because it was not needed."""

    reason: str
    dropped_by: str | None = None
    dropped_at: Timestamp | None = None


class Candidate(Model):
    """One run of a multi-run."""

    index: int
    status: RunStatus
    status_reason: str | None = None
    agent_run_id: int | None = None
    result: str | None = None
    reason: str | None = None
    usable: bool | None = None
    dropped: DroppedCandidate | None = None
    """Set if it does not count."""
    added: bool = False
    """Whether a caller added it to the running multi-run."""
    second_wave: bool = False
    """Whether it starts when all others have ended, from summaries of the best ones."""
    attempt: int | None = None
    log_count: int | None = None
    summary: str | None = None
    prompt: str | None = None
    """Its prompt, if that is not the prompt of the multi-run."""
    model: str | None = None
    agent_type: str | None = None
    repo_id: int | None = None
    agent_id: str | None = None
    queue: QueuePlace | None = None
    branch_name: str | None = None
    pull_requests: list[PullRequestLink] | None = None
    closed_pull_requests: list[int] | None = None
    web_url: str | None = None
    link: str | None = None


class BlockSource(Model):
    """A candidate that a block of the answer overlaps with, and the share of the block's words that it has."""

    candidate: int
    score: float


class BlockProvenance(Model):
    """A block of the answer: its beginning, and the candidates that it overlaps with. `novel` if there is none."""

    kind: str | None = None
    text: str
    sources: list[BlockSource] = Field([])
    novel: bool = False


class LeftOut(Model):
    """What the answer does not have of a candidate: the beginnings of blocks, in `texts`."""

    candidate: int
    blocks: int = 0
    taken: int = 0
    texts: list[str] = Field([])


class Provenance(Model):
    """Where the words of an answer come from, measured by overlap."""

    blocks: list[BlockProvenance] = Field([])
    left_out: list[LeftOut] = Field([])
    novel: int = 0
    second_wave: list[int] = Field([])
    """The candidates that had read answers of others, whose words may have several sources."""
    truncated: bool = False


class GraftFollowUp(Model):
    """A prompt that has the base of an answer take over parts of other answers."""

    run: str
    prompt: str
    outcome: str | None = None
    problem: str | None = None


class Gap(Model):
    """A candidate without a usable answer, and why."""

    candidate: int
    reason: str


class Answer(Model):
    """The answer of a multi-run. `source` is synthesis, selected, base, only_candidate, fallback or picked."""

    text: str
    source: str
    candidate: int | None = None
    reason: str | None = None
    gaps: list[Gap] | None = None
    """The candidates that it had to do without."""
    pull_requests: list[PullRequestLink] | None = None
    stands_for: str | None = None
    follow_up: GraftFollowUp | None = None
    provenance: Provenance | None = None


class Pick(Model):
    """A person's choice of a candidate."""

    candidate: int
    agent_run_id: int | None = None
    picked_by: str
    picked_at: Timestamp | None = None
    reason: str | None = None


class CandidateCounts(Model):
    """The numbers of candidates by their state."""

    requested: int = 0
    launched: int = 0
    finished: int = 0
    usable: int = 0
    failed: int = 0
    missing: int = 0
    dropped: int = 0


class RankedCandidate(Model):
    """The place of a usable candidate, from 1, its points, and why."""

    candidate: int
    rank: int
    points: int | None = None
    reasons: list[str] = Field([])


class Contradiction(Model):
    """Two candidates that the judges rank differently in the opposite order. `settled` if a second vote agreed."""

    candidates: list[int]
    settled: bool = False


class Judge(RunSnapshot):
    """A judge run and its verdict: `ranking`, the best candidate first. Without a verdict, `problem` says why."""

    number: int = 0
    stage: int = 0
    again: bool = False
    order: list[int] = Field([])
    ranking: list[int] | None = None
    reasons: dict[str, str] = Field({})
    none_acceptable: bool = False
    problem: str | None = None


class Judging(Model):
    """How the usable candidates are ranked: by judges or, if not `by_judges`, by the evidence of their runs."""

    ranking: list[RankedCandidate] | None = None
    by_judges: bool | None = None
    reason: str | None = None
    contradictions: list[Contradiction] = Field([])
    pairs_in_both_orders: int = 0
    flip_rate: float | None = None
    disagreements: list[str] = Field([])
    none_acceptable: bool = False
    judges: list[Judge] = Field([])


class Rejection(Model):
    """An output of a synthesis run, named by its number, that was not acceptable."""

    synthesis: int
    reason: str


class RunCosts(Model):
    """The runs at Codegen that a multi-run costs: at most, and at least."""

    runs: int
    runs_at_least: int | None = None


class CancelledRun(Model):
    """The effect of a multi-run's cancel on one of its runs. `means` is None if the run continues."""

    key: str | None = None
    candidate: int | None = None
    agent_run_id: int | None = None
    status: RunStatus
    means: str | None = None
    side_effects: list[SideEffect] = Field([])
    detail: str | None = None


class ClosedPullRequest(Model):
    """A pull request of a candidate that was not picked. `outcome` is closed, refused, failed or not_tried."""

    candidate: int
    pull_request: PullRequestLink | None = None
    outcome: str
    detail: str | None = None


class SecondWave(Model):
    """The candidates that start when all others have ended, and the ones whose summaries they get."""

    candidates: list[int] = Field([])
    best: list[int] = Field([])
    """Empty before they are launched."""


class MultiRun(Model):
    """Several runs of one prompt and the one answer made of theirs. Lists omit the candidates."""

    id: str
    status: MultiRunStatus
    strategy: str | None = None
    prompt: str
    requested: int
    quorum: int | None = None
    created_at: Timestamp | None = None
    deadline_at: Timestamp | None = None
    on_deadline: str | None = None
    close_losers: bool | None = None
    second_wave: SecondWave | None = None
    finished_at: Timestamp | None = None
    answer: Answer | None = None
    pick: Pick | None = None
    reason: str | None = None
    counts: CandidateCounts | None = None
    candidates: list[Candidate] | None = None
    judging: Judging | None = None
    synthesis: RunSnapshot | None = None
    """The last synthesis run."""
    rejections: list[Rejection] | None = None
    strategy_used: str | None = None
    estimate: RunCosts | None = None
    paused_scope: str | None = None
    cancelled_runs: list[CancelledRun] | None = None
    """After a cancel: the runs that had not ended."""
    allowed_actions: list[AllowedAction] | None = None
    losers: list[ClosedPullRequest] | None = None
    """After a pick with `close_losers`: the other candidates' pull requests."""

    def is_complete(self) -> bool:
        """Return whether the multi-run has ended, successfully or not."""
        return self.status.final


class RunRange(Model):
    """From a number of runs to another."""

    at_least: int = 0
    at_most: int


class Refusal(Model):
    """A reason why a multi-run would be refused now, and what to do about it."""

    code: str
    detail: str | None = None
    remedy: str | None = None
    retryable: bool | None = None


class MultiRunEstimate(RunCosts):
    """What a multi-run would cost: at most `runs` runs. `refusals` says why it would be refused now."""

    candidates: RunRange | None = None
    judges: RunRange | None = None
    syntheses: RunRange | None = None
    last_launch_at: Timestamp | None = None
    minutes_until_last_launch: float | None = None
    refusals: list[Refusal] | None = None
    identical_variants: list[list[int]] | None = None


class Fact(Model):
    """Something that an event of the run shows."""

    event_id: str | None = None


class SaidText(Fact):
    """A text of the agent."""

    text: str


class ToolCalls(Fact):
    """The calls of one tool, and how many of them have no output."""

    name: str
    calls: int
    pending: int = 0


class TouchedFile(Fact):
    """A file that a tool or a command was given. `access` is changed, read or, if unknown, None."""

    path: str
    access: str | None = None


class ShellCommand(Fact):
    """A shell command."""

    command: str
    exit_code: int | None = None


class RanTests(ShellCommand):
    """A command that ran tests. `outcome` is passed, failed, no_tests or, if unknown, None."""

    runner: str | None = None
    outcome: str | None = None
    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None


class CheckResult(Fact):
    """The last state of a check of a pull request."""

    name: str
    conclusion: str | None = None


class SeenError(Fact):
    """An error. `kind` is run, agent or tool."""

    kind: str | None = None
    text: str


class SeenPullRequest(Fact):
    """A pull request that the run opened or works on. `state` is what a tool printed last."""

    id: int | None = None
    number: int | None = None
    url: str | None = None
    title: str | None = None
    branch: str | None = None
    state: str | None = None


class Evidence(Model):
    """The facts about one run. Unknown values are None; an empty list means that no event shows one.

    Lists have limits. `left_out` has the number of further entries of each list that was cut.
    """

    queued_seconds: float | None = None
    duration_seconds: float | None = None
    turns: int = 0
    status: str | None = None
    steps: int | None = None
    tools: list[ToolCalls] = Field([])
    approach: list[SaidText] = Field([])
    files: list[TouchedFile] = Field([])
    files_in_commands: list[TouchedFile] = Field([])
    commands: list[ShellCommand] = Field([])
    tests: list[RanTests] = Field([])
    tests_outcome: str | None = None
    changed_after_tests: bool | None = None
    checks: list[CheckResult] = Field([])
    errors: list[SeenError] = Field([])
    pull_requests: list[SeenPullRequest] = Field([])
    open_ends: list[SaidText] = Field([])
    answer_characters: int | None = None
    answer_event_id: str | None = None
    complete: bool | None = None
    left_out: dict[str, int] = Field({})


class ComparedCandidate(Model):
    """A candidate and the facts about its run, in `evidence`. Unknown values are None."""

    index: int
    second_wave: bool = False
    """Whether it started when all others had ended, from summaries of the best ones."""
    status: RunStatus
    usable: bool | None = None
    reason: str | None = None
    model: str | None = None
    agent_type: str | None = None
    agent_run_id: int | None = None
    web_url: str | None = None
    link: str | None = None
    answer_characters: int | None = None
    evidence: Evidence | None = None
    rank: int | None = None
    rank_reasons: list[str] | None = None


class FileOfOne(Model):
    """A file that only one candidate changed."""

    path: str
    candidate: int


class ComparedFiles(Model):
    """The changed files of the `candidates` that changed any."""

    changed_by_all: list[str] = Field([])
    changed_by_one: list[FileOfOne] = Field([])
    candidates: list[int] = Field([])
    truncated: bool = False


class SimilarPair(Model):
    """Two candidates, and how similar their answers are: from 0, no common words, to 1."""

    candidates: list[int]
    score: float


class Agreement(Model):
    """How similar the usable answers are in their words. `summary` is such as `4 of 5 agree`."""

    pairs: list[SimilarPair] = Field([])
    clusters: list[list[int]] = Field([])
    summary: str | None = None


class Comparison(Model):
    """The candidates of a multi-run side by side."""

    multi_run_id: str
    status: MultiRunStatus
    candidates: list[ComparedCandidate]
    files: ComparedFiles | None = None
    agreement: Agreement | None = None
    provenance: Provenance | None = None
