"""The text of a run's result: plausible Markdown, always the same for one run and different for different runs.

These kinds of prompt are recognised, in any wording:

* **A ranking.** Its instructions show a JSON object with a `ranking`. The answer is such an object: the candidate with
  the most distinct words is the best, wherever it stands.
* **A graft.** Its instructions show a JSON object with a `graft`. The answer is such an object, with the first point
  that only one candidate makes.

* **A choice.** The prompt carries two or more candidates and asks for only a letter, number, label or id (`Reply with
  the letter of the best candidate only`). The answer is the label of the candidate with the most distinct words.
* **A synthesis.** The prompt carries two or more candidates. The answer names them, then gives the points that several
  of them make, then the points that each adds.
* **A task.** Any other prompt.

Candidates are recognised as

* elements whose tag starts with candidate, answer, response or solution: `<candidate id="A">...</candidate>`,
  `<response_2>...</response_2>`; the label is the `id`, `label`, `name`, `letter`, `number` or `index`, else the tag's
  ending, else the position;
* or sections under label lines: `### Candidate A`, `--- BEGIN ANSWER 2 ---`, `BEGIN 0123abcd candidate A` with any
  hexadecimal mark, `Response 3:`; optionally closed by an `END` line, their text optionally inside a code fence.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import dataclass

_NOUN = r"(?:candidate|answer|response|solution)"
_ELEMENT = re.compile(rf"<(?!{_NOUN}s\b)({_NOUN}([\w-]*))\b([^>]*)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_LABEL_ATTRIBUTE = re.compile(r"\b(?:id|label|name|letter|number|index)\s*=\s*[\"']?([\w-]+)", re.IGNORECASE)
_MARK = r"[0-9a-f-]{6,}"
_LABEL_LINE = re.compile(
    rf"^[^\w\n]*(?:BEGIN\W+(?:{_MARK}\W+)?)?{_NOUN}[^\w\n]+([A-Z]|C?\d{{1,3}})\b\W*?(?:\([^)\n]*\)|{_MARK})?[^\w\n]*$",
    re.IGNORECASE | re.MULTILINE,
)
_END_LINE = re.compile(rf"^[^\w\n]*END\b[^\n]*(?:{_NOUN}|{_MARK}).*", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_MARKED = re.compile(rf"^[^\w\n]*BEGIN\W+({_MARK})\b.*?^\W*END\W+\1\b", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"\s*(`{3,}|~{3,})[^\n]*\n(.*?)\n\1", re.DOTALL)
_LABEL_WORD = r"(?:letter|number|label|id|identifier|index)"
_FORM = re.compile(r'\{"(ranking|graft)": \[')
_TASK = re.compile(r"^#+ *Task\b[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_CHOICE = re.compile(
    rf"\b(?:only|just|nothing but|solely)\b[^.\n]{{0,60}}\b{_LABEL_WORD}\b"
    rf"|\b{_LABEL_WORD}\b[^.\n]{{0,60}}\b(?:only|alone|nothing else)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Candidate:
    """One answer among several, as a prompt presents it."""

    label: str
    text: str


@dataclass(frozen=True)
class _Approach:
    name: str
    opening: str
    steps: tuple[str, ...]
    trade_off: str


_APPROACHES = (
    _Approach(
        "smallest change",
        "Change as little as solves it.",
        (
            "Find the one place that decides the behaviour.",
            "Change it there; leave callers and names as they are.",
            "Pin the new behaviour with one test that fails without the change.",
        ),
        "Known rough edges around it remain.",
    ),
    _Approach(
        "test first",
        "A failing test defines the behaviour before any code is written.",
        (
            "Write down the expected behaviour as a test, with the edge cases.",
            "Make it pass in the simplest way.",
            "Pin the new behaviour with one test that fails without the change.",
            "Tidy up while the tests are green.",
        ),
        "The first result takes longer.",
    ),
    _Approach(
        "clear boundary",
        "The logic moves behind one small interface; everything else calls that.",
        (
            "Name the interface after what callers want.",
            "Find the one place that decides the behaviour.",
            "Move the rules behind it, one caller at a time.",
            "Document what it guarantees and what it does not.",
        ),
        "There are more files than before.",
    ),
    _Approach(
        "measure first",
        "Numbers decide which part deserves work.",
        (
            "Reproduce the case and record a baseline.",
            "Change the part that dominates the baseline, and only that.",
            "Measure again under the same conditions.",
            "Document what it guarantees and what it does not.",
        ),
        "Needs a case that can be reproduced.",
    ),
    _Approach(
        "step by step",
        "Several small changes, each of which could ship alone.",
        (
            "Rename and move code without changing behaviour.",
            "Write down the expected behaviour as a test, with the edge cases.",
            "Switch over behind a flag, then remove the flag.",
        ),
        "Two ways to do it exist for a while.",
    ),
)


def candidates(prompt: str) -> list[Candidate]:
    """Return the candidates a prompt carries: two or more, or none."""
    found = [
        Candidate(_element_label(match, position), match[4].strip())
        for position, match in enumerate(_ELEMENT.finditer(prompt), start=1)
    ] or _sections(prompt)
    return found if len(found) > 1 else []


def answer(prompt: str, *, run_id: int, model: str) -> str:
    """Answer a prompt in Markdown."""
    found = candidates(prompt)
    asked = form(prompt)
    if asked == "ranking":
        return _rank(found)
    if asked == "graft":
        return _graft(_sections(prompt))
    if not found:
        return _carry_out(prompt, run_id, model)
    if _CHOICE.search(_without(found, prompt)):
        return max(found, key=lambda candidate: len(set(candidate.text.lower().split()))).label
    return _merge(found)


def form(prompt: str) -> str | None:
    """Return whether the instructions of a prompt show the form of a `ranking` or of a `graft`; None for all others."""
    if found := _FORM.search(prompt.partition("\nBEGIN ")[0]):
        return found[1]
    return None


def topic(prompt: str) -> str:
    """Return the first line of a prompt, or of the text under its last heading `Task`, cut to a heading's length."""
    lines = _TASK.split(prompt)[-1].splitlines()
    first = next((line.strip(" #*>\t") for line in lines if line.strip(" #*>\t")), "the request")
    return first if len(first) <= 72 else first[:71].rstrip() + "…"


