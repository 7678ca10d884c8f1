"""Shell commands: their parts, their exit codes, and the paths in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from codegen_runs.multi_runs.evidence.inputs import Pair

MOST_CHARACTERS = 6_000
MOST_PARTS = 60

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")

# Programs that start another one. The number is that of the arguments of their own, besides options.
_WRAPPERS = {
    **dict.fromkeys(("sudo", "time", "nice", "env", "nohup", "command", "exec", "then", "do", "else", "if", "!"), 0),
    **dict.fromkeys(("npx", "bunx", "xvfb-run", "stdbuf", "unbuffer", "coverage"), 0),
    "timeout": 1,
}
_RUNNERS = {
    ("poetry", "run"),
    ("uv", "run"),
    ("pipenv", "run"),
    ("hatch", "run"),
    ("pdm", "run"),
    ("rye", "run"),
    ("bundle", "exec"),
    ("pnpm", "exec"),
    ("pnpm", "dlx"),
    ("npm", "exec"),
    ("yarn", "exec"),
    ("yarn", "dlx"),
    ("docker", "exec"),
}
_OPERATORS = {"&&", "||", ";", "|", "&", "|&", ";;", "(", ")", "\n"}

_EXIT_NAMES = {"exitcode", "returncode", "exitstatus", "statuscode", "code"}
_EXIT_LINE = re.compile(
    r"^\W{0,8}(?:(?:the )?(?:process|command|program|script) )?(?:has )?(?:exit(?:ed)?|returned|finished|failed)"
    r"(?: with)?(?: (?:exit|return|a))?(?: ?(?:code|status))(?: of)?\s{0,3}[:=]?\s{0,3}(-?\d{1,5})\b",
    re.IGNORECASE,
)

_PATH = re.compile(r"(?:\.{0,2}/)?(?:[\w.@+-]{1,80}/){0,20}[\w@+-][\w.@+-]{0,80}\.[A-Za-z][A-Za-z0-9]{0,7}")
_HOST = re.compile(r"^(?:www\.|[\w-]+\.(?:com|org|net|io|dev)\b)")


def parts(command: str, *, is_inner: bool = False) -> list[list[str]]:
    """Return the simple commands of a shell command as their words, without wrappers such as `sudo` or `uv run`.

    The command of a shell within it, as in `bash -c`, is read as well, unless it is itself inner.
    """
    found: list[list[str]] = []
    words: list[str] = []
    for word in [*_words(without_heredocs(command[:MOST_CHARACTERS])), "\n"]:
        if word not in _OPERATORS:
            words.append(word)
            continue
        if simple := _unwrapped(words):
            inner = _inner(simple)
            found += [simple] if inner is None or is_inner else parts(inner, is_inner=True)
        words = []
        if len(found) >= MOST_PARTS:
            break
    return found[:MOST_PARTS]


def _inner(words: Sequence[str]) -> str | None:
    """Return the command that a shell is started with."""
    if program(words[0]) not in ("bash", "sh", "zsh", "dash"):
        return None
    numbers = (number for number, word in enumerate(words[:6]) if re.fullmatch(r"-[a-z]*c", word))
    number = next(numbers, len(words))
    return words[number + 1] if number + 1 < len(words) else None


def without_heredocs(command: str) -> str:
    """Return a command without the text of its here-documents."""
    lines, end = [], None
    for line in command.split("\n"):
        if end is not None:
            end = None if line.strip() == end else end
            continue
        lines.append(line)
        if found := _HEREDOC.search(line):
            end = found[2]
    return "\n".join(lines)


def is_piped(command: str) -> bool:
    """Return whether the exit code of a command may be that of another command than its main one."""
    words = _words(without_heredocs(command[:MOST_CHARACTERS]))
    return any(word in ("|", "||", "|&", ";", "&", "\n") for word in words)


def exit_code(output: Sequence[Pair], text: str) -> int | None:
    """Return the exit code that the output of a command shows: as a member, else in its first or last lines."""
    for name, value in output:
        if name in _EXIT_NAMES:
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if isinstance(value, str) and re.fullmatch(r"-?\d{1,5}", value.strip()):
                return int(value)
    lines = [line for line in text[:2000].split("\n")[:3] + text[-2000:].split("\n")[-4:] if line.strip()]
    for line in lines:
        if found := _EXIT_LINE.match(line[:200]):
            return int(found[1])
    return None


def paths(command: str) -> list[str]:
    """Return the words of a command that have the form of a file's path."""
    found: dict[str, None] = {}
    for simple in parts(command):
        for word in simple[1:]:
            value = word.rpartition("=")[2] if word.startswith("-") else word
            value = value.partition("::")[0]  # pytest's `file::test`
            if len(value) <= 400 and _PATH.fullmatch(value) and not _HOST.match(value):
                found[value.removeprefix("./")] = None
    return list(found)


def program(word: str) -> str:
    """Return the name of a program without its folder."""
    return word.rpartition("/")[2]


def _words(command: str) -> list[str]:
    """Split a command as a shell does. Quotes that are not closed are taken as characters."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="();|&\n")
    lexer.whitespace = " \t\r"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:
        words = re.findall(r"&&|\|\||[();|&\n]|[^\s();|&]+", command)
    return [_operator(word) for word in words]


def _operator(word: str) -> str:
    # Several line ends, or an operator and a line end, are one word for shlex.
    if word and not word.strip("();|&\n"):
        return next((operator for operator in ("&&", "||", "|&", "|", ";", "&") if operator in word), "\n")
    return word


def _unwrapped(words: Sequence[str]) -> list[str]:
    rest = list(words[:200])
    while rest:
        if _ASSIGNMENT.match(rest[0]):
            rest = rest[1:]
            continue
        name = program(rest[0])
        if (name, *rest[1:2]) in _RUNNERS:
            rest = rest[2:]
            while rest and rest[0].startswith("-"):
                rest = rest[1:]
        elif name in _WRAPPERS:
            own = _WRAPPERS[name] + (name == "coverage" and rest[1:2] == ["run"])
            rest = rest[1:]
            while rest and (rest[0].startswith("-") or own):
                own -= not rest[0].startswith("-")
                if rest[0] == "-m":  # `coverage run -m pytest`
                    rest = ["python", *rest]
                    break
                rest = rest[1:]
        else:
            break
    return rest
