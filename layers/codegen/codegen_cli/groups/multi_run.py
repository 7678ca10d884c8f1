"""`codegen-runs multi-run`: several runs of one prompt, and one answer."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from ..following import announce_multi_run, follow_multi_run, multi_run_page, multi_run_record
from ..options import Group, Id, Text, json_option, limit_option, metadata_option, web_option
from ..output import Fields, Record, details, show, show_list, table
from ..records import event_record
from ..session import starting, with_api
from ..terminal import open_page, visible
from ..texts import first_line, time

if TYPE_CHECKING:
    from codegen_api import CodegenAPI, MultiRun

SECONDS = click.IntRange(1)
HARNESSES = click.Choice(["codegen", "claude_code"])
SYNTHESIS = {"synthesis_prompt": "prompt", "synthesis_model": "model", "top_k": "top_k", "graft": "graft"}
VARIES = ("prompt", "model", "agent_type", "repo_id", "agent_id", "system_prompt")

COLUMNS = (
    ("ID", lambda found: found.get("id")),
    ("STATUS", lambda found: found.get("status")),
    ("CREATED", lambda found: time(found.get("created_at"))[:19]),
    ("RUNS", lambda found: found.get("requested")),
    ("WHAT", lambda found: first_line(found.get("prompt"))),
)


class Variant(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """What differs for some runs: `NAME=VALUE`, with commas between them."""

    name = "variant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Return the names and values."""
        pairs = [part.partition("=") for part in value.split(",")]
        variant = {name.strip(): text.strip() for name, _, text in pairs}
        if not all(variant.values()) or not variant.keys() <= set(VARIES):
            self.fail(f"{value!r} is not a variant, such as model=NAME. There are: {', '.join(VARIES)}", param, ctx)
        return {name: Id().convert(text, param, ctx) if name == "repo_id" else text for name, text in variant.items()}


def poll_option(command: Any) -> Any:
    """Add `--poll-interval`."""
    help_ = "Seconds between two polls."
    return click.option("--poll-interval", type=float, default=2.0, show_default=True, help=help_)(command)


def allow_ban_option(command: Any) -> Any:
    """Add `--allow-pr-ban`."""
    help_ = "Allow a ban of the pull requests, which stops all their agents and mutes their checks."
    return click.option("--allow-pr-ban", is_flag=True, help=help_)(command)


def definition_options(command: Any) -> Any:
    """Add the options for what a multi-run consists of."""
    strategies = click.Choice(["synthesize", "select", "rank", "none"])
    for option in (
        metadata_option,
        click.option(
            "--graft",
            is_flag=True,
            default=None,
            help="Send the best run what it should take over from the others, as a follow-up.",
        ),
        click.option("--top-k", type=click.IntRange(2), help="Join the best so many answers only."),
        click.option("--synthesis-model", help="Language model of the judges and of the synthesis."),
        click.option("--synthesis-prompt", type=Text(), help="Instructions for the synthesis, or -."),
        click.option("--candidate-timeout", "candidate_timeout_s", type=SECONDS, help="Seconds that one run may take."),
        click.option(
            "--on-deadline",
            type=click.Choice(["partial", "fail"]),
            help="Count the other runs, or fail. Default: partial.",
        ),
        click.option("--deadline", "deadline_s", type=SECONDS, help="Seconds within which all runs must end."),
        click.option("--system-prompt", type=Text(), help="Instructions at the beginning of each prompt, or -."),
        click.option("--agent", "agent_id", help="Id of an agent of the deployment."),
        click.option("--from-checkpoint", help="Id of a checkpoint of a run that each run continues from."),
        click.option("--agent-type", type=HARNESSES, help="Program that drives the model."),
        click.option("--model", help="Language model. Default: the organization's."),
        click.option("--repo-id", type=Id(), help="Id of the repository to work in."),
        click.option(
            "--second-wave",
            type=click.IntRange(1),
            help="Number of further runs that start from the best answers when all others have ended.",
        ),
        click.option(
            "--close-losers",
            is_flag=True,
            default=None,
            help="With --strategy select, close the pull requests of the other runs. Needs an API token.",
        ),
        click.option(
            "--adaptive",
            type=click.IntRange(1),
            nargs=2,
            metavar="START AGREE",
            help="Launch START runs, and further ones only until AGREE answers agree, such as 2 2.",
        ),
        click.option("--first-k", type=click.IntRange(1), help="How many usable answers are enough to stop waiting."),
        click.option("--quorum", type=click.IntRange(1), help="How many usable answers it needs, to not fail."),
        click.option("--judges", type=click.IntRange(1, 2), help="Number of judges."),
        click.option("--judge", type=click.Choice(["auto", "always", "never"]), help="Whether runs rank the answers."),
        click.option("--strategy", type=strategies, help="How to get one answer from several. Default: synthesize."),
        click.option(
            "--variant",
            "variants",
            type=Variant(),
            multiple=True,
            help="What differs for some runs, such as model=NAME,agent_type=claude_code; repeatable.",
        ),
        click.option(
            "-n",
            "--concurrency",
            type=click.IntRange(1),
            help="Number of runs; with --variant, of each. Default: 3, or 1 with --variant.",
        ),
    ):
        command = option(command)
    return command


