"""Secrets that are recognised by the name in front of them: `password=...`, `"token": "..."`, `--api-key ...`.

A value stays if it is no secret but stands for one: a variable, a call, a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from codegen_runs.secret_forms import MASK, is_variable

_CORES = ("pass", "pwd", "secret", "token", "key", "credential", "auth", "cookie", "signature")
_ENDINGS = {"pass": "(?:word|wd|phrase|code)?", "auth": "(?:orization|token)?", "credential": "s?"}


@cache
def _named(core: str) -> re.Pattern[str]:
    """Return the expression of a name that ends with a word, and of the sign after it, in lower case."""
    return re.compile(
        core + _ENDINGS.get(core, "") + r"(?:[_-](?:prod|production|staging|stage|dev|test|live|old|new|primary"
        r"|secondary|admin|root|[0-9]{1,3}))?"
        r"(?:[\\\"'`\]]{0,6}[ \t]{0,8}(?P<sign>=>|:=|={1,3}|:)[ \t]{0,8}|(?P<gap>[ \t]{1,4}))"
    )


@cache
def _value() -> re.Pattern[str]:
    return re.compile(
        r"[bfru]{0,2}(?:\\{1,3}[\"'](?P<escaped>[^\"'\\\r\n]*+)|\"(?P<double>(?:\\.|[^\"\\\r\n])*+)"
        r"|'(?P<single>(?:\\.|[^'\\\r\n])*+)|`(?P<back>[^`\r\n]*+))"
        r"|(?P<bare>[^\s\"'`<>(){}\[\]|\\,;&]++)(?P<next>[(\[{,).;\\}]?)",
        re.IGNORECASE,
    )


@cache
def _header() -> re.Pattern[str]:
    return re.compile(
        r"[\"']?(?:(?:basic|bearer|token|digest|apikey|ssws|negotiate|ntlm|bot|hawk|key)[ \t]{1,3})?"
        r"(?P<value>[^\s\"'`\\,;{}<>$()]++)",
        re.IGNORECASE,
    )


@cache
def _cookies() -> re.Pattern[str]:
    return re.compile(r"[\\\"']{0,3}(?P<value>[\w.%~-]{1,80}=[^\s\"'\\][^\"'\\\r\n]*)")


_KEYS = (
    *("apikey", "accesskey", "secretkey", "authkey", "privatekey", "signingkey", "encryptionkey", "sharedkey"),
    *("accountkey", "masterkey", "servicekey", "licensekey", "sessionkey", "deploykey", "jwtkey", "storagekey"),
    *("subscriptionkey", "adminkey", "appkey", "applicationkey", "clientkey", "webhookkey", "hmackey"),
    *("iamkey", "writekey", "ingestionkey", "cipherkey", "aeskey", "vaultkey"),
)
_PASSWORDS = ("password", "passwd", "passphrase", "passcode", "pwd", "secret")


@cache
def _placeholder() -> re.Pattern[str]:
    return re.compile(
        r"(?:your|enter|insert|replace|example|placeholder|dummy|sample)(?:[-_. ]?[a-z]+)*|change[-_ ]?(?:me|it|this)|"
        r"(?:my|some|the|an?)[-_ ](?:[a-z]+[-_ ]?)*|none|null|nil|true|false|undefined|str(?:ing)?|bytes|text"
        r"|int(?:eger)?|"
        r"number|boolean|any|optional|required|object|todo|redacted|masked|hidden|passw(?:or)?d|secret|token"
        r"|api[-_ ]?key|"
        r"key|value|credentials?|pwd|bearer|basic|self|this|input|please|then|and|or|not|is|was|must|too|yes|no|ok|wrong"
        r"|invalid|incorrect|missing|empty|failed|expired|accepted|rejected|again|below|here|matches|mismatch",
        re.IGNORECASE,
    )


@cache
def _path() -> re.Pattern[str]:
    return re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|->|::|\?\.)[A-Za-z_$][\w$]*)*")


@cache
def _route() -> re.Pattern[str]:
    """Return the expression of a path to a file or of a route: words, parameters and versions, and no random text."""
    parts = r"(?:[-_.](?:[A-Za-z]+[0-9]{0,5}|[0-9]{1,4}))*+"
    word = rf"(?:\.{{0,2}}[A-Za-z]++[0-9]{{0,3}}{parts}|[:$]\w++|\*+|\.{{1,2}}|[0-9]{{1,4}})"
    return re.compile(rf"/(?:[A-Za-z]++{parts}|{word}(?:/{word})++)?/?(?:[?#].*)?")


@cache
def _elements() -> re.Pattern[str]:
    """Return the expression of an element of XML that has a text."""
    return re.compile(r"<(?P<name>[A-Za-z_][\w.:-]{0,60})(?:\s[^<>]{0,200})?>(?P<value>[^<>\r\n]{1,400})<\\?/")


@cache
def _attributes() -> re.Pattern[str]:
    """Return the expression of a name and a value in two attributes: `<add key="Password" value="..."/>`."""
    quote = r"\\?[\"']"
    return re.compile(
        rf"(?:key|name)={quote}(?P<name>[\w.:-]{{1,60}}){quote}\s{{1,4}}value={quote}(?P<value>[^\"'<>\\\r\n]{{1,400}})",
        re.IGNORECASE,
    )


@cache
def _of_code() -> re.Pattern[str]:
    return re.compile(
        r"pass|pwd|secret|token|key|cred|env|conf|setting|hash|arg|param|input|form|request|user|field|value|get|read"
    )


@cache
def _prose() -> re.Pattern[str]:
    return re.compile(
        r"\b(?:password|required|must|invalid|enter|your|forgot|reset|please|the|to|is|for)\b", re.IGNORECASE
    )


def mask_named(text: str, lower: str) -> str:
    """Return a text in which the values of names such as `password` are masked.

    Args:
        text: The text.
        lower: The text in lower case.
    """
    cores = [core for core in _CORES if core in lower]
    if not cores:
        return text
    spans = sorted([*(span for core in cores for span in _spans(core, text, lower)), *_spans_of_markup(text, lower)])
    parts: list[str] = []
    end = 0
    for start, stop in spans:
        if start >= end:
            parts += [text[end:start], MASK]
            end = stop
    return "".join([*parts, text[end:]]) if parts else text


def is_secret(name: str, value: str) -> bool:
    """Return whether the value of a member of this name is a secret."""
    kind = kind_of(name)
    if kind == "header":
        return len(value) >= 4 and not _stands_for_another(value) and " " not in value.partition(" ")[2]
    return kind is not None and _quoted_secret(kind, value)


def _spans_of_markup(text: str, lower: str) -> Iterator[tuple[int, int]]:
    patterns = [_elements()] if "</" in text or "<\\/" in text else []
    for pattern in [*patterns, _attributes()] if "value=" in lower else patterns:
        for found in pattern.finditer(text):
            kind = kind_of(found["name"].rpartition(":")[2])
            if kind is not None and _quoted_secret(kind, found["value"]):
                yield found.span("value")


def _spans(core: str, text: str, lower: str) -> Iterator[tuple[int, int]]:
    position = 0
    pattern = _named(core)
    while found := pattern.search(lower, position):
        position = found.end()
        name = _name(text, found.start(), found.end() if found["sign"] is None else found.start("sign"))
        kind = kind_of(name.strip("\\\"'`] \t"))
        if kind is None or _is_in_arn(text, found.start()) or (found["sign"] is None and not name.startswith("-")):
            continue
        if kind == "header":
            value = (_cookies() if core == "cookie" else _header()).match(text, position)
            if value:
                position = value.end()
                if core == "cookie" or _looks_random(value["value"]):
                    yield value.span("value")
            continue
        value = _value().match(text, position)
        if value is None:
            continue
        position = value.end()
        group = next(each for each in ("escaped", "double", "single", "back", "bare") if value[each] is not None)
        given = value[group]
        is_value = (
            _bare_secret(
                kind, name, given, value["next"], found["sign"], text[value.end("bare") : value.end("bare") + 80]
            )
            if group == "bare"
            else _quoted_secret(kind, given)
        )
        if is_value:
            yield value.span(group)


def _name(text: str, start: int, end: int) -> str:
    """Return the whole name that contains the word at `start`; a name has at most 48 characters before it."""
    first = start
    while first > max(0, start - 48) and (text[first - 1].isalnum() or text[first - 1] in "_-."):
        first -= 1
    return text[first:end]


def _is_in_arn(text: str, place: int) -> bool:
    """Return whether a name is a part of the ARN of a secret: `arn:aws:secretsmanager:...:secret:...`."""
    before = text[max(0, place - 80) : place]
    return before.endswith(":") and "secretsmanager:" in before.split()[-1]


@lru_cache(2048)
def kind_of(name: str) -> str | None:
    """Return what the value of a name is: a `password`, a `token` or a `header`; None if it is no secret."""
    plain = re.sub(r"[-_. ]|[0-9]+$", "", name.lower())
    plain = re.sub(r"(?:prod|production|staging|stage|dev|test|live|old|new|primary|secondary|admin|root)$", "", plain)
    if plain.endswith(("authorization", "cookie")):
        return "header"
    if plain.endswith(_PASSWORDS) or plain == "pass" or re.search(r"(?:[_-]|[a-z](?=P))pass$", name, re.IGNORECASE):
        return "password"
    if plain.endswith(("token", "credential", "credentials", *_KEYS)) or name in ("auth", "_auth"):
        return "token"
    return "token" if plain.endswith(("signature",)) and plain.startswith("x") else None


def _stands_for_another(value: str) -> bool:
    return (
        not value.replace(MASK, "").strip(" .*-_#?\u2022")
        or is_variable(value)
        or value.startswith(("$", "{{", "${", "<", "%(", "!Ref", "arn:", "op://", "vault:", "ssm:"))
        or _placeholder().fullmatch(value) is not None
    )


def _quoted_secret(kind: str, value: str) -> bool:
    if _stands_for_another(value):
        return False
    if kind == "password":
        return not (" " in value and _prose().search(value))
    return " " not in value and _looks_random(value)


_OF_CODE_AND_URLS = ("./", "../", "//", "/*", "/^", "http://", "https://")


def _is_path_or_route(value: str) -> bool:
    return value.startswith("/") and _route().fullmatch(value) is not None


def _looks_random(value: str) -> bool:
    """Return whether a value is long, and no word, number, path or URL."""
    if len(value) < 8 or value.startswith(_OF_CODE_AND_URLS) or value.isdecimal() or _is_path_or_route(value):
        return False
    if _stands_for_another(value) or re.fullmatch("[A-Z]+(?:_[A-Z]+)+", value):
        return False
    has_digit = any(map(str.isdigit, value))
    return has_digit or (len(value) >= 20 and re.fullmatch("[a-z]+(?:[-_. ][a-z]+)*", value) is None)


def _bare_secret(kind: str, name: str, value: str, following: str, sign: str | None, rest: str) -> bool:
    if len(value) < 2 or following in tuple("([{") or _stands_for_another(value):
        return False
    if "==" in (sign or "") or value.startswith(_OF_CODE_AND_URLS) or _is_path_or_route(value):
        return False
    is_path = _path().fullmatch(value) is not None
    has_digit = any(map(str.isdigit, value))
    is_variable_of_shell = sign == "=" and name.isupper()
    if is_path and not is_variable_of_shell:
        if "." in value and (not has_digit or _of_code().search(value.lower())):
            return False
        if not has_digit and (
            following or _of_code().search(value.lower()) or re.fullmatch("[A-Z]+(?:_[A-Z]+)+", value)
        ):
            return False
    if kind == "token":
        return _looks_random(value) or (is_variable_of_shell and len(value) >= 8 and not value.isupper())
    if sign == ":" and not has_digit:  # A word in a sentence, or a line of YAML.
        return following == "" and not rest.partition("\n")[0].strip()
    return len(value) >= 4 or not value.isdecimal()
