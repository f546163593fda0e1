"""Somebody who writes to the tables and has no key: every sealed value in every wrong place, rolled back, changed."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from local.browser import Browser
from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS
from tests.support.http_flow import Answers, Backend, Flow, Json, slug
from tests.support.person import query_of
from tools.requirements import req

Key = dict[str, Json]
SealedPlace = tuple[str, str]
"""A row and an attribute, by the names they have here."""

OWN = dict(zip(("client_id", "client_secret"), CUSTOMER_APPS["eu"], strict=True))


@dataclass
class Safe:
    """The tables, open to whoever may write them.

    Attributes:
        rows: name → (table, key)
        sealed: place → sealed value, as it was found there or used to be
    """

    world: World
    backend: Backend
    flow: Flow
    ticket: str
    rows: dict[str, tuple[str, Key]] = field(default_factory=dict)
    sealed: dict[SealedPlace, bytes] = field(default_factory=dict)

    def table(self, hash_key: str) -> str:
        return next(each.name for each in self.world.template.tables if each.hash_key == hash_key)

    def know(self, name: str, hash_key: str, key: Key) -> None:
        """Note a row and what is sealed in it."""
        self.rows[name] = (self.table(hash_key), key)
        for attribute, value in self.read(name).items():
            if "B" in value:
                self.sealed[name, attribute] = value["B"]

    def read(self, name: str) -> Json:
        table, key = self.rows[name]
        found: Json = self.world.aws("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]
        return found

    def write(self, name: str, item: Json) -> None:
        self.world.aws("dynamodb").put_item(TableName=self.rows[name][0], Item=item)

    def tokens(self) -> int:
        return self.flow.tokens()


def connection_key(made: Json, more: str = "") -> Key:
    return {"tenant": {"S": made["tenant_id"]}, "connection": {"S": made["connection_id"] + more}}


@pytest.fixture(scope="module")
def safe(world: World) -> Iterator[Safe]:
    """Two tenants, one of them with an app of its own; a refresh behind them; a session that waits to be completed."""
    backend = Backend(world, Answers())
    with Browser() as browser, Browser() as other:
        mine = (
            Flow(world, backend, browser, "acme").open(client="customer", region="eu", client_credentials=OWN).connect()
        )
        theirs = Flow(world, backend, other, "rival").connect()
        flow = Flow(world, backend, browser, "acme").open(client="customer", region="eu", client_credentials=OWN)
        second = Flow(world, backend, other, "rival").open()
        ticket = query_of(browser.get(flow.back()).location)["ticket"]
        other.get(second.back())
        safe = Safe(world, backend, flow, ticket)
        for name, made in (("mine before", mine), ("theirs before", theirs)):
            safe.know(name, "tenant", connection_key(made))
        refreshed(world)
        for name, made in (("mine", mine), ("theirs", theirs)):
            safe.know(name, "tenant", connection_key(made))
        safe.know("my profile", "tenant", connection_key(mine, "#profile"))
        safe.know("my session", "session", {"session": {"S": flow.session}})
        safe.know("their session", "session", {"session": {"S": second.session}})
        yield safe
    backend.close()


def refreshed(world: World) -> None:
    """Let every connection be refreshed once, and the clock go back: the sessions are to stay fresh."""
    world.clock.advance(2900)
    world.run_event_sources()
    world.clock.advance(-2900)


def test_the_safe_holds_what_the_matrix_needs(safe: Safe) -> None:
    assert {attribute for _, attribute in safe.sealed} == {"access", "refresh", "client", "code", "code_verifier"}
    assert safe.read("mine")["version"]["N"] == safe.read("theirs")["version"]["N"] == "2"


def get_token(safe: Safe) -> str:
    """Ask for my token; say how that was refused."""
    connection = safe.rows["mine"][1]["connection"]["S"]
    return refusal(safe.backend.post(f"/v1/tenants/acme/connections/{connection}/token"))


def complete(safe: Safe) -> str:
    """Complete my session; say how that was refused."""
    return refusal(safe.flow.complete(safe.ticket))


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code >= 500, answer.text
    return slug(answer)


def refresh(safe: Safe) -> str:
    """Let my connection be refreshed; say how that was put off."""
    item = safe.read("mine")
    safe.write("mine", item | {"refresh_at": {"N": str(int(safe.world.clock.now()))}})
    before = len(safe.world.log_lines)

    safe.world.run_event_sources()

    said = {json.loads(line).get("message") for line in list(safe.world.log_lines)[before:]}
    assert "refresh.answered" not in said
    [refused] = said & {"seal.broken", "refresh.put_off"}
    return {"seal.broken": "seal-broken", "refresh.put_off": "aws-unavailable"}[refused]


OPENED: dict[SealedPlace, Callable[[Safe], str]] = {
    ("mine", "access"): get_token,
    ("mine", "refresh"): refresh,
    ("my profile", "client"): refresh,
    ("my session", "code"): complete,
    ("my session", "code_verifier"): complete,
    ("my session", "client"): complete,
}
"""Who opens what."""


def tried(safe: Safe, host: SealedPlace, planted: bytes) -> str:
    """Plant a value, see how it is refused and that nothing is spent, and put all back."""
    kept = {name: safe.read(name) for name in {host[0], "mine", "my session"}}
    tokens = safe.tokens()
    safe.write(host[0], kept[host[0]] | {host[1]: {"B": planted}})
    try:
        refused = OPENED[host](safe)
    finally:
        for name, item in kept.items():
            safe.write(name, item)
    assert safe.tokens() == tokens, "NinjaOne gave a token for it"
    return refused


@req("J03")
@pytest.mark.parametrize("host", OPENED, ids=" ".join)
def test_no_sealed_value_opens_in_anothers_place(safe: Safe, host: SealedPlace) -> None:
    """Rows × fields × versions × tenants × tables: everything that lies anywhere, planted here."""
    for source, sealed in safe.sealed.items():
        if source != host:
            assert tried(safe, host, sealed) == "seal-broken", source


@req("J03")
@pytest.mark.parametrize("host", OPENED, ids=" ".join)
def test_a_value_rolled_back_by_itself_does_not_open(safe: Safe, host: SealedPlace) -> None:
    """The generation before, in the same row and field; where there is none before, another session's."""
    name, attribute = host
    before = {"mine": "mine before", "my session": "their session", "my profile": "my session"}[name]
    assert tried(safe, host, safe.sealed.get((before, attribute), b"")) == "seal-broken"


