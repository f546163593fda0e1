"""One target for each parser: bytes in, nothing out; whatever breaks the parser's promise is raised.

A part of the input ends at a byte 0xFF, which is in no UTF-8 text.
"""

import json
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from broker import ninjaone, oauth
from broker.adapters.aws import AwsClient
from broker.adapters.queues import BATCH_SIZE, read_batch, read_completion
from broker.adapters.rescue import RescueStore
from broker.adapters.seal import Seal, session_aad
from broker.config import Config
from broker.edge.authorize import read_form
from broker.edge.browser import session_named
from broker.edge.callback import session_and_cookie
from broker.edge.complete import complete_request
from broker.edge.connections import list_page
from broker.edge.http import BODY_LIMIT, Request
from broker.edge.session import session_request
from broker.edge.token import token_request
from broker.errors import BrokerError, Fault, InvalidRequest, Misconfigured, SealBroken
from broker.flows.exchange import ORGANIZATIONS_KEPT, _read_organizations
from broker.model import (
    ConnectionId,
    ConnectionRef,
    Instant,
    Purpose,
    SessionId,
    TenantId,
    connection_id,
    session_id,
    tenant_id,
)
from broker.ninjaone import Meaning
from broker.secret import Secret
from tests.support.broker_world import Clock
from tests.support.exits import is_ninjaone
from tests.verification.roles.stage import CONNECT_URL, template

Target = Callable[[bytes], None]

CONFIG = Config.from_env({**template().functions["session"].environment, "CONNECT_URL": CONNECT_URL})
ENVIRONMENT = {**template().functions["session"].environment, "CONNECT_URL": CONNECT_URL}
SESSION = SessionId("ses_" + "a" * 26)
TENANT = TenantId("acme")
VISIBLE = re.compile(r"[\x21-\x7e]+")


def parts(data: bytes, count: int) -> list[str]:
    """Take the input apart into so many texts; what is missing is empty."""
    found = [each.decode("utf-8", "replace") for each in data.split(b"\xff", count - 1)]
    return found + [""] * (count - len(found))


def request(data: bytes) -> Request:
    """Read an event made of the input: query, cookies, content type, a flag, the body."""
    query, cookies, kind, flag, body = parts(data, 5)
    event = {
        "routeKey": "POST /x",
        "rawPath": "/x",
        "rawQueryString": query,
        "cookies": cookies.split(";"),
        "headers": {"content-type": kind, "sec-fetch-site": flag, "origin": flag},
        "pathParameters": {"session": SESSION, "tenant": kind, "region": flag},
        "requestContext": {"http": {"method": "POST"}, "domainName": "connect.example"},
        "isBase64Encoded": flag.startswith("b"),
        "body": body,
    }
    return Request.from_event(event)


def event(data: bytes) -> None:
    """Read any event without failing, and never more of a body than is allowed."""
    found = request(data)
    assert found.body is None or len(found.body) <= BODY_LIMIT
    assert all(isinstance(held, Secret) for held in found.cookies.values())
    assert all(isinstance(name, str) for name in found.form())
    for name in ("state", "code", "limit"):
        assert found.query_parameter(name) is None or isinstance(found.query_parameter(name), str)
    named = session_named(found)
    assert named is None or session_id(named)
    assert session_and_cookie(found)[0] == named


def query(data: bytes) -> None:
    """Read a redirect from NinjaOne: a code, a refusal, or malformed; nothing else comes of it."""
    text = data.decode("utf-8", "replace")
    try:
        reply = oauth.authorization_reply(text)
    except oauth.Malformed:
        return
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", reply.state)
    for name in ("code=[^&]", "state=", "error=[^&]"):  # a parameter without a value counts as left out
        assert len(re.findall(rf"(?:^|&){name}", text)) <= 1
    if isinstance(reply, oauth.Authorized):
        assert VISIBLE.fullmatch(reply.code.reveal())
        assert len(reply.code.reveal()) <= 2048
    else:
        assert len(reply.error) <= 64
        assert not set(reply.error) & set('"\\\r\n\x00')


def token(data: bytes) -> None:
    """Judge any answer of the token endpoint: one meaning, and death only by the three names."""
    head, _, body = data.partition(b"\xff")
    status = 100 + int.from_bytes(head[:2], "big") % 500
    headers = {"retry-after": head[2:].decode("latin-1")}
    outcome = ninjaone.classify(oauth.Reply(status, headers, body), Instant(1_800_000_000))
    assert (outcome.meaning is Meaning.GRANTED) == (outcome.tokens is not None)
    if outcome.meaning is Meaning.DEAD:
        assert status in {400, 401}
        assert json.loads(body)["error"] in {"invalid_grant", "invalid_token", "expired_token"}
    if outcome.tokens:
        assert status == 200
        assert VISIBLE.fullmatch(outcome.tokens.access.reveal())
        assert 60 <= outcome.tokens.expires_at - 1_800_000_000 <= 86_400
        assert all(VISIBLE.fullmatch(name) for name in outcome.tokens.scopes)
    assert outcome.retry_after is None or 0 <= outcome.retry_after <= 3600


