"""The doctor's checks that work on AWS and on this machine, one function for each."""

import time
from codecs import BOM_UTF8
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from broker import ninjaone, oauth, policy
from broker.adapters.client_secrets import bare, entries, secrets_of, stored_bytes
from broker.errors import AwsRefused, BrokerError
from broker.flows.enter_secret import check_secret
from broker.model import Client, Instant, Seconds
from broker.ninjaone import Meaning
from broker.secret import Secret
from broker.text import credential
from ninjaone_connect import ConnectError
from ninjaone_connect.environment import is_certificate_error, why_unreached
from ninjaone_connect_cli import aws_errors, epoch, inventory
from ninjaone_connect_cli.deployment import Deployment
from ninjaone_connect_cli.errors import CliError
from ninjaone_connect_cli.finding import Check, Finding, counted, fail, good, runbook, warn

MAX_CLOCK_SKEW = 30
"""Seconds by which clocks may differ before signatures and leases suffer."""
OVERDUE = 900
TIMEOUT = 10
DISTRUSTED = "its certificate is not trusted here"


@dataclass(frozen=True)
class Unreached:
    """A question that a host of NinjaOne did not answer.

    Attributes:
        about: what was asked about
        why: the answer's status, or why none came
    """

    host: str
    about: str
    why: str


def client_apps(deployment: Deployment) -> Iterator[Finding]:
    """Whether NinjaOne knows each client app and accepts its secret, as far as it says; a secret is stored for each.

    A host that answers neither question is one finding, and so are all hosts that are silent for the same reason.
    """
    silent = defaultdict[tuple[str, str], list[str]](list)
    for each in (*_app_findings(deployment), *_secret_findings(deployment)):
        if isinstance(each, Finding):
            yield each
        else:
            silent[each.host, each.why].append(each.about)
    hosts = defaultdict[tuple[str, str], list[str]](list)
    for (host, why), questions in silent.items():
        hosts[" and ".join(questions), why].append(host)
    for (about, why), names in hosts.items():
        yield _unreached(names, about, why)


def _unreached(hosts: Sequence[str], about: str, why: str) -> Finding:
    says = f"{', '.join(hosts)} could not be asked about the {about} ({why})"
    if why == DISTRUSTED:
        todo = "Where your network intercepts TLS, name its authority's file in AWS_CA_BUNDLE or SSL_CERT_FILE."
    else:
        todo = "Try again; NinjaOne may be down, or this machine may not ask it (HTTPS_PROXY)."
    return warn("client apps", says, todo)


def _reason(code: str) -> str:
    """Say in words why there was no answer, the same for both questions."""
    return DISTRUSTED if code == "certificate_distrusted" else code.replace("_", " ")


def _secret_findings(deployment: Deployment) -> Iterator[Finding | Unreached]:
    known = deployment.client_secrets
    if not deployment.config.client_ids:
        yield good("client secrets", "every customer brings a client app of their own")
    for region, client_id in deployment.config.client_ids.items():
        check = f"client secret ({region})"
        try:
            yield _secret_finding(deployment, check, region, known.client(client_id))
        except AwsRefused as error:
            yield fail(check, f"AWS refused ({error.code})", aws_errors.said(error))
        except BrokerError as error:
            todo = deployment.outputs.get("StoreClientSecrets", "Store it: docs/operate/your-app.md, step 4.")
            yield fail(check, str(error), todo)


def _secret_finding(deployment: Deployment, check: str, region: str, client: Client) -> Finding | Unreached:
    """Ask NinjaOne to refresh with an invalid token. See docs/understand/ninjaone.md §9 U4."""
    host = ninjaone.regional_host(region)
    if host is None:
        return warn(check, f"stored for {client.id}; there is no region {region}", "Correct the parameter ClientIds.")
    with deployment.web as web:
        outcome = check_secret(web, host, client, now=Instant(int(deployment.now())), timeout=Seconds(TIMEOUT))
    if outcome.code == "invalid_client":
        todo = deployment.outputs.get("StoreClientSecrets", "Store the right one: docs/operate/your-app.md, step 4.")
        return fail(check, f"wrong: NinjaOne refuses it for {client.id}", todo)
    if outcome.meaning in {Meaning.DEAD, Meaning.CONFIG}:
        return good(check, f"accepted for {client.id}, as far as NinjaOne tells (checked with an invalid token)")
    return Unreached(host.name, "stored secret", _reason(outcome.code))