@click.group("multi-run", cls=Group, default="start")
def multi_run() -> None:
    """Run one prompt several times, and get one answer.

    `codegen-runs multi-run PROMPT` is short for `codegen-runs multi-run start PROMPT`.
    """


@multi_run.command()
@click.argument("prompt", type=Text())
@definition_options
@click.option("--detach", is_flag=True, help="Print the id of the multi-run and exit without waiting.")
@poll_option
@json_option
@web_option
@with_api
def start(
    api: CodegenAPI, /, prompt: str, detach: bool, poll_interval: float, fields: Fields, web: bool, **options: Any
) -> None:
    """Run a prompt several times and print one answer.

    Use - as PROMPT to read the prompt from standard input.
    """
    started = starting(api, lambda: api.multi_runs.create(prompt, **_definition(options)))
    announce_multi_run(api, started.id)
    if web:
        open_page(multi_run_page(api, started.id))
    if not detach:
        follow_multi_run(api, started, poll_interval, fields)
    elif fields is None:
        click.echo(f"Follow it with: codegen-runs multi-run watch {visible(started.id)}", err=True)
        click.echo(visible(started.id))
    else:
        show(multi_run_record(api, started), fields, details_of)


@multi_run.command()
@click.argument("prompt", type=Text())
@definition_options
@json_option
@with_api
def estimate(api: CodegenAPI, /, prompt: str, fields: Fields, **options: Any) -> None:
    """Show how many runs a multi-run would start, and why it would be refused. Nothing is started."""
    show(api.multi_runs.estimate(prompt, **_definition(options)).model_dump(), fields, _estimate)


@multi_run.command()
@click.argument("multi_run_id")
@click.option("--prompt", help="Its prompt, instead of that of the multi-run.")
@click.option("--model", help="Its language model, instead of that of the multi-run.")
@click.option("--agent-type", type=HARNESSES, help="The program that drives its model.")
@click.option("--repo-id", type=Id(), help="The repository that it works in.")
@click.option("--agent-id", help="The agent whose instructions it gets.")
@click.option("--system-prompt", type=Text(), help="Its instructions, instead of the agent's, or -.")
@with_api
def add(api: CodegenAPI, /, multi_run_id: str, **options: Any) -> None:
    """Add a candidate to a running multi-run."""
    added = api.multi_runs.add_candidate(multi_run_id, **options)
    click.echo(visible(f"{multi_run_id} has {added.requested} candidates."))


