"""A secret of each service that public scanners (gitleaks, detect-secrets, trufflehog) know, in the usual places."""

import json
import random
import re
import string

import pytest

from codegen_runs.redaction import redact

# What a secret consists of, with the number of characters. `w` has letters, digits, `_` and `-`; `u` is a UUID.
ALPHABETS = {
    "A": string.ascii_letters + string.digits,
    "h": "0123456789abcdef",
    "l": string.ascii_lowercase + string.digits,
    "U": string.ascii_uppercase + string.digits,
    "d": "123456789",
    "w": string.ascii_letters + string.digits + "_-",
}

FORMS = """
1Password: A3-{U6}-{U6}-{U5}-{U5}-{U5}-{U5}      | Adafruit: aio_{A28}
Adobe: p8e-{A32}                                 | age: AGE-SECRET-KEY-1{U58}
Airtable: pat{A14}.{h64}                         | Alibaba: LTAI{A20}
Anthropic: sk-ant-api03-{w93}AA                  | Artifactory: AKCp{A69}
Artifactory reference: cmVmdGtu{A56}             | Asana: 2/12{d14}/12{d14}:{h32}
Atlassian: ATATT3xFfGF0{w170}={U8}               | AWS: AKIA{U16}
AWS Bedrock: bedrock-api-key-YmVkcm9jay5{A40}    | AWS session: IQoJb3JpZ2lu{A200}
Azure AD: abc8Q~{A34}                            | Azure DevOps: {A52}JQQJ99{A18}AZDO{A4}
Azure storage: {A76}+ASt{A5}A==                  | Bitbucket: ATBB{A32}
Buildkite: bkua_{h40}                            | Cerebras: csk-{l48}
CircleCI: CCIPAT_{A22}_{h40}                     | Clojars: CLOJARS_{l60}
Cloudflare: v1.0-{h24}-{h146}                    | Codegen: sk-{u}
Contentful: CFPAT-{w43}                          | Cursor: crsr_{h64}
Databricks: dapi{h32}                            | Datadog: ddapp_{A34}
Deno: ddp_{A36}                                  | DigitalOcean: dop_v1_{h64}
Discord: MTA{A21}.{A6}.{w38}                     | Docker: dckr_pat_{w27}
Docker Swarm: SWMTKN-1-{l50}-{l25}               | Doppler: dp.pt.{A43}
Dropbox: sl.{w135}                               | Duffel: duffel_test_{w43}
Dynatrace: dt0c01.{U24}.{U64}                    | E2B: e2b_{h40}
EasyPost: EZAK{A54}                              | ElevenLabs: sk_{h48}
Endor Labs: endr+{A16}                           | Facebook: {d15}|{A27}
Figma: figd_{w40}                                | Firebase: {A11}:APA91b{w134}
Firecrawl: fc-{h32}                              | Fireworks: fw_{A24}
Flutterwave: FLWSECK_TEST-{h32}-X                | Fly: fo1_{w43}
Frame.io: fio-u-{w64}                            | GitHub: ghp_{A36}
GitHub app: ghs_{A36}                            | GitHub fine-grained: github_pat_{A22}_{A59}
GitLab: glpat-{w20}                              | GitLab runner: glrt-t1_{w27}.01.{l9}
GitLab session: _gitlab_session={h32}            | GoCardless: live_{w40}
Google: AIza{w34}a                               | Google client: GOCSPX-{w28}
Google refresh: 1//0{w100}                       | Grafana: glsa_{A32}_{h8}
Grafana cloud: glc_{A80}                         | Grafana before: eyJrIjoi{A92}==
Groq: gsk_{A52}                                  | Harness: pat.{A22}.{h24}.{A20}
Hashicorp: {A14}.atlasv1.{w66}                   | Heroku: HRKU-AA{w58}
HubSpot: pat-na1-{u}                             | Hugging Face: hf_{A34}
Infracost: ico-{A32}                             | Intra42: s-s4t2ud-{h64}
Jina: jina_{A56}                                 | JWT: eyJhbGciOiJIUzI1NiJ9.eyJ{A40}.{w43}
JWT in base64: ZXlKaGJHY2lPaU{A120}              | k3s: K10{h64}::server:{h32}
LangSmith: lsv2_pt_{h32}_{h10}                   | LaunchDarkly: sdk-{u}
Linear: lin_api_{A40}                            | Lob: live_{h35}
Mailchimp: {h32}-us12                            | Mailgun: key-{h32}
Mapbox: sk.eyJ{A80}.{A22}                        | MaxMind: {A6}_{A29}_mmk
Neon: napi_{l60}                                 | Netlify: nfp_{A36}
New Relic: NRAK-{U27}                            | New Relic license: {h36}NRAL
Notion: ntn_{d11}{A35}                           | npm: npm_{A36}
NuGet: oy2{l43}                                  | NVIDIA: nvapi-{w64}
Octopus: API-{U26}                               | OpenAI: sk-proj-{w74}T3BlbkFJ{w74}
OpenAI before: sk-{A20}T3BlbkFJ{A20}             | OpenRouter: sk-or-v1-{h64}
OpenShift: sha256~{w43}                          | PayPal: access_token$production${l16}${h32}
Perplexity: pplx-{A48}                           | Pinecone: pcsk_{A6}_{A60}
Plaid: access-sandbox-{u}                        | PlanetScale: pscale_tkn_{w43}
Polar: polar_pat_{A40}                           | Portainer: ptr_{A43}=
PostHog: phx_{A43}                               | Postman: PMAK-{h24}-{h34}
Prefect: pnu_{l36}                               | Pulumi: pul-{h40}
PyPI: pypi-AgEIcHlwaS5vcmc{w80}                  | Razorpay: rzp_live_{A14}
ReadMe: rdme_{l70}                               | Replicate: r8_{A37}
Resend: re_{A8}_{A24}                            | RubyGems: rubygems_{h48}
Scaleway: SCW{U17}                               | Scalingo: tk-us-{w48}
SendGrid: SG.{w22}.{w43}                         | Brevo: xkeysib-{h64}-{A16}
Sentry: sntryu_{h64}                             | SettleMint: sm_pat_{A16}
Shippo: shippo_live_{h40}                        | Shopify: shpat_{h32}
Slack: xoxb-{d12}-{d12}-{A24}                    | Slack app: xapp-1-{U10}-{d12}-{h64}
Slack refresh: xoxe-1-{U146}                     | Sonar: sqp_{h40}
Sourcegraph: sgp_{h16}_{h40}                     | Square: sq0atp-{w22}
Stripe: sk_live_{A24}                            | Stripe webhook: whsec_{A32}
Stytch: secret-live-{w36}                        | Supabase: sbp_{h40}
Tailscale: tskey-api-{A12}CNTRL-{A32}            | Tavily: tvly-dev-{A32}
Telegram: {d10}:AA{w33}                          | Thunderstore: tss_{A30}
Together: tgp_v1_{w43}                           | Trello: ATTA{h64}{U8}
Twilio: SK{h32}                                  | Typeform: tfp_{w59}
Ubidots: BBFF-{A30}                              | Unkey: unkey_{A22}
Vault: hvs.{w92}                                 | Vault before: s.{A24}
Vercel: vcp_{A56}                                | Vercel Blob: vercel_blob_rw_{A16}_{A30}
Voyage: pa-{w43}                                 | WakaTime: waka_{u}
xAI: xai-{A80}                                   | Yandex: AQVN{w36}
Yandex cloud: YCAJ{w35}                          | Zuplo: zpka_{h32}_{h8}
"""

