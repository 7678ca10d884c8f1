"""The files that a tool was given, and what it does with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from codegen_runs.multi_runs.evidence.inputs import Pair

Access = Literal["changed", "read"]

MOST_PATH_CHARACTERS = 400
MOST_PATCH_LINES = 20_000

_PATH_NAMES = {
    *("path", "paths", "file", "files", "filepath", "filepaths", "filename", "filenames", "targetfile", "targetpath"),
    *("relativepath", "absolutepath", "notebookpath", "oldpath", "newpath", "sourcepath", "destinationpath"),
    *("relativeworkspacepath", "fullpath", "uri"),
}
_CHANGE_NAMES = {
    *("oldstring", "newstring", "oldstr", "newstr", "content", "contents", "newcontent", "filetext", "newtext"),
    *("edits", "codeedit", "insertline", "replacement", "newsource", "patch", "diff", "patchtext"),
}
_PATCH_NAMES = {"patch", "diff", "patchtext", "unifieddiff", "input", "changes", "content", ""}
_NAME_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CHANGING = {
    *("edit", "write", "create", "replace", "patch", "insert", "delete", "update", "rename", "move", "apply", "append"),
    *("multiedit", "remove", "save", "overwrite", "modify"),
}
_READING = {"view", "read", "open", "cat", "show", "get"}
_SEARCHING = {"list", "ls", "search", "grep", "ripgrep", "glob", "find", "directory", "semantic", "codebase", "tree"}
_SHELLS = {"bash", "shell", "command", "terminal", "exec", "execute", "sh", "zsh", "powershell", "cmd", "console"}

_HEADERS = (
    re.compile(r"^(?:\+\+\+|---) (?:[ab]/)?([^\t\n]+)"),
    re.compile(r"^\*\*\* (?:(?:Update|Add|Delete) File|Move to): (.+)"),
    re.compile(r"^diff --git a/(\S+) b/\S+"),
    re.compile(r"^rename (?:from|to) (.+)"),
)


def words(tool: str) -> set[str]:
    """Return the words of a tool's name, in lower case."""
    return {word.lower() for word in _NAME_PARTS.findall(tool[:100])}


def shell_command(tool: str, given: Sequence[Pair]) -> str | None:
    """Return the shell command that a tool was given; None if it is no shell."""
    is_shell = bool(words(tool) & _SHELLS)
    if not is_shell and words(tool) & (_CHANGING | _READING):
        return None  # an editor calls its actions commands
    has_path = any(name in _PATH_NAMES for name, _ in given)
    arguments = [value for name, value in given if name in ("command", "cmd") and isinstance(value, str)]
    if not arguments and is_shell:
        arguments = [
            value for name, value in given if name in ("", "script", "code", "input") and isinstance(value, str)
        ]
    if not arguments or (has_path and not is_shell):
        return None
    # A list such as ["bash", "-lc", "pytest -q"] has one element per word.
    if len(arguments) >= 3 and re.fullmatch(r"-[a-z]*c", arguments[1]):
        return arguments[2]
    return " ".join(arguments)


def touched(tool: str, given: Sequence[Pair]) -> list[tuple[str, Access | None]]:
    """Return the files that a tool was given, with what it does with them, if that is known."""
    found: dict[str, Access | None] = {}
    for name, value in given:
        if name in _PATCH_NAMES and isinstance(value, str):
            found |= dict.fromkeys(patched(value), "changed")
    access = _access(tool, given)
    if access != "search":
        for name, value in given:
            if name in _PATH_NAMES and isinstance(value, str) and (path := clean(value)):
                found.setdefault(path, access)
    return list(found.items())


def patched(text: str) -> list[str]:
    """Return the files in the headers of a patch or a diff."""
    if not re.search(r"^(?:diff --git |\*\*\* |\+\+\+ |--- )", text[:200_000], re.MULTILINE):
        return []
    found: dict[str, None] = {}
    lines = text.split("\n", MOST_PATCH_LINES)[:MOST_PATCH_LINES]
    for number, line in enumerate(lines):
        if line.startswith("--- ") and not lines[min(number + 1, len(lines) - 1)].startswith("+++ "):
            continue  # a removed line, or a rule
        for header in _HEADERS:
            if (match := header.match(line[:1000])) and (path := clean(match[1])) and path != "dev/null":
                found[path] = None
    return list(found)


def clean(path: str) -> str | None:
    """Return a path without `./`, a scheme and what surrounds it; None if it cannot be a path of a file."""
    path = path[: 2 * MOST_PATH_CHARACTERS].strip().strip("\"'`")
    path = path.removeprefix("file://")
    while path.startswith("./"):
        path = path[2:]
    is_none = not path or path in (".", "/", "..", "/dev/null") or path.endswith("/")
    if is_none or len(path) > MOST_PATH_CHARACTERS or "\n" in path or "://" in path:
        return None
    return path.encode("utf-8", "replace").decode("utf-8")


def _access(tool: str, given: Sequence[Pair]) -> Access | Literal["search"] | None:
    action = next((value for name, value in given if name == "command" and isinstance(value, str)), "")
    named = words(tool)
    if named & _CHANGING and action in ("view", "read"):
        return "read"
    if named & _CHANGING or any(name in _CHANGE_NAMES for name, _ in given):
        return "changed"
    if named & _SEARCHING:
        return "search"
    return "read" if named & _READING else None