def _carry_out(prompt: str, run_id: int, model: str) -> str:
    # Consecutive ids use different approaches, so the candidates of one multi-run differ.
    approach = _APPROACHES[run_id % len(_APPROACHES)]
    confidence = random.Random(f"{prompt}|{model}|{run_id}").randint(70, 95)
    steps = "\n".join(f"{number}. {step}" for number, step in enumerate(approach.steps, start=1))
    return (
        f"## {topic(prompt)}\n\n"
        f"**Approach: {approach.name}.** {approach.opening}\n\n"
        f"{steps}\n\n"
        f"Trade-off: {approach.trade_off}\n\n"
        f"_Run {run_id}, {model}, {confidence} % confident._"
    )


def _rank(found: list[Candidate]) -> str:
    words = {candidate.label: len(set(candidate.text.lower().split())) for candidate in found}
    texts = {candidate.label: candidate.text for candidate in found}
    # By the texts if they have as many words: two judges who read them in different orders agree.
    ranking = sorted(words, key=lambda label: (-words[label], texts[label], label))
    reasons = {label: f"It has {count} distinct words." for label, count in words.items()}
    return json.dumps({"ranking": ranking, "reasons": reasons, "disagreements": [], "none_acceptable": False})


def _graft(found: list[Candidate]) -> str:
    points = {candidate.label: _points(candidate.text) for candidate in found}
    counts = Counter(point for own in points.values() for point in own)
    alone = [(label, point) for label, own in points.items() for point in own if counts[point] == 1]
    return json.dumps({"graft": [{"from": label, "what": point} for label, point in alone[:1]]})


def _merge(found: list[Candidate]) -> str:
    points = {candidate.label: _points(candidate.text) for candidate in found}
    counts = Counter(point for own in points.values() for point in own)
    shared = [point for point, count in counts.items() if count > 1]
    alone = [point for own in points.values() for point in own if counts[point] == 1]
    # The prompt forbids naming the candidates, whose letters mean nothing to a reader.
    sections = [("Points in several answers", shared), ("Points in one answer", alone)]
    body = "".join(
        f"\n\n### {title}\n\n" + "\n".join(f"- {point}" for point in lines) for title, lines in sections if lines
    )
    return f"## Synthesised answer\n\nThe points of {len(found)} answers, those that several share first.{body}"


def _points(text: str) -> dict[str, None]:
    """Return the distinct lines of a text, in order, without bullets, headings, fences and signatures."""
    lines = (re.sub(r"^(?:[-*+]|\d+[.)])\s+", "", line.strip()) for line in text.splitlines())
    return dict.fromkeys(line for line in lines if line and not line.startswith(("#", "`", "~", "_")))


def _element_label(match: re.Match[str], position: int) -> str:
    if attribute := _LABEL_ATTRIBUTE.search(match[3]):
        return attribute[1]
    return match[2].strip("_-") or str(position)


def _sections(prompt: str) -> list[Candidate]:
    starts = list(_LABEL_LINE.finditer(prompt))
    return [
        Candidate(start[1], _body(prompt[start.end() : following.start() if following else None]))
        for start, following in zip(starts, [*starts[1:], None], strict=False)
    ]


def _body(section: str) -> str:
    if fenced := _FENCED.match(section):
        return fenced[2].strip()
    return _END_LINE.sub("", section).strip()


def _without(found: list[Candidate], prompt: str) -> str:
    """Return a prompt without its candidates and without any other text between marks."""
    for candidate in found:
        prompt = prompt.replace(candidate.text, "")
    return _MARKED.sub("", prompt)


def setup_commands(repo: str, language: str | None) -> str:
    """Return the result of a run that works out how a repository is set up."""
    install = "npm ci" if language in ("TypeScript", "JavaScript") else "pip install -r requirements.txt"
    return f"## Setup commands of {repo}\n\n```bash\n{install}\n```\n\nTested in a new sandbox: it installs."


def sandbox_analysis(sandbox_id: int) -> str:
    """Return the result of a run that analyses a sandbox's setup logs."""
    return (
        f"## Setup of sandbox {sandbox_id}\n\n"
        "- Cause: one dependency needs a newer interpreter than the sandbox has.\n"
        "- Fix: pin that dependency, or install a newer interpreter in the setup commands."
    )