PLACES = {
    "alone": "{}",
    "variable": "export KEY='{}' && make",
    "member": '{{"x": "{}", "y": 1}}',
    "member in a text": r"{{\"x\": \"{}\"}}",
    "query": "https://api.example.com/v1?x={}&y=2",
    "path": "https://api.example.com/v1/{}/y",
    "command": "curl -H 'X-Thing: {}' https://api.example.com",
    "after an underscore": "MY_{}",
    "sentence": "The value is {}, and it works.",
}

# Names in front of secrets without a form of their own.
NAMED = {
    "ALGOLIA_API_KEY": "{h32}",
    "aws_secret_access_key": "{A20}/{A19}",
    "AZURE_CLIENT_SECRET": "{w40}",
    "CODECOV_TOKEN": "{l32}",
    "CONSUL_HTTP_TOKEN": "{u}",
    "HEROKU_API_KEY": "{u}",
    "IBM_CLOUD_IAM_KEY": "{w44}",
    "kubeadm_token": "{l6}.{l16}",
    "MONGO_PASSWORD": "p@ss/w{d3}",
    "OKTA_API_TOKEN": "00{w40}",
    "RAILS_MASTER_KEY": "{h32}",
    "sumologic_access_key": "{A64}",
    "WANDB_API_KEY": "{h40}",
    "zendesk_secret_key": "{l40}",
}

NAMED_PLACES = {
    "variable": "{name}={secret}",
    "quoted": "export {name}='{secret}'",
    "YAML": "{name}: {secret}\n",
    "member": '{{"{name}": "{secret}"}}',
    "query": "https://api.example.com/?{name}={secret}&x=1",
    "option": "tool --{name} {secret}",
    "container": "docker run -e {name}={secret} image",
    "element": "<{name}>{secret}</{name}>",
    "after an underscore": "MY_{name}={secret}",
}


def made_up(form: str) -> str:
    """Return a secret of a form: at random, but always the same one."""
    letters = random.Random(form)

    def part(found: re.Match[str]) -> str:
        kind, length = found[1], int(found[2] or 0)
        if kind == "u":
            return "-".join("".join(letters.choices(ALPHABETS["h"], k=each)) for each in (8, 4, 4, 4, 12))
        return "".join(letters.choices(ALPHABETS[kind], k=length - 1)) + "1"  # Many forms end with a letter or digit.

    return re.sub(r"\{([A-Za-z])([0-9]*)\}", part, form)


SCANNED = dict(entry.strip().split(": ", 1) for line in FORMS.strip().splitlines() for entry in line.split(" | "))


@pytest.mark.parametrize("service", SCANNED)
def test_the_secret_of_a_service_is_masked_in_every_place(service: str) -> None:
    secret = made_up(SCANNED[service])
    part = secret[-12:].rstrip("=")

    shown = {place: redact(text.format(secret)) for place, text in PLACES.items()}

    assert {place: text for place, text in shown.items() if part in text} == {}
    assert part not in json.dumps(redact({"x": [secret]}))


@pytest.mark.parametrize("name", NAMED)
def test_a_secret_without_a_form_is_masked_by_its_name(name: str) -> None:
    secret = made_up(NAMED[name])

    shown = {place: redact(text.format(name=name, secret=secret)) for place, text in NAMED_PLACES.items()}

    assert {place: text for place, text in shown.items() if secret in text} == {}
    assert secret not in json.dumps(redact([{name: secret}, {"name": name, "value": secret}, {name: [secret]}]))