@multi_run.command()
@click.argument("multi_run_id")
@click.argument("candidate", type=click.IntRange(1))
@allow_ban_option
@click.option("--reason", help="Reason to keep with the candidate.")
@with_api
def drop(api: CodegenAPI, multi_run_id: str, candidate: int, allow_pr_ban: bool, reason: str | None) -> None:
    """Drop a candidate: its answer does not count. CANDIDATE is its number, from 1.

    Its run continues, unless --allow-pr-ban stops it.
    """
    dropped = api.multi_runs.drop_candidate(multi_run_id, candidate - 1, reason=reason, allow_pr_ban=allow_pr_ban)
    _report_cancelled_runs(dropped)
    click.echo(visible(f"Candidate {candidate} of {multi_run_id} does not count."))


@multi_run.command("list")
@limit_option("multi-runs", 1000)
@json_option
@with_api
def list_(api: CodegenAPI, limit: int, fields: Fields) -> None:
    """List multi-runs, newest first."""
    found = (each.model_dump() for each in api.multi_runs.list())
    show_list(islice(found, limit), fields, COLUMNS, "There are no multi-runs.")


@multi_run.command()
@click.argument("multi_run_id")
@json_option
@web_option
@with_api
def view(api: CodegenAPI, multi_run_id: str, fields: Fields, web: bool) -> None:
    """Show a multi-run: its candidates, its synthesis and its answer. --web opens it in the console."""
    found = api.multi_runs.get(multi_run_id)
    if web:
        open_page(multi_run_page(api, found.id))
    else:
        show(multi_run_record(api, found), fields, details_of)


@multi_run.command()
@click.argument("multi_run_id")
@poll_option
@json_option
@with_api
def watch(api: CodegenAPI, multi_run_id: str, poll_interval: float, fields: Fields) -> None:
    """Show the progress of a multi-run until it ends, then print its answer."""
    follow_multi_run(api, api.multi_runs.get(multi_run_id), poll_interval, fields)


@multi_run.command()
@click.argument("multi_run_id")
@click.option("--after", help="Only the events after the one with this id.")
@json_option
@with_api
def events(api: CodegenAPI, multi_run_id: str, after: str | None, fields: Fields) -> None:
    """List the events of a multi-run so far, such as the end of a candidate and the quorum."""
    found = map(event_record, api.multi_runs.events(multi_run_id, after=after))
    columns = (
        ("ID", lambda event: event.get("id")),
        ("TIME", lambda event: time(event.get("ts"))),
        ("CANDIDATE", lambda event: _number(event["data"].get("candidate"))),
        ("EVENT", lambda event: event.get("text")),
    )
    show_list(found, fields, columns, "There are no such events.")


@multi_run.command()
@click.argument("multi_run_id")
@json_option
@with_api
def compare(api: CodegenAPI, multi_run_id: str, fields: Fields) -> None:
    """Compare the candidates of a multi-run."""
    show(api.multi_runs.compare(multi_run_id).model_dump(), fields, _comparison)


@multi_run.command()
@click.argument("multi_run_id")
@click.argument("candidates", type=click.IntRange(1), nargs=-1)
@json_option
@with_api
def retry(api: CodegenAPI, multi_run_id: str, candidates: tuple[int, ...], fields: Fields) -> None:
    """Run candidates without a usable answer again.

    CANDIDATES are their numbers, from 1. Without them, all that failed run again.
    """
    found = api.multi_runs.retry(multi_run_id, [number - 1 for number in candidates] or None)
    show(found.model_dump(), fields, _goes_on)


@multi_run.command()
@click.argument("multi_run_id")
@click.argument("candidates", type=click.IntRange(1), nargs=-1)
@click.option(
    "--strategy", type=click.Choice(["synthesize", "select", "rank"]), help="How to get one answer from several."
)
@click.option("--prompt", help="Instructions for the synthesis.")
@click.option("--model", help="Language model of the judges and of the synthesis.")
@click.option("--top-k", type=click.IntRange(2), help="Join the best so many answers only.")
@json_option
@with_api
def resynthesize(
    api: CodegenAPI, /, multi_run_id: str, candidates: tuple[int, ...], fields: Fields, **options: Any
) -> None:
    """Combine the answers again. No candidate runs again.

    CANDIDATES are the numbers of those to use, from 1. Without them, all usable ones are used.
    """
    chosen = [number - 1 for number in candidates] or None
    found = api.multi_runs.resynthesize(multi_run_id, candidates=chosen, **options)
    show(found.model_dump(), fields, _goes_on)


