"""Secrets in the arguments of commands, where no name stands in front of them: `curl -u user:SECRET`, `mysql -pSECRET`.

Every expression begins with the name of a command, and looks at a bounded number of characters after it.
"""

from __future__ import annotations

import re
from functools import cache

from codegen_runs.secret_forms import MASK, is_variable

# What may stand between a command and the option: other arguments, of the same command and on the same line.
_ARGUMENTS = r"(?=[ \t])(?:[^\n\r\\|]|\\[\s\S]){0,200}?"

# A place where an option begins, also after the spaces of a continued line.
_GAP = r"(?<=[ \t\"',])"
_VALUE = r"(?:\\{0,3}\"(?P<double>[^\"\\\r\n]++)|\\{0,3}'(?P<single>[^'\\\r\n]++)|(?P<bare>[^\s\"'`\\|;&<>()]++))"

# What comes after an option: its value, its value without a space, or `user:` and the value.
_NEXT = r"(?:=|[ \t]{1,4})" + _VALUE
_ATTACHED = _VALUE
_EITHER = r"[= \t]{0,4}" + _VALUE
_AFTER_USER = (
    r"[= \t]{0,4}\\{0,3}(?:\"[^\s\"\\:]{0,80}:(?P<double>[^\"\\\r\n]++)|'[^\s'\\:]{0,80}:(?P<single>[^'\\\r\n]++)"
    r"|[^\s\"'\\:]{0,80}:(?P<bare>[^\s\"'`\\|;&<>()]++))"
)

_OPTIONS = {
    "curl": rf"(?:-[a-zA-Z]{{0,5}}u|-U|--(?:proxy-)?user(?![\w-])){_AFTER_USER}",
    "http https xh": rf"(?:-a|--auth(?![\w-])){_AFTER_USER}",
    "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlshow mariadb mariadb-dump mariadb-admin": "-p" + _ATTACHED,
    "sshpass": "-p" + _EITHER,
    "redis-cli": "-a" + _NEXT,
    "mongo mongosh mongodump mongorestore mongoexport mongoimport": "-p" + _EITHER,
    "ldapsearch ldapadd ldapmodify ldapdelete ldappasswd ldapwhoami": "-w" + _EITHER,
    "sqlcmd bcp": "-P" + _EITHER,
    "zip unzip zipcloak": "-P" + _EITHER,
    "7z 7za 7zr": "-p" + _ATTACHED,
    "login": "-p" + _NEXT,  # docker login, az login, cf login
    "openssl": f"-pass(?:in|out)?[= \t]{{1,4}}pass:{_VALUE}",
    "keytool jarsigner": f"-(?:store|key|deststore|destkey|srcstore)pass{_NEXT}",
    "ngrok": r"(?:add-)?authtoken[ \t]{1,4}(?P<bare>[\w-]{20,})",
    "htpasswd": rf"-[a-zA-Z]{{0,4}}b[a-zA-Z]{{0,4}}[ \t]{{1,4}}\S{{1,200}}[ \t]{{1,4}}\S{{1,80}}[ \t]{{1,4}}{_VALUE}",
}

# No password: the next option, or the ports of a container that is named after a command.
_HARMLESS = re.compile(r"-.*|(?:[0-9.]+:)?[0-9]{1,5}:[0-9]{1,5}(?:/\w+)?")

_PARTS = ("double", "single", "bare")


@cache
def _commands() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (name, re.compile(rf"(?<![\w.-]){re.escape(name)}{_ARGUMENTS}{_GAP}{option}"))
        for names, option in _OPTIONS.items()
        for name in names.split()
    )


@cache
def _netrc() -> re.Pattern[str]:
    gap = r"(?:\s|\\[nrt]){1,8}"
    word = r"[^\s\\]{1,200}"
    return re.compile(
        rf"(?:machine{gap}{word}|default){gap}login{gap}{word}{gap}(?:account{gap}{word}{gap})?"
        rf"password{gap}(?P<bare>[^\s\"'\\]+)"
    )


def mask_commands(text: str) -> str:
    """Return a text in which the secrets among the arguments of commands are masked."""
    if " -" in text or "\t-" in text or "login" in text or "authtoken" in text:
        for name, pattern in _commands():
            if name in text:
                text = pattern.sub(_masked, text)
    if "password" in text and ("machine" in text or "default" in text):
        text = _netrc().sub(_masked, text)
    return text


def mask_argument(command: str, before: str, argument: str) -> str:
    """Return an element of a list of arguments, masked if it is a secret of the command.

    Args:
        command: The first element of the list, which may be a path.
        before: The element before the argument.
        argument: The element.
    """
    name = command.rpartition("/")[2]
    if not any(name in names.split() for names in _OPTIONS):
        return argument
    start = f"{name} {before} "
    masked = mask_commands(start + argument)
    if masked == start + argument or not masked.startswith(start):
        return argument
    return masked.removeprefix(start).partition(MASK)[0] + MASK


def _masked(found: re.Match[str]) -> str:
    parts = found.groupdict()
    group = next(each for each in _PARTS if parts.get(each) is not None)
    value = found[group]
    if MASK in value or is_variable(value) or value.startswith(("$", "{{")) or _HARMLESS.fullmatch(value):
        return found[0]
    start, end = (place - found.start() for place in found.span(group))
    return found[0][:start] + MASK + found[0][end:]
