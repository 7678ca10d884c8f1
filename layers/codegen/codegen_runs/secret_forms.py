"""The forms of secrets that are recognised by themselves: tokens with a prefix, private keys, URLs with a password.

Public lists of such forms are those of gitleaks, detect-secrets and trufflehog. The lengths here are at most those of
the real secrets, because a text may contain only the beginning of a secret.

Every expression is linear in the text: a match begins with a literal, and either it needs a bounded number of
characters, or it consumes everything that it looks at, and its function decides afterwards whether it is a secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

MASK = "[redacted]"
"""What a secret is replaced by."""

_Found = re.Match[str]

# Bodies of tokens.
_LETTERS = "[A-Za-z0-9]"
_WORD = "[A-Za-z0-9_-]"
_HEX = "[0-9A-Fa-f]"
_UUID = f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"

# The text of a token with a narrow alphabet, such as a hash, ends where its alphabet ends.
_END = "(?![A-Za-z0-9])"
_END_OF_BASE64 = "(?![A-Za-z0-9+/])"
_END_OF_DATA = "(?![A-Za-z0-9+])"

# The prefixes of tokens, and what follows them. They are found anywhere, also after a letter.
_ANYWHERE = {
    "cgr_": f"{_LETTERS}{{20,}}",  # this deployment
    "ghp_ gho_ ghu_ ghs_ ghr_": f"{_LETTERS}{{20,}}",
    "github_pat_": "[A-Za-z0-9_]{20,}",
    "glpat- gldt- glrt- glptt- gloas- glsoat-": rf"{_WORD}{{16,}}(?:\.{_WORD}+)*",
    "glft- glimt- glagent- glcbt- glffct- glwt-": f"{_WORD}{{16,}}",
    "GR1348941": f"{_WORD}{{20,}}",
    "xoxa- xoxb- xoxc- xoxd- xoxe- xoxo- xoxp- xoxr- xoxs- xoxe.xoxb- xoxe.xoxp-": "[A-Za-z0-9%-]{10,}",
    "xapp-": "[A-Za-z0-9-]{10,}",
    "GOCSPX-": f"{_WORD}{{20,}}",
    "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_": f"{_LETTERS}{{10,}}",
    "whsec_": "[A-Za-z0-9+/=]{20,}",
    "npm_": f"{_LETTERS}{{20,}}",
    "pypi-AgE": f"{_WORD}{{13,}}",
    "pypi-": f"{_WORD}{{36,}}",
    "dop_v1_ doo_v1_ dor_v1_": f"{_LETTERS}{{32,}}",
    "shpat_ shpca_ shppa_ shpss_ shptka_": f"{_LETTERS}{{20,}}",
    "sq0atp- sq0csp- sq0idp-": f"{_WORD}{{20,}}",
    "HRKU-": f"{_WORD}{{30,}}",
    "lin_api_ lin_oauth_": f"{_LETTERS}{{20,}}",
    "ntn_": f"{_LETTERS}{{30,}}",
    "ATATT3 ATCTT3 ATSTT3": "[A-Za-z0-9_=-]{20,}",
    "dckr_pat_ dckr_oat_": f"{_WORD}{{20,}}",
    "glsa_": "[A-Za-z0-9_]{20,}",
    "glc_": "[A-Za-z0-9+/=]{32,}",
    "gsk_": f"{_LETTERS}{{30,}}",
    "pplx-": f"{_LETTERS}{{30,}}",
    "xai-": f"{_LETTERS}{{40,}}",
    "nvapi-": f"{_WORD}{{40,}}",
    "lsv2_": "[A-Za-z0-9_]{30,}",
    "tvly-": f"{_WORD}{{20,}}",
    "sb_secret_": f"{_WORD}{{20,}}",
    "sbp_": f"{_HEX}{{40,}}{_END}",
    "tskey-": f"{_WORD}{{20,}}",
    "PMAK-": f"{_WORD}{{30,}}",
    "rubygems_": f"{_HEX}{{40,}}{_END}",
    "pscale_tkn_ pscale_oauth_ pscale_pw_": "[A-Za-z0-9_=.-]{20,}",
    "sntrys_": "[A-Za-z0-9_=+/-]{30,}",
    "sntryu_": f"{_HEX}{{40,}}{_END}",
    "NRAK- NRII- NRJS- NRAA- NRRA-": f"{_WORD}{{19,}}",
    "xkeysib- xsmtpsib-": f"{_WORD}{{40,}}",
    "shippo_live_ shippo_test_": f"{_LETTERS}{{30,}}",
    "duffel_live_ duffel_test_": "[A-Za-z0-9_=-]{30,}",
    "rzp_live_ rzp_test_": f"{_LETTERS}{{14,}}",
    "FLWSECK-": f"{_WORD}{{12,}}",
    "FLWSECK_TEST-": f"{_WORD}{{12,}}",
    "CFPAT-": f"{_WORD}{{30,}}",
    "CLOJARS_": f"{_LETTERS}{{40,}}",
    "CCIPAT_": f"{_WORD}{{40,}}",
    "figd_ figu_": f"{_WORD}{{30,}}",
    "fio-u-": "[A-Za-z0-9_=-]{40,}",
    "fo1_": f"{_WORD}{{40,}}",
    "fm1a_ fm1r_ fm2_": "[A-Za-z0-9+/=_-]{60,}",
    "ops_eyJ": "[A-Za-z0-9+/=_-]{50,}",
    "rdme_": f"{_LETTERS}{{40,}}",
    "tfp_": "[A-Za-z0-9_.=-]{40,}",
    "bkua_": f"{_HEX}{{40,}}{_END}",
    "nfp_": f"{_LETTERS}{{30,}}",
    "AGE-SECRET-KEY-1": f"{_LETTERS}{{50,}}",
    "sha256~": f"{_WORD}{{43,}}",
    "phx_": f"{_LETTERS}{{40,}}",
    "vercel_blob_rw_": "[A-Za-z0-9_]{20,}",
    "vcp_ vci_ vca_ vcr_ vck_": f"{_LETTERS}{{24,}}",
    "eyJrIjoi": f"[A-Za-z0-9+/]{{50,}}={{0,2}}{_END_OF_BASE64}",  # Grafana, before its service accounts
    "aio_": f"{_LETTERS}{{28}}{_END}",  # Adafruit
    "bkct_": f"{_LETTERS}{{30,}}",
    "cfut_ cfat_": f"{_LETTERS}{{30,}}",
    "crsr_": f"{_HEX}{{40,}}{_END}",
    "ddapp_ ddpat_": f"{_LETTERS}{{30,}}",
    "dnkey-": f"{_WORD}{{20,}}",
    "FLWPUBK- FLWPUBK_TEST-": f"{_WORD}{{20,}}",
    "s-s4t2ud- u-s4t2ud-": f"{_HEX}{{64}}{_END}",
    "secret-live- secret-test-": f"{_WORD}{{30,}}",
    "sm_aat_ sm_pat_ sm_sat_": f"{_LETTERS}{{16,}}",
    "tgp_v1_": f"{_WORD}{{40,}}",
    "BBFF-": f"{_LETTERS}{{30,}}",
    "unkey_": f"{_LETTERS}{{20,}}",
    "zpka_": "[A-Za-z0-9_]{30,}",
    "pcsk_": "[A-Za-z0-9_]{40,}",
    "napi_": f"{_LETTERS}{{40,}}",
    "polar_pat_ polar_oat_": f"{_LETTERS}{{30,}}",
    "jina_": f"{_LETTERS}{{40,}}",
    "esecret_": f"{_LETTERS}{{20,}}",
    "waka_": _UUID,
    "SWMTKN-1- SWMKEY-1-": f"{_WORD}{{40,}}",
    "bedrock-api-key-": "[A-Za-z0-9+/=]{40,}",
    "secret-token:": f"{_WORD}{{20,}}",  # RFC 8959
    "_gitlab_session=": f"{_HEX}{{32}}{_END}",
    "sk-ant-": f"{_WORD}{{12,}}",
    "sk-proj- sk-svcacct- sk-admin-": f"{_WORD}{{16,}}",
}

# Prefixes that words, paths or encoded data may contain too. They are found where a word begins.
_WHERE_A_WORD_BEGINS = {
    "hf_ api_org_": f"{_LETTERS}{{20,}}",
    "AKIA ASIA ABIA ACCA": f"[A-Z0-9]{{16}}{_END}",
    "A3T": f"[A-Z0-9]{{17}}{_END}",
    "ya29.": f"{_WORD}{{16,}}(?:\\.{_WORD}+)*",
    "1//0": f"{_WORD}{{30,}}",
    "SG.": rf"{_WORD}{{16,66}}+\.{_WORD}{{16,}}",
    "sl.": f"(?:u\\.)?{_WORD}{{60,}}",
    "hvs. hvb. hvr.": f"{_WORD}{{20,}}",
    "dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit.": "[A-Za-z0-9_.-]{30,}",
    "mfa.": f"{_WORD}{{60,}}",
    "pul-": f"{_HEX}{{40}}{_END}",
    "key-": f"{_HEX}{{32}}{_END}",
    "SK": f"[0-9a-f]{{32}}{_END}",
    "dapi": f"{_HEX}{{32}}{_END}(?:-[0-9])?",
    "secret_": f"{_LETTERS}{{40,}}",
    "sk_": f"{_HEX}{{40,}}{_END}",
    "sqp_ squ_ sqa_": f"{_HEX}{{40}}{_END}",
    "sgp_": "[A-Za-z0-9_]{40,}",
    "r8_": f"{_LETTERS}{{30,}}",
    "re_": f"{_LETTERS}{{6,12}}_{_LETTERS}{{20,}}",
    "pnu_ pnb_": f"{_LETTERS}{{30,}}",
    "e2b_": f"{_HEX}{{40}}{_END}",
    "pat-na1- pat-na2- pat-eu1- pat-ap1-": _UUID,
    "access-sandbox- access-development- access-production-": _UUID,
    "amzn.mws.": _UUID,
    "p8e-": f"{_LETTERS}{{32}}{_END}",
    "tk-us-": f"{_WORD}{{40,}}",
    "ico-": f"{_LETTERS}{{32}}{_END}",
    "API-": f"[A-Z0-9]{{25,}}{_END}",
    "A3-": "[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}",
    "dt0c01. dt0s01. dt0s16.": "[A-Z0-9]{24}\\.[A-Z0-9]{64}",
    "access_token$production$ access_token$sandbox$": "[a-z0-9]{16}\\$[0-9a-f]{32}",
    "v1.0-": "[0-9a-f]{24}-[0-9a-f]{100,}",
    "csk-": f"{_LETTERS}{{40,}}",
    "ddp_ ddo_": f"{_LETTERS}{{30,}}",
    "endr+": "[A-Za-z0-9-]{16,}",
    "fc-": f"{_HEX}{{32}}{_END}",
    "cu_": f"{_HEX}{{32}}{_END}",
    "fw_": f"{_LETTERS}{{20,}}",
    "slk_": f"{_HEX}{{64}}{_END}",
    "tss_": f"{_LETTERS}{{24,}}",
    "ptk_ phk_ pck_": f"{_LETTERS}{{24,}}",
    "sdk- mob- api-": _UUID,  # LaunchDarkly
    "live_ test_": f"{_HEX}{{35}}{_END}",  # Lob
    "SCW": f"[A-Z0-9]{{17}}{_END}",
    "pat": "[A-Za-z0-9]{14}\\.[0-9a-f]{64}",  # Airtable
    "pat. sat.": "[A-Za-z0-9_-]{22}\\.[0-9a-f]{24}\\.[A-Za-z0-9]{20}",  # Harness
    "AIza": f"{_WORD}{{30,}}{_END_OF_DATA}",
    "LTAI": f"{_LETTERS}{{16,24}}{_END_OF_DATA}",
    "AKCp": f"{_LETTERS}{{60,}}{_END_OF_DATA}",
    "ATBB": f"{_LETTERS}{{24,}}{_END_OF_DATA}",
    "AQVN": f"{_WORD}{{35,}}{_END_OF_DATA}",
    "EZAK EZTK": f"{_LETTERS}{{54}}{_END_OF_DATA}",
    "oy2": f"[a-z0-9]{{43}}{_END_OF_DATA}",
    "ZXlKaGJHY2lPaU ZXlKMGVYQWlPaU ZXlKcmFXUWlPaU": "[A-Za-z0-9+/]{60,}={0,2}",  # a JSON Web Token in base64
    "IQoJb3JpZ2lu": "[A-Za-z0-9+/=]{100,}",
    "FwoGZXIvYXdz": "[A-Za-z0-9+/=]{100,}",
    "YCAJ": f"{_WORD}{{35}}{_END_OF_DATA}",
    "ATTA": f"{_HEX}{{64}}{_LETTERS}{{8}}{_END_OF_DATA}",  # Trello
    "cmVmdGtu": f"{_LETTERS}{{50,}}{_END_OF_DATA}",  # Artifactory
    "perm-": "[A-Za-z0-9+/=]{20,}\\.[A-Za-z0-9+/=]{4,80}\\.[A-Za-z0-9+/=]{20,}",
}

# Prefixes that look like the data of images. They are found where data in base64 begins.
_WHERE_DATA_BEGINS = {
    "EAA": f"{_WORD}{{58,}}{_END_OF_BASE64}",  # Square, Facebook
    "AKID": f"{_LETTERS}{{32,40}}{_END_OF_BASE64}",
    "ABSK": "[A-Za-z0-9+/=]{100,}",
    "AAAAAAAAAAAAAAAAAAAAAA": f"[A-Za-z0-9%]{{80,}}{_END_OF_BASE64}",  # X, formerly Twitter
    "cio": f"{_LETTERS}{{32}}{_END_OF_BASE64}",
    "glsoat": f"{_LETTERS}{{40,}}{_END_OF_BASE64}",
}

# Prefixes that ordinary names may begin with too. What follows them must look random.
_IF_RANDOM = {
    "s.": f"{_LETTERS}{{24}}{_END}",  # Vault, before version 1.10
    "live_ test_": f"{_WORD}{{40,}}",  # GoCardless
    "ptr_": "[A-Za-z0-9+/_=-]{24,}",
    "pa-": f"{_WORD}{{40,}}",
    "ak_": f"{_LETTERS}{{20,}}",
}

# What may stand before a word besides a character that is not part of one: the last letter of an escaped character, of
# a percent-encoded one, or of a colour of a terminal.
_ESCAPES = (r"\\[abfnrtv]", r"%[0-9A-Fa-f]{2}", r"\\x[0-9A-Fa-f]{2}", r"\\u[0-9A-Fa-f]{4}", "[0-9]m")


class Form(NamedTuple):
    """A form of secrets."""

    hints: tuple[str, ...]
    """The text contains one of these if it contains such a secret."""
    pattern: str
    masked: Callable[[_Found], str] | None = None
    """Returns what replaces a match; by default, the mask replaces all of it."""
    any_case: bool = False
    """Whether hints are in lower case and stand for texts in any case. Such a secret may have short words only."""
    in_word: bool = False
    """Whether a hint of word characters is in a long word."""
    longest_word: int = 0
    """The text contains a word of this length if it contains such a secret; then it has no hints."""


def _before(prefix: str, barred: str) -> str:
    """Return the prefix at a place that does not follow one of the `barred` characters, or follows an escape."""
    literal = re.escape(prefix)
    places = [f"(?<![{barred}]{literal})", *(f"(?<={escape}{literal})" for escape in _ESCAPES)]
    return f"{literal}(?:{'|'.join(places)})"


def _prefixed() -> list[Form]:
    """Return the tokens with prefixes. Those that are found anywhere come first: no other match changes theirs."""
    forms = [
        Form((prefix,), re.escape(prefix) + body, in_word=True)
        for prefixes, body in _ANYWHERE.items()
        for prefix in prefixes.split()
    ]
    word, data = "A-Za-z0-9", "A-Za-z0-9+/"
    tables = ((word, _WHERE_A_WORD_BEGINS, None), (data, _WHERE_DATA_BEGINS, None), (word, _IF_RANDOM, _random))
    for barred, table, masked in tables:
        forms += [
            Form((prefix,), _before(prefix, barred) + body, masked, in_word=True)
            for prefixes, body in table.items()
            for prefix in prefixes.split()
        ]
    return forms


_KINDS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")


def _random(found: _Found) -> str:
    """Mask a text that changes between capitals, small letters and digits about as often as a random one does."""
    text = found[0]
    changes_enough = len(_KINDS.findall(text)) >= 0.4 * len(text)
    return MASK if changes_enough and any(map(str.isdigit, text)) else text


def _key_of_model(found: _Found) -> str:
    """Mask `sk-...`, except for words with hyphens, such as `sk-learn-pipelines`."""
    body = found[0].removeprefix("sk-")
    is_random = body != body.lower() or any(map(str.isdigit, body))
    return MASK if is_random or max(map(len, re.split("[-_]", body))) >= 16 else found[0]


# --- private keys ---

_KEY_LINES = re.compile(r"(?:[\s\\nr\"',+>|#*-]|[A-Za-z][A-Za-z-]{2,20}: [^\r\n\\]{0,80}|[A-Za-z0-9+/=]{16,}+)*+")


def _private_key(found: _Found) -> str:
    """Mask a private key up to its end. Without an end, mask the lines that look like those of a key."""
    if found["end"]:
        return MASK
    content = found["content"]
    lines = _KEY_LINES.match(content)
    if lines is None or not re.search(r"[A-Za-z0-9+/]{16}", lines[0]):
        return found[0]
    return MASK + content[lines.end() :]


def _end_of_key(found: _Found) -> str:
    return MASK if found["end"] else found[0]


def _putty_key(found: _Found) -> str:
    return found["head"] + MASK


# --- tokens with several parts ---


def _web_token(found: _Found) -> str:
    """Mask a JSON Web Token: a header, a payload and a signature, or five parts, of which the second may be empty."""
    parts = found[0].split(".")
    for first, part in enumerate(parts[:-1]):
        following = [len(each) for each in parts[first + 1 : first + 3]] + [0]
        if not part.startswith("eyJ") or len(part) < 13:
            continue
        signed = following[0] >= 10 and following[1] >= 10
        unsigned = parts[first + 1].startswith("eyJ") and following[0] >= 13
        encrypted = len(parts) - first >= 5 and following[0] == 0 and following[1] >= 10
        if signed or unsigned or encrypted:
            before = "".join(f"{each}." for each in parts[:first])
            return before + MASK + "." * (len(found[0]) - len(found[0].rstrip(".")))
    return found[0]


def _group(found: _Found) -> str:
    """Mask the group `secret`."""
    start, end = found.span("secret")
    return found[0][: start - found.start()] + MASK + found[0][end - found.start() :]


# --- URLs ---

_VARIABLE = re.compile(r"\$\w+|\$?\{.*\}|\$\(.*\)|%\w*%|%\(\w+\)s|%[sdvq]|[xX]{3,}|[*.]+|\[.*\]|:\w+|#\{.*\}")


def is_variable(value: str) -> bool:
    """Return whether a value stands for another one: `$NAME`, `${name}`, `{name}`, `%s`, `***`, `[redacted]`."""
    return _VARIABLE.fullmatch(value) is not None


def _password_in_url(found: _Found) -> str:
    password = found["secret"]
    if password is None:
        alone = found["alone"]
        is_token = len(alone) >= 20 and any(map(str.isdigit, alone))
        return found[0].replace(alone, MASK) if is_token else found[0]
    return found[0] if not password or is_variable(password) else _group(found)


# --- AWS ---

_MARKS = re.compile(r"[a-z]+|[A-Z]+|[0-9]+|[+/]+")


def _aws_secret(found: _Found) -> str:
    """Mask 40 characters that change between capitals, small letters and digits as often as random ones do."""
    text = found[0]
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return MASK if kinds == 3 and len(_MARKS.findall(text)) >= 16 else text


# --- HTTP ---


def _basic(found: _Found) -> str:
    """Mask the credentials of the scheme Basic, which are `user:password` in base64."""
    given = found["secret"]
    stripped = given.rstrip("=")
    try:
        decoded = base64.b64decode(stripped + "=" * (-len(stripped) % 4), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    is_pair = b":" in decoded and all(byte >= 32 for byte in decoded)
    is_padded = given != stripped and len(given) >= 12
    is_random = len(given) >= 16 and re.search("[0-9]", given) and re.search("[A-Z]", given)
    return _group(found) if is_pair or is_padded or is_random else found[0]


def _bearer(found: _Found) -> str:
    return found[0] if re.fullmatch("(?:YOUR|MY|THE)[A-Z_]*|[xX.]+", found["secret"]) else _group(found)


FORMS = (
    Form(
        ("PRIVATE KEY",),
        r"-{4,5} ?BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5}(?P<content>(?:[^-]|-(?!---))*+)"
        r"(?P<end>-{4,5} ?END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)? ?-{4,5})?",
        _private_key,
    ),
    Form(
        ("PRIVATE KEY-----",),
        r"[A-Za-z0-9+/=]{16,}+(?:(?:\s|\\[nr])++[A-Za-z0-9+/=]{2,}+)*+(?:\s|\\[nr])*+"
        r"(?P<end>-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----)?",
        _end_of_key,
    ),
    Form(
        ("Private-Lines:",),
        r"(?P<head>Private-Lines: ?[0-9]{1,4}(?:\s|\\[nr]){1,8})(?:[A-Za-z0-9+/=]{2,}+(?:\s|\\[nr])*+)++",
        _putty_key,
    ),
    Form(
        ("OpenVPN Static key",),
        r"-----BEGIN OpenVPN Static key V[0-9]-----[^-]*+(?:-----END OpenVPN Static key V[0-9]-----)?",
    ),
    *_prefixed(),
    # Codegen, OpenAI, Anthropic and others.
    Form(("sk-",), _before("sk-", "A-Za-z0-9") + f"{_WORD}{{16,}}", _key_of_model, in_word=True),
    Form(
        ("eyJ",), _before("eyJ", "A-Za-z0-9") + r"[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]*+)*+", _web_token, in_word=True
    ),
    Form(("NRAL",), f"[0-9a-f]{{36}}NRAL{_END}", in_word=True),  # New Relic
    Form(("JQQJ99",), f"{_LETTERS}{{52}}JQQJ99{_LETTERS}{{20,}}", in_word=True),  # Azure DevOps, Azure OpenAI
    Form(
        ("+ASt", "+ABa", "+AMC", "+AEh", "+ARm", "+ASb", "+ACR", "ACDb", "AIoT", "AzCa"),  # Azure
        r"(?:[A-Za-z0-9/+]{43})?[A-Za-z0-9/+]{33}(?:\+ASt|\+ABa|\+AMC|\+AEh|\+ARm|\+ASb|\+ACR|ACDb|AIoT|AzCa)[A-Za-z0-9/+]{5,9}={1,2}",
        in_word=True,
    ),
    Form(("|",), r"\|(?<=[0-9]{13}\|)(?P<secret>[A-Za-z0-9_-]{27})(?![A-Za-z0-9_-])", _group),  # Facebook
    Form(("|eyJ",), r"\|(?P<secret>eyJ[A-Za-z0-9+/=_-]{20,})", _group),  # Convex
    Form(("/1",), r"/1[0-9]{15}:(?P<secret>[0-9a-f]{32})(?![0-9a-f])", _group),  # Asana
    Form((":APA91b",), r":(?P<secret>APA91b[A-Za-z0-9_-]{100,})", _group),  # Firebase
    Form(("::server:", "::node:"), r"::(?:server|node):(?P<secret>[A-Za-z0-9.]{16,})", _group),  # K3s
    Form((".atlasv1.",), rf"{_LETTERS}{{10,20}}\.atlasv1\.{_WORD}{{40,}}"),
    Form(("_mmk",), r"[A-Za-z0-9]{6}_[A-Za-z0-9]{29}_mmk"),
    Form(("mailgun", "Mailgun", "MAILGUN"), r"[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}(?![0-9a-f-])"),
    Form(("-us",), rf"[0-9a-f]{{32}}-us[0-9]{{1,2}}{_END}"),
    Form((":A",), r":(?<=[0-9]{6}:)(?P<secret>A[A-Za-z0-9_-]{34,})", _group),  # Telegram
    Form(
        (),
        r"[MNO](?<![A-Za-z0-9][MNO])[A-Za-z0-9][A-Za-z0-9_-]{21,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{25,}",
        longest_word=23,
    ),  # Discord
    Form(("Q~",), r"[0-9]Q~(?<=[A-Za-z0-9_~.]{3}[0-9]Q~)(?P<secret>[A-Za-z0-9_~.-]{31,})", _group),  # Azure
    Form(("t1.",), r"t1\.[A-Za-z0-9_-]{10,80}+={0,2}\.[A-Za-z0-9_-]{80,}={0,2}"),  # Yandex
    Form(("sk.eyJ",), r"sk\.eyJ[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]+)?"),  # Mapbox
    Form(
        ("hooks.slack", "discord", "webhook.office.com", "hooks.zapier.com", "logic.azure.com"),
        r"(?:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/(?:v[0-9]{1,2}/)?"
        r"webhooks/[0-9]{1,20}/|webhook\.office\.com/webhookb?2?/|hooks\.zapier\.com/hooks/)"
        r"(?P<secret>[A-Za-z0-9/+_@=%-]{8,})",
        _group,
        any_case=True,
    ),
    Form(
        ("@",),
        r":(?://|\\/\\/)(?:(?P<user>[^\s/:@\"'`<>\\?#]*+):(?P<secret>[^\s/\"'`<>\\]*)@|(?P<alone>[A-Za-z0-9_-]{20,}+)@)",
        _password_in_url,
        any_case=True,
    ),
    Form(
        ("sig=", "sig%3d", "signature=", "signature%3d"),  # the signature of a URL: Azure, AWS, Google, CloudFront
        r"(?i:(?:[?&;]|\\u0026|%26|%3[fF])(?:(?:x-amz-|x-goog-)?signature|sig)(?:=|%3d))"
        r"(?P<secret>(?:[A-Za-z0-9+/=_~.-]|%(?!26)[0-9A-Fa-f]{2}){16,}+)",
        _group,
        any_case=True,
    ),
    Form(
        ("ssws",),  # Okta
        r"(?i:ssws)[ \t]{1,4}(?P<secret>[A-Za-z0-9_-]{20,})",
        _group,
        any_case=True,
    ),
    Form(
        ("bearer",),
        r"(?i:bearer)(?:\s|%20|[ \t]{2,4})(?P<secret>[A-Za-z0-9._~+/=-]{16,}+)",
        _bearer,
        any_case=True,
    ),
    Form(
        ("basic",),
        r"(?i:basic)(?:[ \t]{1,4}|%20)(?P<secret>[A-Za-z0-9+/]{8,}+={0,2})",
        _basic,
        any_case=True,
    ),
    Form(
        (),
        r"(?<![A-Za-z0-9/+_.~%-])[A-Za-z0-9/+]{40}(?<![A-Za-z0-9/+=]{20}\n[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=_%-])",
        _aws_secret,
        longest_word=40,
    ),
)
"""The forms, in the order in which they are masked."""

# Words of this length make it worthwhile to look for tokens. Most hints are looked for in these words only, which are a
# small part of a text.
_LONG_WORDS = re.compile(r"[A-Za-z0-9_=+/%~-]{12,}+")
_OF_WORDS = re.compile(r"[A-Za-z0-9_=+/%~-]{3,}")
_SHORT_TEXT = 2_000

# Most hints have two characters and then a sign, such as the `hp_` of `ghp_`.
_SIGNS = re.compile("(?=(..[_.-]))")


class _Hints:
    """Hints of forms. One search for the signs in a text and one for rare hints exclude nearly all of them."""

    def __init__(self, of: Callable[[Form, str], bool]) -> None:
        self._by_sign: dict[str, list[tuple[str, int]]] = {}
        self._short: list[tuple[str, int]] = []
        self._rare: list[tuple[str, int]] = []
        for place, form in enumerate(FORMS):
            for hint in form.hints:
                if of(form, hint):
                    sign = _SIGNS.search(hint)
                    others = self._rare if len(hint) > 3 else self._short
                    (self._by_sign.setdefault(sign[1], []) if sign else others).append((hint, place))
        self._any_rare = re.compile("|".join(re.escape(hint) for hint, _ in self._rare))

    def places(self, text: str) -> set[int]:
        """Return the places of the forms with a hint in the text."""
        found = {place for hint, place in self._short if hint in text}
        if self._any_rare.search(text):
            found.update(place for hint, place in self._rare if hint in text)
        for sign in self._by_sign.keys() & _SIGNS.findall(text):
            found.update(place for hint, place in self._by_sign[sign] if hint in text)
        return found


def _is_in_word(form: Form, hint: str) -> bool:
    return form.in_word and _OF_WORDS.fullmatch(hint) is not None


_OF_ANY_CASE = _Hints(lambda form, _: form.any_case)
_IN_WORDS = _Hints(_is_in_word)
_IN_TEXT = _Hints(lambda form, hint: not (form.any_case or _is_in_word(form, hint)))
_BY_LENGTH = tuple((form.longest_word, place) for place, form in enumerate(FORMS) if form.longest_word)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _is_ordinary(word: str) -> bool:
    """Return whether a word has the letters of ordinary words and paths only: no token with a prefix has so few."""
    letters = word.replace("/", "a")
    return letters.isalpha() and letters[1:].islower()


def mask_forms(text: str, lower: str) -> str:
    """Return a text in which the secrets of known forms are masked.

    Args:
        text: The text.
        lower: The text in lower case.
    """
    places = _OF_ANY_CASE.places(lower)
    long_words = [word for word in _LONG_WORDS.findall(text) if not _is_ordinary(word)]
    if long_words or len(text) >= _SHORT_TEXT:
        longest = max(map(len, long_words), default=0)
        places.update(place for length, place in _BY_LENGTH if longest >= length)
        places |= _IN_WORDS.places("\n".join(long_words)) | _IN_TEXT.places(text)
    for place in sorted(places):
        form = FORMS[place]
        text = _compiled(form.pattern).sub(form.masked or MASK, text)
    return text
