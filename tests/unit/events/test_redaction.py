"""Which text looks like a secret, at the edges of each form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen_runs.redaction import redact
from codegen_runs.secret_forms import MASK

# The shortest secret of each form: with one character less it is text.
SHORTEST = [
    "sk-" + "a" * 16,
    "sk-" + "a-" * 7 + "a1",
    "sk-" + "a-" * 7 + "aB",
    "sk-ant-_" + "a1B2-a1B2-a",
    "cgr_" + "0aZ" * 6 + "01",
    "ghp_" + "a" * 20,
    "gho_" + "a" * 20,
    "ghu_" + "a" * 20,
    "ghs_" + "a" * 20,
    "ghr_" + "a" * 20,
    "github_pat_" + "a_" * 10,
    "xoxa-" + "0123456789",
    "xoxb-" + "0-23456789",
    "xoxp-" + "0123456789",
    "xoxr-" + "0123456789",
    "xoxs-" + "0123456789",
    "AKIA" + "ABCD0123" * 2,
    "ASIA" + "ABCD0123" * 2,
    "eyJ" + "a-_1567890" + "." + "b-_1567890" + "." + "c-_1567890",
]


@pytest.mark.parametrize("secret", SHORTEST)
@pytest.mark.parametrize("around", ["{}", "TOKEN={}", "'{}'", "https://x:{}@github.com/", "[{}]", "a\n{}\nb"])
def test_a_secret_is_masked_and_the_text_around_it_is_kept(secret: str, around: str) -> None:
    assert redact(around.format(secret)) == around.format(MASK)


@pytest.mark.parametrize("secret", SHORTEST)
@pytest.mark.parametrize("before", ["MY_", "token_", "export X=", r"{\"a\": \"\n", "%3D", "\x1b[31m"])
def test_a_secret_is_masked_after_an_underscore_and_an_escape(secret: str, before: str) -> None:
    assert secret not in redact(before + secret)


@pytest.mark.parametrize("secret", [secret for secret in SHORTEST if secret not in SHORTEST[1:3]])
def test_a_shorter_text_is_kept(secret: str) -> None:
    assert redact(secret[:-1]) == secret[:-1]


@pytest.mark.parametrize("text", ["ask-" + "a" * 16, "aAKIA" + "ABCD0123" * 2, "aeyJ" + ".".join(["b" * 12] * 3)])
def test_a_form_that_words_may_contain_is_kept_inside_a_word(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("part", [1, 2])
def test_a_json_web_token_has_three_long_parts(part: int) -> None:
    parts = ["eyJ" + "a" * 10, "b" * 10, "c" * 10]
    parts[part] = parts[part][1:]

    assert redact(".".join(parts)) == ".".join(parts)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "Bearer\t"])
def test_a_bearer_token_is_masked_by_its_scheme(scheme: str) -> None:
    assert redact(f"{scheme}{'a.b~c/d+e=f-_' * 2}, then") == f"{scheme}{MASK}, then"
    assert redact(f"{scheme}{'a' * 15}") == f"{scheme}{'a' * 15}"
    assert redact(f"{scheme}{'a' * 16}") == f"{scheme}{MASK}"


def test_every_secret_of_a_text_is_masked() -> None:
    assert redact(" and ".join(SHORTEST)) == " and ".join([MASK] * len(SHORTEST))


def test_secrets_are_found_in_lists_values_and_names() -> None:
    secret = SHORTEST[0]

    assert redact({"env": [{"TOKEN": secret, secret: ["x", [secret]]}]}) == {
        "env": [{"TOKEN": MASK, MASK: ["x", [MASK]]}]
    }


RANDOM = "a1B2c3D4e5"
HEX = "0123456789abcdef"

# Made-up secrets, put together here, so that no scanner of a repository takes them for real ones.
FAMILIES = {
    "GitLab": "glpat-" + RANDOM * 2,
    "GitLab CI": "glcbt-" + "64_" + RANDOM * 2,
    "Slack app": "xapp-" + "1-A0123-456-" + RANDOM,
    "Google": "AIza" + RANDOM * 3 + "abcde",
    "Google OAuth": "ya29." + RANDOM * 2,
    "Google client": "GOCSPX-" + RANDOM * 3,
    "Stripe": "sk_" + "live_" + RANDOM,
    "npm": "npm_" + RANDOM * 4,
    "PyPI": "pypi-" + "AgEI" + RANDOM * 5,
    "Hugging Face": "hf_" + RANDOM * 3,
    "SendGrid": "SG." + RANDOM * 2 + "." + RANDOM * 4,
    "OpenAI": "sk-" + "proj-" + RANDOM * 4,
    "Anthropic": "sk-" + "ant-api03-" + RANDOM * 4,
    "DigitalOcean": "dop_" + "v1_" + HEX * 4,
    "Shopify": "shpat_" + HEX * 2,
    "Twilio": "SK" + HEX * 2,
    "Mailgun": "key-" + HEX * 2,
    "Square": "sq0atp-" + RANDOM * 3,
    "Databricks": "dapi" + HEX * 2,
    "Heroku": "HRKU-" + RANDOM * 4,
    "Dropbox": "sl." + RANDOM * 8,
    "Linear": "lin_" + "api_" + RANDOM * 4,
    "Notion": "ntn_" + RANDOM * 4,
    "Atlassian": "ATATT3" + RANDOM * 4,
    "Discord": "MTk4" + RANDOM * 2 + "." + "abc123" + "." + RANDOM * 3,
    "Vault": "hvs." + RANDOM * 3,
    "AWS secret": "wJalr" + "XUtnF7MI/K7MDE2G/bPxRfi3YqLm9Ab4Zs+" + "",
    "private key": "-----BEGIN RSA PRIVATE " + "KEY-----\nMII" + RANDOM * 6 + "\n-----END RSA PRIVATE KEY-----",
    "PGP": "-----BEGIN PGP PRIVATE " + "KEY BLOCK-----\n\n" + RANDOM * 6 + "\n-----END PGP PRIVATE KEY BLOCK-----",
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("around", ["{}", "X={}", "MY_X: {}\n", '"{}"', "see {}, and go on"])
def test_a_secret_of_every_family_is_masked(family: str, around: str) -> None:
    assert FAMILIES[family] not in redact(around.format(FAMILIES[family]))


IN_CONTEXT = [
    ("postgres://user:{}@db.example.com/app", "pass"),
    ("redis://:{}@cache:6379/0", "Swordfish"),
    ("AccountKey={};EndpointSuffix=core.windows.net", RANDOM * 8 + "=="),
    ("https://hooks.slack.com/services/{}", "T000/B000/" + RANDOM * 2),
    ("https://api.telegram.org/bot123456789:{}/getMe", "AA" + RANDOM * 3 + "abc"),
    ("aws_secret_access_key={}", RANDOM * 4),
    ("password={}", "hunter2"),
    ("DB_PASSWORD={}", "correct_horse"),
    ("password: {}\n", "swordfish"),
    ('{{"password": "{}"}}', "x"),
    (r"{{\"password\": \"{}\"}}", "hunter2"),
    ("mysql --password {} -u root", "hunter2"),
    ("tool --api-key={}", RANDOM),
    ("Authorization: Basic {}", "dXNlcjpwYXNz"),
    ("Authorization: token {}", RANDOM * 2),
    ("Cookie: {}", "session=" + RANDOM),
    ("BEARER {}", RANDOM * 2),
    ("secret = '{}'", "hunter2"),
    ("https://example.com/?access_token={}&x=1", RANDOM * 2),
    ("https://acme.blob.core.windows.net/c/f?sv=2022-11-02&sig={}&se=2030", RANDOM * 4 + "%2Babc%3D"),
    ("https://b.s3.amazonaws.com/k?X-Amz-Date=2030&X-Amz-Signature={}", HEX * 4),
    ("https://storage.googleapis.com/b/o?X-Goog-Signature={}&x=1", HEX * 8),
    ("https://d.cloudfront.net/a?Expires=1&Signature={}&Key-Pair-Id=K2", RANDOM * 5 + "~-__"),
    (r'"url": "https://b.s3.amazonaws.com/k?Expires=1\u0026Signature={}"', RANDOM * 2 + "%3D"),
    ("Authorization: SSWS {}", "00" + RANDOM * 4),
    ("password={}", "/abc9XyZ12+/="),
    ("export DB_PASSWORD={}\n", "/abc9XyZ12"),
    ("<password>{}</password>", "hunter2"),
    ("<ns:Password type='x'>{}</ns:Password>", "correct horse"),
    ('<add key="DbPassword" value="{}"/>', "hunter2"),
    ("machine git.example.com login me password {}", "hunter2"),
    ("machine git.example.com\n  login me\n  password {}\n", "swordfish"),
]

IN_COMMANDS = [
    ("curl -u admin:{} https://a.example.com", "hunter2"),
    ("curl -sSu 'admin:{}' https://a.example.com", "hunter 2;|x"),
    ("curl --user=admin:{}", "hunter2"),
    ("curl https://a.example.com --proxy-user me:{} -v", "swordfish"),
    ('curl -H "X: y" \\\n  -u "admin:{}" https://a.example.com', "p@ss"),
    (r'{{"command": "curl -u \"admin:{}\" https://a.example.com"}}', "hunter2"),
    ("http -a me:{} https://a.example.com", "hunter2"),
    ("mysql -u root -p{} app", "hunter2"),
    ("mysqldump -h db -p'{}' app > dump.sql", "hunter 2"),
    ("sshpass -p {} ssh me@host", "swordfish"),
    ("sshpass -p{} ssh me@host", "swordfish"),
    ("redis-cli -h cache -a {} ping", "swordfish"),
    ("mongosh -u me -p {} db", "hunter2"),
    ("docker login -u me -p {} registry.example.com", "hunter2"),
    ("ldapsearch -D cn=me -w {} -b dc=x", "swordfish"),
    ("sqlcmd -S db -U sa -P {}", "hunter2"),
    ("unzip -P {} a.zip", "swordfish"),
    ("7z x -p{} a.7z", "swordfish"),
    ("openssl rsa -in k.pem -passin pass:{}", "swordfish"),
    ("keytool -list -storepass {} -keystore k", "changeit1"),
    ("ngrok config add-authtoken {}", RANDOM * 3 + "_" + RANDOM * 2),
    ("htpasswd -bc file me {}", "swordfish"),
]


@pytest.mark.parametrize(("text", "secret"), IN_CONTEXT)
def test_a_secret_is_masked_by_what_stands_before_it(text: str, secret: str) -> None:
    masked = redact(text.format(secret))

    assert masked == text.format(MASK)
    assert redact(masked) == masked


@pytest.mark.parametrize(("text", "secret"), IN_COMMANDS)
def test_a_secret_is_masked_among_the_arguments_of_a_command(text: str, secret: str) -> None:
    masked = redact(text.format(secret))

    assert masked == text.format(MASK)
    assert redact(masked) == masked


ARGUMENTS = [
    (["curl", "-u", "me:hunter2", "https://a.example.com"], ["curl", "-u", f"me:{MASK}", "https://a.example.com"]),
    (["/usr/bin/mysql", "-phunter2", "app"], ["/usr/bin/mysql", f"-p{MASK}", "app"]),
    (["sshpass", "-p", "correct horse", "ssh", "h"], ["sshpass", "-p", MASK, "ssh", "h"]),
    (["mysql", "-p", "app"], ["mysql", "-p", "app"]),
    (["mkdir", "-p", "/tmp/a"], ["mkdir", "-p", "/tmp/a"]),
]


@pytest.mark.parametrize(("arguments", "masked"), ARGUMENTS)
def test_a_secret_is_masked_in_a_list_of_arguments(arguments: list[str], masked: list[str]) -> None:
    assert redact(arguments) == masked
    assert redact(masked) == masked


LOOK_ALIKES = [
    *("d41d8cd98f00b204e9800998ecf8427e", "123e4567-e89b-12d3-a456-426614174000", "a" * 40, HEX * 4),
    "sha512-" + RANDOM * 8 + "==",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "function(e,t){return{password:e.password,token:t.token}}",
    "index 83db48f..bf2a3c1 100644\ncommit 0123456789abcdef0123456789abcdef01234567",
    '"integrity": "sha512-' + RANDOM * 8 + '=="',
    *("password = get_password()", "password=$PASSWORD", "password=${DB_PASSWORD}", "password=<your-password>"),
    *("password=os.environ['DB']", "password=self.password", "connect(password=db_password, port=1)", "password: str"),
    *("password=None", "password=YOUR_PASSWORD", "password=***", "password={password}", "password = %s"),
    *("max_tokens=1024", "token_count=12345678", "Password: must have 8 characters", "basic authentication"),
    *("https://localhost:8080/a@b", "git@github.com:acme/app.git", "task-force-with-a-very-long-name"),
    *("postgres://${USER}:${PASSWORD}@db", "Authorization: Bearer $TOKEN", "-----BEGIN CERTIFICATE-----"),
    'if "-----BEGIN PRIVATE ' + 'KEY-----" in text: return',
    *("sk-learn-pipeline-of-three-steps", "sk-something-in-the-middle", "docs/sk-of-a-person.md"),
    *("token_path=/etc/x", "password=/run/secrets/db", "auth: /login", "token: /v1/users/:id", "secret: // not yet"),
    *("password=/etc/nginx/conf.d/site-1.conf", "secret=/srv/user1/.ssh/id_ed25519.pub"),
    "SECRET_ARN=arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-a1B2c3",
    *("enter the password: then press enter", "Enter your password: please", "The password: wrong"),
    *("curl -u $USER:$PASSWORD https://x", "curl -u ${U}:${P} x", "docker run -u 1000:1000 mysql", "mysql -p app"),
    *("docker run -p 3306:3306 mysql", "docker run --name mongo -p 27017:27017 mongo", "mkdir -p src/app"),
    *(
        "mysql -h db -P 3306",
        "curl --url https://a.example.com:8080/x",
        "curl --user-agent Mozilla:5 x",
        "sshpass -p $P ssh h",
    ),
    *(
        "const [a] = useState<Token>('')",
        "<password></password>",
        "<Key>a1B2c3d4e5/file.txt</Key>",
        "<label>Password</label>",
    ),
    *("?signature=short&x=1", "design=modern", "the machine has a default password policy"),
    *(
        "claude-3-5-sonnet-20241022",
        "gpt-4o-mini-2024-07-18",
        "anthropic/claude-opus-4-20250514",
        "us.meta.llama3-1-405b-instruct-v1:0",
    ),
    *(
        "layers/codegen/codegen_runs/secret_forms.py:12",
        "/var/me/.cache/pip/wheels/a1/b2/c3d4e5f6",
        "D:\\data\\me\\AppData",
    ),
    *("live_reload_on_the_server_and_the_client_side", "ptr_to_the_first_element_of_a_list", "patterns.of.three.parts"),
    *("ak_handler_for_all_the_others", "ddp_handler", "s.getElementsByClassName", "napi_create_function_of_the_module"),
    "var e=t.token,n=r.key;s.addEventListener('click',function(o){o.preventDefault()});sk-1",
    ".auth-token{color:#0a1b2c;background:url(data:font/woff2;base64,d09GMgABAAAAAAbMAA4AAAAADUQAAAZ2AAEAAAAAAAAAAAAA)}",
    "a{--key:#fff;--secret-color:rgb(1,2,3)}.password{width:calc(100% - 10px)}",
    "2026-11-27T03:15:49.123456+00:00 INFO [main] request_id=123e4567-e89b-12d3-a456-426614174000 took 12.5ms",
    "pod/api-7d9c5b6f4d-x2x9z   1/1   Running   image: registry.example.com/app@sha256:" + HEX * 4,
    '{"hooks":{"sha1":"' + "da39a3ee5e6b4b0d3255bfef95601890afd80709" + '"}}',
]


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_what_only_looks_like_a_secret_is_kept(text: str) -> None:
    assert redact(text) == text


def test_a_secret_is_found_by_the_name_of_its_member() -> None:
    assert redact({"tool_input": {"password": "x", "token": None, "port": 1}}) == {
        "tool_input": {"password": MASK, "token": None, "port": 1}
    }
    assert redact([{"name": "DB_PASSWORD", "value": "hunter2"}]) == [{"name": "DB_PASSWORD", "value": MASK}]
    assert redact(["mysql", "--password", "hunter2"]) == ["mysql", "--password", MASK]
    assert redact({"password": {"type": "string"}}) == {"password": {"type": "string"}}


BELOW_A_NAME = [
    ({"password": ["a1", "b2"]}, {"password": [MASK, MASK]}),
    ({"passwords": ["a1", ["b2"]]}, {"passwords": [MASK, [MASK]]}),
    ({"password": 123456}, {"password": MASK}),
    ({"password": [123456, True, None]}, {"password": [MASK, True, None]}),
    ({"DB_PASSWORD": {"value": "x"}}, {"DB_PASSWORD": {"value": MASK}}),
    ({"secrets": [{"name": "DB", "value": "x"}]}, {"secrets": [{"name": "DB", "value": MASK}]}),
    ({"api_keys": [RANDOM]}, {"api_keys": [MASK]}),
    ({"password": {"type": "string", "minLength": 8}}, {"password": {"type": "string", "minLength": 8}}),
    (
        {"pass": 12, "failed": 3, "max_tokens": 4096, "token": 12345},
        {"pass": 12, "failed": 3, "max_tokens": 4096, "token": 12345},
    ),
    ({"keys": ["a1B2c3d4e5"], "name": "x"}, {"keys": ["a1B2c3d4e5"], "name": "x"}),
]


@pytest.mark.parametrize(("value", "masked"), BELOW_A_NAME)
def test_what_a_secrets_name_contains_is_masked(value: object, masked: object) -> None:
    assert redact(value) == masked
    assert redact(masked) == masked


PIECES = [
    *(
        "sk-",
        "ghp_",
        "AKIA",
        "ABCD0123" * 2,
        RANDOM,
        RANDOM * 3,
        "eyJ",
        ".",
        "password",
        "=",
        ":",
        " ",
        '"',
        "'",
        "token",
    ),
    *(
        "Bearer ",
        r"\n",
        MASK,
        "]",
        "[",
        "://u:",
        "@",
        "-",
        "_",
        "-----BEGIN PRIVATE " + "KEY-----",
        "\n",
        "SK",
        HEX * 2,
    ),
    *(
        "-----END PRIVATE KEY-----",
        "Cookie: ",
        "Authorization: ",
        "+",
        "/",
        "$",
        "hunter2",
        ",",
        "--",
        "\u0130",
        "secret",
        "curl -u ",
        "mysql -p",
        "<password>",
        "</",
        "?sig=",
        "/abc9",
    ),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact(text)

    assert redact(once) == once


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(json_values)
def test_json_without_secrets_stays_as_it_is(value: object) -> None:
    assert redact(value) == value


REPEATED = [
    *("a", "-----BEGIN", "eyJ", "_eyJ", "://u:", "://aaaa", "a@", "cookie:", "basic ", "bearer ", "SG."),
    *(
        "curl -",
        "mysql ",
        "login -u ",
        "machine a ",
        "<password>",
        "<a ",
        "&sig=",
        "AIoT",
        "NRAL",
    ),
    *("key='a' value='", "password=/a ", "password=/a/a ", "secretsmanager:", "sk-", "pat.", "|", "-p ", "::server:"),
]


@pytest.mark.parametrize("text", REPEATED)
def test_a_text_that_begins_like_a_secret_again_and_again_is_read_once(text: str) -> None:
    assert redact(text * 3_000) == text * 3_000


@pytest.mark.full
@pytest.mark.parametrize("text", REPEATED)
def test_a_megabyte_is_read_once(text: str) -> None:
    # A search that begins again at each place of a megabyte takes hours.
    assert redact(text * (1_000_000 // len(text))) == text * (1_000_000 // len(text))