@multi_run.command()
@click.argument("multi_run_id")
@click.argument("candidate", type=click.IntRange(1))
@click.option("--reason", help="Reason to keep with the pick.")
@click.option(
    "--replaces", type=click.IntRange(1), help="The candidate that is picked now. Required to replace its pick."
)
@click.option("--close-losers", is_flag=True, help="Close the pull requests of the other candidates.")
@json_option
@with_api
def pick(
    api: CodegenAPI,
    multi_run_id: str,
    candidate: int,
    reason: str | None,
    replaces: int | None,
    close_losers: bool,
    fields: Fields,
) -> None:
    """Make the answer of a candidate the answer of the multi-run.

    CANDIDATE is its number, from 1, as `multi-run view` and `multi-run compare` show it.
    """
    picked = api.multi_runs.pick(
        multi_run_id,
        candidate - 1,
        reason=reason,
        replaces=None if replaces is None else replaces - 1,
        close_losers=close_losers,
    ).model_dump()
    for loser in picked.get("losers") or []:
        click.echo(visible(f"Candidate {int(loser.get('candidate') or 0) + 1}: {_outcome(loser)}"), err=True)
    show(
        picked, fields, lambda _record: click.echo(visible(f"{multi_run_id} has the answer of candidate {candidate}."))
    )


@multi_run.command()
@click.argument("multi_run_id")
@with_api
def unpick(api: CodegenAPI, multi_run_id: str) -> None:
    """Undo a pick. Pull requests that were closed stay closed."""
    api.multi_runs.unpick(multi_run_id)
    click.echo(visible(f"{multi_run_id} has the answer that it found itself."))


@multi_run.command()
@click.argument("multi_run_id")
@allow_ban_option
@click.option("--reason", help="Reason to keep with the multi-run.")
@with_api
def cancel(api: CodegenAPI, multi_run_id: str, allow_pr_ban: bool, reason: str | None) -> None:
    """Cancel a multi-run. Runs that are at work continue, unless --allow-pr-ban stops them."""
    client = api.with_more(body={"reason": reason}) if reason else api
    cancelled = client.multi_runs.cancel(multi_run_id, allow_pr_ban=allow_pr_ban)
    _report_cancelled_runs(cancelled)
    click.echo(visible(f"{multi_run_id} is {cancelled.status}."))


@multi_run.command()
@click.argument("multi_run_id")
@with_api
def pause(api: CodegenAPI, multi_run_id: str) -> None:
    """Launch no further run of a multi-run. Agents at work continue."""
    _show_control(api.multi_runs.pause(multi_run_id).model_dump())


@multi_run.command()
@click.argument("multi_run_id")
@with_api
def resume(api: CodegenAPI, multi_run_id: str) -> None:
    """End the pause of a multi-run."""
    _show_control(api.multi_runs.resume(multi_run_id).model_dump())


def _goes_on(found: Record) -> None:
    multi_run_id = found.get("id")
    click.echo(
        visible(f"{multi_run_id} is {found.get('status')}. Watch it with: codegen-runs multi-run watch {multi_run_id}")
    )