def stored_secrets(deployment: Deployment) -> Iterator[Finding]:
    """Whether the stored secrets are well-formed: no invalid or repeated entries, nothing from copying."""
    content = stored_bytes(deployment.aws("secretsmanager").get_secret_value(SecretId=deployment.config.client_secrets))
    written = entries(content)
    if written is None:
        yield fail("stored secrets", "they are no JSON object", 'Store {"<client id>": "<client secret>"} again.')
        return
    secrets = secrets_of(written)
    found = list(_secret_faults(content, written, secrets))
    yield from found or [good("stored secrets", f"{counted(len(secrets), 'entry', 'entries')} can be read")]


def _secret_faults(
    content: bytes, written: Sequence[tuple[str, object]], secrets: Mapping[str, str | None]
) -> Iterator[Finding]:
    without_secret = sorted(name for name, secret in secrets.items() if secret is None)
    if without_secret:
        yield fail(
            "stored secrets", f"there is no secret for {', '.join(without_secret)}", "Store a text, or leave it out."
        )
    twice = sorted(name for name, times in Counter(bare(name) for name, _ in written).items() if times > 1)
    if twice:
        says = f"{', '.join(twice)} is named more than once; the last secret of it counts"
        yield warn("stored secrets", says, "Store the one that is right.")
    stray = sorted({bare(name) for name, value in written if _has_stray_marks(name) or _has_stray_marks(value)})
    if stray or content.startswith(BOM_UTF8):
        says = f"there is whitespace, a quotation mark or a byte order mark around {', '.join(stray) or 'the whole'}"
        yield warn(
            "stored secrets", f"{says}; it is left out", "Store them again without, so that nobody copies it on."
        )


def _has_stray_marks(value: object) -> bool:
    return isinstance(value, str) and credential(value) not in {"", value}


def _app_findings(deployment: Deployment) -> Iterator[Finding | Unreached]:
    """Ask whether NinjaOne knows each client app, as a browser would; no secret is sent."""
    for region, client_id in deployment.config.client_ids.items():
        host = ninjaone.regional_host(region)
        if host is None:
            continue
        address = oauth.authorization_url(
            ninjaone.authorize_endpoint(host),
            client_id=client_id,
            redirect_uri=f"{deployment.config.connect_url}/callback/{region}",
            scope=ninjaone.scope_text(deployment.config.scopes),
            state="check",
            code_challenge=oauth.challenge(Secret("check" * 9)),
        )
        with deployment.web as web:
            answer = web.get(address, timeout=Seconds(TIMEOUT))
        yield _app_finding(region, client_id, host.name, answer)


def _app_finding(region: str, client_id: str, host: str, answer: oauth.Answer) -> Finding | Unreached:
    check = f"client app ({region})"
    if not isinstance(answer, oauth.Reply) or answer.status >= 500:
        code = f"status_{answer.status}" if isinstance(answer, oauth.Reply) else answer.cause
        return Unreached(host, "client app", _reason(code))
    if answer.status == 404:
        todo = "Compare region and client id: an app exists only on the host where it was registered."
        return fail(check, f"{host} knows no client app {client_id}", todo)
    return good(check, f"{host} knows it; whether it has the redirect URI, NinjaOne says only after a sign-in")


def connect_page(deployment: Deployment) -> Iterator[Finding]:
    """Whether the redirect URIs lead to this deployment, and whether the clocks agree."""
    regions = [*deployment.config.client_ids, "branded"]
    for region in regions:
        yield _redirect_uri_finding(deployment, f"{deployment.config.connect_url}/callback/{region}", region)
    try:
        answer = httpx.get(deployment.config.connect_url, **deployment.http_options)
    except httpx.HTTPError:
        return  # said of each redirect URI already
    if deployment.stack:
        yield _clock(answer.headers.get("date", ""))
    else:
        yield good("clock", "`make run` has a clock of its own, by which everything here is checked")


def _redirect_uri_finding(deployment: Deployment, address: str, region: str) -> Finding:
    """Call a redirect URI without NinjaOne's parameters: the answer leads to our own page that says so."""
    check = f"redirect URI ({region})"
    try:
        answer = httpx.get(address, **deployment.http_options)
    except httpx.HTTPError as error:
        host = urlsplit(address).hostname or ""
        todo = (
            "Name your network's authority, or give ConnectDomain a certificate that is trusted."
            if is_certificate_error(error)
            else f"Does the DNS name {host} point at {deployment.outputs.get('ConnectDomainTarget', 'the stack')}?"
        )
        return fail(check, f"{address} can't be reached: {why_unreached(error, host)}", todo)
    if answer.headers.get("location", "").partition("?")[0].endswith("/way-around"):
        todo = "Deploy with the digest of the secret that stacks/firewall.yaml was given as OriginVerify."
        return fail(check, f"{address} is refused, though it was asked through the firewall", todo)
    if answer.status_code in {303, 400} and "content-security-policy" in answer.headers:
        return good(check, f"{address} answers")
    return fail(
        check,
        f"{address} answers {answer.status_code}",
        "Something else answers there: look at ConnectDomain and its DNS.",
    )