def batch(data: bytes) -> None:
    """Read any message of a queue: a batch of connections, a session, or nothing."""
    text = data.decode("utf-8", "replace")
    found, session = read_batch(text), read_completion(text)
    assert session is None or session_id(session)
    if found is not None:
        assert len(found.refs) <= 10 * BATCH_SIZE
        assert found.faults >= 0
        assert all(tenant_id(ref.tenant) and connection_id(ref.connection) for ref in found.refs)


class Kms:
    """Opens one data key and no other."""

    def generate_data_key(self, **_: Any) -> Mapping[str, bytes]:
        return {"CiphertextBlob": b"wrapped data key", "Plaintext": b"k" * 32}

    def decrypt(self, **asked: Any) -> Mapping[str, bytes]:
        return {"Plaintext": b"k" * 32 if asked["CiphertextBlob"] == b"wrapped data key" else b"x" * 32}


def blob(data: bytes) -> None:
    """Open any bytes, and a sealed value with these bytes laid over it: only the untouched one opens."""
    seal = Seal(AwsClient("kms", Kms()), "key", Clock(), Random(1).randbytes)
    sealed = seal.seal(seal.data_key(Purpose.CODE), Secret("a secret"), session_aad(SESSION))
    laid = bytearray(sealed)
    for host, byte in zip(data[::2], data[1::2], strict=False):
        laid[host % len(laid)] ^= byte
    for changed in (data, bytes(laid)):
        try:
            opened = seal.open(changed, Purpose.CODE, session_aad(SESSION))
        except SealBroken:
            assert changed != sealed
        else:
            assert changed == sealed
            assert opened == Secret("a secret")


def faults_of(read: Callable[[], object]) -> tuple[Fault, ...]:
    try:
        read()
    except InvalidRequest as refused:
        return refused.faults or (Fault("", ""),)
    return ()


def body(data: bytes) -> None:
    """Read any body as each of the calls: what was meant, or faults that say what to change."""
    found = request(b"\xff\xffapplication/json\xff\xff" + data)
    for read in (
        lambda: session_request(CONFIG, TENANT, found),
        lambda: complete_request(TENANT, found),
        lambda: token_request(found),
    ):
        assert all(fault.message for fault in faults_of(read))


def listing(data: bytes) -> None:
    """Read any query of a list."""
    try:
        limit, cursor = list_page(request(data))
    except InvalidRequest:
        return
    assert 1 <= limit <= 100
    assert cursor is None or len(cursor) <= 40


def sheet(data: bytes) -> None:
    """Read any form of the connect page: it leads to NinjaOne's hosts or has faults, and shows no secret again."""
    found = read_form(CONFIG, request(b"\xff\xffapplication/x-www-form-urlencoded\xff\xff" + data))
    assert (found.host is None) <= bool(found.faults)
    assert found.host is None or is_ninjaone(found.host.name, CONFIG.branded_suffixes)
    assert "client_secret" not in found.typed
    assert all(len(text) <= 200 for text in found.typed.values())


class Store:
    """S3 with one object."""

    def __init__(self, held: bytes) -> None:
        self._held = held

    def get_object(self, **_: str) -> Mapping[str, Any]:
        return {"Body": self}

    def read(self) -> bytes:
        return self._held


def rescued(data: bytes) -> None:
    """Read any object of the rescue store: tokens, or a failure of ours."""
    try:
        found = RescueStore(AwsClient("s3", Store(data)), "bucket").get(
            ConnectionRef(TENANT, ConnectionId("con_" + "a" * 26)), 1
        )
    except BrokerError:
        return
    assert found is not None
    assert isinstance(found.access, bytes)
    assert isinstance(found.expires_at, int)


def organizations(data: bytes) -> None:
    """Read any list of organizations: at most so many, with short names."""
    found = _read_organizations(data) or ()
    assert len(found) <= ORGANIZATIONS_KEPT
    assert all(len(each.name) <= 80 and (each.name + "x").isprintable() for each in found)


def setting(data: bytes) -> None:
    """Read any value of any setting: taken, or named as a fault."""
    name, value = parts(data, 2)
    names = sorted(ENVIRONMENT)
    chosen = names[len(name) % len(names)]
    try:
        config = Config.from_env(ENVIRONMENT | {chosen: value})
    except Misconfigured as fault:
        if chosen not in fault.detail:
            raise
        return
    assert all(url.startswith(("https://", "http://127.0.0.1")) for url in config.return_urls.values())
    assert all(not set(url) & set("\r\n\x00 \"'<>;") for url in config.return_urls.values())


TARGETS: Mapping[str, Target] = {
    "event": event,
    "query": query,
    "token": token,
    "batch": batch,
    "blob": blob,
    "body": body,
    "listing": listing,
    "sheet": sheet,
    "rescued": rescued,
    "organizations": organizations,
    "setting": setting,
}