def details_of(found: Record) -> None:
    """Print a multi-run for people."""
    from .. import display

    answer = found.get("answer") or {}
    synthesis = found.get("synthesis") or {}
    details(
        [
            ("Multi-run", found.get("id")),
            ("Status", found.get("status")),
            ("Reason", found.get("reason")),
            ("Prompt", first_line(found.get("prompt"))),
            ("Checkpoint", (found.get("from_checkpoint") or {}).get("checkpoint_id")),
            ("Created", time(found.get("created_at"))),
            ("Page", found.get("web_url")),
            ("Synthesis", synthesis.get("status")),
            ("Answer from", answer.get("source")),
            ("Stands for", answer.get("stands_for")),
            *(("Pull request", link.get("url")) for link in answer.get("pull_requests") or []),
        ]
    )
    if candidates := found.get("candidates"):
        click.echo()
        heads = ("CANDIDATE", "STATUS", "RUN", "USABLE", "WHAT")
        table(heads, [_candidate(candidate) for candidate in candidates])
    if answer:
        click.echo()
        display.answer(str(answer.get("text") or ""))


def _report_cancelled_runs(multi_run: MultiRun) -> None:
    for run in multi_run.cancelled_runs or []:
        name = run.agent_run_id or run.key or f"of candidate {_number(run.candidate)}"
        click.echo(visible(f"Run {name} is {run.status}. {run.detail or ''}".rstrip()), err=True)


def _definition(options: Record) -> dict[str, Any]:
    """Return what the options say, as the client takes it."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    synthesis = {name: given.pop(option) for option, name in SYNTHESIS.items() if option in given}
    if "adaptive" in given:
        given["adaptive"] = dict(zip(("start", "agree"), given["adaptive"], strict=True))
    return given | ({"synthesis": synthesis} if synthesis else {})


def _number(index: Any) -> int | None:
    """Return the number of a candidate, from 1."""
    return index + 1 if isinstance(index, int) else None


def _estimate(found: Record) -> None:
    details(
        [
            ("Runs at most", found.get("runs")),
            ("Runs at least", found.get("runs_at_least")),
            ("Last launch", f"{time(found.get('last_launch_at'))} UTC" if found.get("last_launch_at") else None),
        ]
    )
    for refusal in found.get("refusals") or []:
        click.echo(visible(f"It would be refused: {refusal.get('detail')}"), err=True)


def _candidate(candidate: Record) -> list[Any]:
    latest = candidate.get("reason") or candidate.get("summary") or first_line(candidate.get("result"))
    state = [candidate.get("status"), candidate.get("agent_run_id"), candidate.get("usable")]
    return [int(candidate.get("index") or 0) + 1, *state, latest]


def _outcome(loser: Record) -> str:
    words = ((loser.get("pull_request") or {}).get("url"), loser.get("outcome"), loser.get("detail"))
    return " ".join(str(word) for word in words if word)


def _comparison(found: Record) -> None:
    heads = ("CANDIDATE", "STATUS", "SECONDS", "STEPS", "FILES", "TESTS", "ERRORS", "PULL REQUESTS")
    table(heads, [_facts(candidate) for candidate in found.get("candidates") or []])
    if summary := (found.get("agreement") or {}).get("summary"):
        click.echo(visible(f"Answers: {summary}"), err=True)


def _facts(candidate: Record) -> list[Any]:
    evidence = candidate.get("evidence") or {}
    pull_requests = [
        each.get("url") or each.get("number") or each.get("id") for each in _objects(evidence, "pull_requests")
    ]
    number = int(candidate.get("index") or 0) + 1
    cells = (
        f"{number} (second wave)" if candidate.get("second_wave") else number,
        candidate.get("status"),
        evidence.get("duration_seconds"),
        evidence.get("steps"),
        sum(file.get("access") == "changed" for file in _objects(evidence, "files")) if evidence else None,
        evidence.get("tests_outcome"),
        len(_objects(evidence, "errors")) if evidence else None,
        " ".join(map(str, pull_requests)) or "none",
    )
    return ["unknown" if cell is None else cell for cell in cells]


def _objects(evidence: Record, name: str) -> list[Record]:
    found = evidence.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _show_control(found: Record) -> None:
    scope = " Its agents continue; no further run is launched." if found.get("paused_scope") else ""
    click.echo(visible(f"{found.get('id')} is {found.get('status')}.{scope}"))