def _clock(date: str) -> Finding:
    away = abs(parsedate_to_datetime(date).timestamp() - time.time()) if date else 0
    if away > MAX_CLOCK_SKEW:
        return fail(
            "clock", f"this machine's clock is {away:.0f} s off", "Set it by NTP: signatures are refused otherwise."
        )
    return good("clock", "this machine agrees with the deployment")


def backend_api(deployment: Deployment) -> Iterator[Finding]:
    """Whether the backend API accepts this identity's signature."""
    address = deployment.outputs["BackendApiUrl"]
    try:
        with deployment.api as api:
            next(api.connections("doctor", status="any", page_size=1), None)
    except ConnectError as error:
        yield fail(
            "backend API", str(error), "Your backend's role needs the output BackendPermission; so does this identity."
        )
        return
    yield good("backend API", f"{address} takes this identity's signature")


def queues(deployment: Deployment) -> Iterator[Finding]:
    """Whether the queues exist and are being emptied."""
    config = deployment.config
    for name, url in (("refresh queue", config.refresh_queue), ("urgent queue", config.urgent_queue)):
        attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "RedrivePolicy"]
        found = deployment.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=attributes)["Attributes"]
        waiting, worked = (int(found[each]) for each in attributes[:2])
        says = f"{counted(waiting, 'message waits', 'messages wait')}, {counted(worked, 'is', 'are')} being worked on"
        yield good(name, says) if waiting < 50 else warn(name, says, runbook("Refreshing is behind"))


def rescue_store(deployment: Deployment) -> Iterator[Finding]:
    """Whether tokens wait in the rescue store."""
    count = len(list(deployment.rescue.waiting(1000)))
    if count:
        yield warn("rescue store", counted(count, "token waits", "tokens wait"), "ninjaone-connect rescue adopt")
    else:
        yield good("rescue store", "every token is in its row")


def overdue(deployment: Deployment) -> Iterator[Finding]:
    """Whether connections are refreshed in time."""
    before = Instant(int(deployment.now()) - OVERDUE)
    count = sum(_count_overdue(deployment, shard, before) for shard in range(policy.SHARDS))
    if count:
        yield fail(
            "refreshing",
            f"{counted(count, 'connection is', 'connections are')} overdue by {OVERDUE // 60} minutes or more",
            runbook("Refreshing has stopped"),
        )
    else:
        yield good("refreshing", "nothing is overdue")


def _count_overdue(deployment: Deployment, shard: int, before: Instant) -> int:
    answer = deployment.aws("dynamodb").query(
        TableName=deployment.config.connections_table,
        IndexName=deployment.config.due_index,
        KeyConditionExpression="due_shard = :shard AND refresh_at <= :before",
        ExpressionAttributeValues={":shard": {"N": str(shard)}, ":before": {"N": str(before)}},
        Select="COUNT",
    )
    return int(answer["Count"])


def active_epoch(deployment: Deployment) -> Iterator[Finding]:
    """Whether this table's rows may be presented."""
    try:
        active = epoch.read(deployment)
    except CliError as error:
        yield fail("epoch", error.message, "ninjaone-connect epoch show")
        return
    if active.table == deployment.config.connections_table:
        yield good("epoch", f"{active.epoch}, of this deployment's table")
    else:
        yield fail("epoch", f"the active table is {active.table}", "After a restore: ninjaone-connect epoch activate")


def seal_key(deployment: Deployment) -> Iterator[Finding]:
    """Whether the KMS key is usable."""
    state = deployment.aws("kms").describe_key(KeyId=deployment.config.seal_key)["KeyMetadata"]["KeyState"]
    if state == "Enabled":
        yield good("KMS key", "enabled")
    else:
        yield fail("KMS key", state, "Enable it, or cancel its deletion, before anything else.")


CHECKS = (
    Check("client apps", client_apps),
    Check("stored secrets", stored_secrets),
    Check("connect page", connect_page),
    Check("backend API", backend_api),
    Check("KMS key", seal_key),
    Check("queues", queues),
    Check("rescue store", rescue_store),
    Check("refreshing", overdue),
    Check("connections", inventory.connections),
    Check("first connection", inventory.first_connection),
    Check("epoch", active_epoch),
)