def damaged(sealed: bytes) -> Iterator[bytes]:
    """Change each part of a sealed value, cut it, and lengthen it."""
    length = int.from_bytes(sealed[1:3], "big")
    for at in (0, 1, 2, 3, 3 + length // 2, 3 + length, 3 + length + 11, 3 + length + 12, len(sealed) - 1):
        changed = bytearray(sealed)
        changed[at] ^= 1
        yield bytes(changed)
    yield from (b"", sealed[:2], sealed[: 3 + length], sealed[:-1], sealed + b"\0", b"\x01\xff\xff" + sealed[3:])


@req("J03", "J01")
@pytest.mark.parametrize("host", OPENED, ids=" ".join)
def test_a_value_that_was_changed_does_not_open(safe: Safe, host: SealedPlace) -> None:
    """A data key that KMS takes for another key's is what AWS refuses, at once or after trying; all else is broken."""
    for planted in damaged(safe.sealed[host]):
        assert tried(safe, host, planted) in {"seal-broken", "aws-unavailable", "aws-refused"}


@req("J03")
def test_what_was_put_back_still_opens(safe: Safe) -> None:
    """The matrix would prove nothing if nothing ever opened."""
    connection = safe.rows["mine"][1]["connection"]["S"]

    assert safe.backend.post(f"/v1/tenants/acme/connections/{connection}/token").status_code == 200
    assert safe.flow.complete(safe.ticket).status_code == 200


@req("J03", "I02")
@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("host", "us2.ninjarmm.com"),
        ("host", "evil.example"),
        ("region", "us2"),
        ("client_id", "another"),
        ("customer_app", None),
    ],
)
def test_what_lies_open_in_a_row_leads_no_token_astray(safe: Safe, world: World, attribute: str, value: Any) -> None:
    """Plain attributes are not bound into the seal. Whoever changes them gets at most a refusal or a foreign 404:
    hosts are NinjaOne's alone, and no other app's secret goes along."""
    kept = safe.read("theirs")
    changed = dict(kept) if value is None else kept | {attribute: {"S": value}}
    changed["refresh_at"] = {"N": str(int(world.clock.now()))}
    if value is None:
        changed[attribute] = {"BOOL": True}
    safe.write("theirs", changed)
    before, tokens = len(world.ninjaone.events), safe.tokens()
    try:
        world.run_event_sources()
    finally:
        safe.write("theirs", kept)

    heard = {each.fields.get("host") for each in world.ninjaone.events[before:]}
    assert "evil.example" not in heard
    assert attribute == "region" or safe.tokens() == tokens
