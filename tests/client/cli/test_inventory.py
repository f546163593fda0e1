"""What an operator sees of everything: the doctor's verdicts of secrets and connections, the list of all tenants."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from broker import ninjaone
from broker.adapters.http import HttpClient
from broker.model import ConnectionRef
from broker.oauth import NotSent, Reply
from local.world import World
from ninjaone_connect_cli.finding import runbook
from ninjaone_connect_cli.inventory import SECRET_LINK
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.cli import ROOT, Cli, csv_of, granted, state_rows, write

DAY = 86_400


@pytest.fixture
def fleet(world: World, cli: Cli, tmp_path: Path) -> list[ConnectionRef]:
    """Three connections of two tenants, with tokens that NinjaOne takes."""
    lines = [
        {"tenant_id": tenant, "refresh_token": granted(world), "region": "eu", "label": label, "key": label}
        for tenant, label in (("contoso", "One"), ("contoso", "Two"), ("northwind", "Main"))
    ]
    made = cli.local("import", str(csv_of(tmp_path, lines))).json
    world.run_event_sources()
    return [ConnectionRef(each["tenant_id"], each["connection_id"]) for each in made]


def findings(cli: Cli, check: str) -> list[dict[str, str]]:
    return [each for each in cli.local("doctor").json if each["check"].startswith(check)]


@contextmanager
def stored(world: World, change: Any) -> Iterator[None]:
    """Store other client secrets for a while."""
    name = world.settings("refresh")["CLIENT_SECRETS"]
    held = world.aws("secretsmanager").get_secret_value(SecretId=name)["SecretString"]
    world.account.put_secret(name, change(json.loads(held)))
    try:
        yield
    finally:
        world.account.put_secret(name, held)


# The list of all ------------------------------------------------------------------------------------------------------


def test_without_a_tenant_all_are_listed_and_it_says_how(cli: Cli, fleet: list[ConnectionRef]) -> None:
    seen, read = cli("--local", "connections", "list"), cli("connections", "list", "--local", "--json")

    assert {ConnectionRef(each["tenant_id"], each["connection_id"]) for each in read.json} == {*fleet}
    assert [each["tenant_id"] for each in read.json] == ["contoso", "contoso", "northwind"]
    assert read.err == ""
    assert "a Scan" in seen.err
    assert all(ref.connection in seen.out for ref in fleet)


def test_a_tenant_s_list_and_the_list_of_all_say_the_same(cli: Cli, fleet: list[ConnectionRef]) -> None:
    of_one = cli.local("connections", "list", "northwind").json
    of_all = [each for each in cli.local("connections", "list").json if each["tenant_id"] == "northwind"]

    assert of_one == of_all


@pytest.mark.parametrize("tenant", [[], ["contoso"]])
def test_a_connection_without_a_valid_token_is_not_called_active_once_renewing_failed(
    world: World, cli: Cli, fleet: list[ConnectionRef], tenant: list[str]
) -> None:
    now = int(time.time())
    write(world, fleet[0], failures=1, cause="status_503", token_expires_at=now - 60, refresh_at=now + 300)

    read = {each["connection_id"]: each for each in cli.local("connections", "list", *tenant).json}
    seen = cli("--local", "connections", "list", *tenant).out

    found, other = read[fleet[0].connection], read[fleet[1].connection]
    assert (found["status"], found["reason"], other["status"]) == ("paused", "status_503", "active")
    assert "did not renew the tokens of this connection (status_503). It is asked again at" in found["paused"]
    assert re.search(rf"{fleet[0].connection} +paused +status_503 .* in (4|5) min", seen)


@pytest.mark.parametrize("tenant", [[], ["contoso"]])
def test_an_active_connection_whose_token_ended_is_told_apart(
    world: World, cli: Cli, fleet: list[ConnectionRef], tenant: list[str]
) -> None:
    write(world, fleet[0], token_expires_at=int(time.time()) - 60)

    seen = cli("--local", "connections", "list", *tenant).out

    assert re.search(rf"{fleet[0].connection} +active +token ended ", seen)
    assert re.search(rf"{fleet[1].connection} +active +- ", seen)


@pytest.mark.parametrize("tenant", [[], ["contoso"]])
def test_the_list_is_narrowed_by_status_region_and_end_of_consent(
    world: World, cli: Cli, fleet: list[ConnectionRef], tenant: list[str]
) -> None:
    waits, ending, works = fleet[0], fleet[1], fleet[2]
    write(world, waits, status="needs_reauth", reason="revoked", needs_reauth_since=int(time.time()))
    write(world, ending, consented_at=int(time.time()) - 27 * DAY)

    def listed(*options: str) -> set[str]:
        return {each["connection_id"] for each in cli.local("connections", "list", *tenant, *options).json}

    everything = {waits.connection, ending.connection} | (set() if tenant else {works.connection})
    assert listed("--status", "needs_reauth") == {waits.connection}
    assert listed("--status", "needs_reauth", "--status", "active") == everything
    assert listed("--ninjaone-region", "us2") == set()
    assert listed("--ninjaone-region", "eu") == everything
    assert listed("--ends-within", "7") == {ending.connection}
    assert listed("--ends-within", "1") == set()


# Secrets --------------------------------------------------------------------------------------------------------------


def test_the_doctor_tries_each_secret_and_says_as_far_as_ninjaone_tells(world: World, cli: Cli) -> None:
    (right,) = findings(cli, "client secret (eu)")
    with stored(world, lambda held: json.dumps(dict.fromkeys(held, "wrong"))):
        (wrong,) = findings(cli, "client secret (eu)")

    assert (right["state"], "as far as NinjaOne tells" in right["says"]) == ("ok", True)
    assert (wrong["state"], wrong["says"].startswith("wrong: NinjaOne refuses it")) == ("fix", True)
    assert wrong["todo"].startswith("aws secretsmanager put-secret-value")


@pytest.mark.parametrize(
    ("answer", "state"),
    [((503, b""), "look"), ((429, b""), "look"), ((400, b'{"error": "unauthorized_client"}'), "ok")],
)
def test_only_invalid_client_says_that_a_secret_is_wrong(
    world: World, cli: Cli, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes], state: str
) -> None:
    monkeypatch.setattr(HttpClient, "post", lambda *_, **__: Reply(answer[0], {}, answer[1]))

    found = findings(cli, "client secret") or findings(cli, "client apps")

    assert {each["state"] for each in found} == {state}
    assert state == "ok" or "could not be asked about the stored secret (" in found[0]["says"]


def test_while_ninjaone_is_down_one_finding_names_all_its_hosts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("get", "post"):
        monkeypatch.setattr(HttpClient, method, lambda *_, **__: Reply(503, {}, b""))

    (found,) = findings(cli, "client ")

    hosts = ", ".join(ninjaone.REGIONS[region] for region in OPERATOR_APPS)
    assert found["says"] == f"{hosts} could not be asked about the client app and stored secret (status 503)"
    assert "NinjaOne may be down" in found["todo"]


def test_a_host_that_answers_one_question_only_is_named_with_the_other(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HttpClient, "get", lambda *_, **__: NotSent("certificate_distrusted"))

    (found,) = findings(cli, "client apps")

    assert found["says"].endswith("could not be asked about the client app (its certificate is not trusted here)")
    assert "AWS_CA_BUNDLE" in found["todo"]
    assert {each["state"] for each in findings(cli, "client secret")} == {"ok"}


def test_the_doctor_sees_whitespace_and_odd_entries_in_what_is_stored(world: World, cli: Cli) -> None:
    (sound,) = findings(cli, "stored secrets")
    with stored(world, lambda held: json.dumps({name: f" {secret}\n" for name, secret in held.items()} | {"later": 7})):
        loose = findings(cli, "stored secrets")
        tried = findings(cli, "client secret (eu)")
    with stored(world, lambda _: "no JSON"):
        (broken,) = findings(cli, "stored secrets")

    assert sound["state"] == "ok"
    assert [(each["state"], "whitespace" in each["says"]) for each in loose] == [("fix", False), ("look", True)]
    assert "later" in loose[0]["says"]
    assert tried[0]["state"] == "ok", "it is left out"
    assert broken["state"] == "fix"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda held: json.dumps(held)[:-1] + ', "a": "1", "a ": "2"}', "a is named more than once"),
        (lambda held: json.dumps({name: f'"{secret}"' for name, secret in held.items()}), "a quotation mark"),
        (lambda held: "\ufeff" + json.dumps(held), "a byte order mark around the whole"),
        (lambda held: json.dumps(held)[:-1] + ', "a": "\u200b1"}', "a quotation mark or a byte order mark around a;"),
    ],
    ids=range(4),
)
def test_the_doctor_sees_what_copying_brought_along(
    world: World, cli: Cli, change: Callable[[dict[str, str]], str], says: str
) -> None:
    with stored(world, change):
        found = findings(cli, "stored secrets")
        (tried, *_) = findings(cli, "client secret (eu)")

    assert {each["state"] for each in found} == {"look"}
    assert says in " ".join(each["says"] for each in found)
    assert tried["state"] == "ok"


# Connections ----------------------------------------------------------------------------------------------------------


def test_the_doctor_is_content_with_a_fleet_that_works(cli: Cli, fleet: list[ConnectionRef]) -> None:
    assert [each["says"] for each in findings(cli, "connections")] == ["3 active"]
    assert [each["state"] for each in findings(cli, "tokens")] == ["ok"]
    assert [each["state"] for each in findings(cli, "circuit breakers")] == ["ok"]


@pytest.mark.parametrize(
    ("attributes", "check", "state"),
    [
        ({"token_expires_at": 1_000_000_000}, "tokens", "fix"),
        ({"struck_at": 1_700_000_000, "failures": 1}, "paused", "look"),
        ({"failures": 2}, "paused", "look"),
        ({"status": "needs_reauth", "reason": "revoked", "needs_reauth_since": 1_700_000_000}, "customers", "look"),
        ({"consented_at": int(time.time()) - 24 * DAY}, "consent", "look"),
    ],
)
def test_the_doctor_names_what_does_not_work_or_will_not(
    world: World, cli: Cli, fleet: list[ConnectionRef], attributes: dict[str, Any], check: str, state: str
) -> None:
    write(world, fleet[1], **attributes)

    (finding,) = findings(cli, check)

    assert finding["state"] == state
    assert f"contoso/{fleet[1].connection}" in finding["says"]
    assert finding["todo"]


@pytest.mark.parametrize(
    ("attributes", "heading"),
    [
        ({"failures": 2, "cause": "status_500"}, "NinjaOne's answers are unclear"),
        ({"failures": 2, "cause": "connect_error"}, "NinjaOne's answers are unclear"),
        ({"failures": 2, "cause": "invalid_client"}, "A circuit breaker holds refreshes"),
        ({"failures": 1, "cause": "invalid_token", "struck_at": 1_700_000_000}, "A circuit breaker holds refreshes"),
    ],
)
def test_a_pause_names_its_cause_and_the_runbook_that_fits_it(
    world: World, cli: Cli, fleet: list[ConnectionRef], attributes: dict[str, Any], heading: str
) -> None:
    write(world, fleet[1], **attributes)

    (finding,) = findings(cli, "paused")

    assert finding["says"].startswith(f"1 connection gets no new tokens for now, after {attributes['cause']} (")
    assert "refuse" not in finding["says"]
    assert finding["todo"].endswith(runbook(heading))


def test_each_finding_counts_in_the_singular_too(world: World, cli: Cli, fleet: list[ConnectionRef]) -> None:
    write(world, fleet[0], token_expires_at=1_000_000_000)
    (one,) = findings(cli, "tokens")
    write(world, fleet[1], token_expires_at=1_000_000_000)
    (two,) = findings(cli, "tokens")

    assert one["says"].startswith("1 connection has an expired token; its callers get 503 (")
    assert two["says"].startswith("2 connections have an expired token; their callers get 503 (")


def test_every_runbook_that_the_doctor_names_is_in_its_file() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "cli/src").rglob("*.py"))
    named = set(re.findall(r'runbook\("([^"]+)"\)', sources))
    file = ROOT / runbook("").partition(":")[0]

    assert len(named) >= 7
    assert named <= set(re.findall(r"^## (.+)$", file.read_text("utf-8"), re.MULTILINE))
    assert "Runbook:" not in sources


def test_a_customer_s_own_app_that_is_refused_is_said_with_what_to_do(
    world: World, cli: Cli, fleet: list[ConnectionRef]
) -> None:
    write(world, fleet[1], customer_app=True, failures=2, cause="invalid_client", refresh_at=1_800_000_000)

    (finding,) = findings(cli, "customers' apps")
    assert (finding["state"], finding["todo"]) == ("look", SECRET_LINK)
    assert f"contoso/{fleet[1].connection}" in finding["says"]

    assert findings(cli, "paused") == []  # here waiting does not help
    (listed,) = cli.local("connections", "list", "--status", "paused").json
    shown = cli.local("connections", "show", "contoso", fleet[1].connection).json
    assert listed["reason"] == shown["reason"] == "invalid_client"
    assert listed["paused"] == shown["paused"]
    assert "the customer's own client app" in shown["paused"]


def test_the_doctor_shows_an_open_breaker(world: World, cli: Cli, fleet: list[ConnectionRef]) -> None:
    client_id = next(iter(state_rows(world).values())).client_id
    now = int(time.time())
    breaker = ConnectionRef("#breakers", f"app eu.ninjarmm.com {client_id}")  # type: ignore[arg-type]  # a control row
    write(world, breaker, since=now - 600, opened_at=now - 600, passed_at=now, cause="throttled")

    (held,), (paused,) = findings(cli, "circuit breaker"), findings(cli, "paused")

    assert "open for 10 min, after throttled" in held["says"]
    assert "3 connections get no new tokens for now, after throttled" in paused["says"]
    assert paused["todo"].endswith(runbook("A circuit breaker holds refreshes"))


def test_a_row_that_cannot_be_read_is_told(world: World, cli: Cli, fleet: list[ConnectionRef]) -> None:
    write(world, fleet[0], status="frozen")

    first, second = findings(cli, "connections")

    assert (first["state"], first["says"]) == ("fix", "1 row can't be read")
    assert second["says"] == "2 active"


def test_what_runs_on_this_machine_is_looked_at_by_its_own_clock(
    world: World, cli: Cli, fleet: list[ConnectionRef]
) -> None:
    before = world.clock.offset
    world.clock.advance(26 * DAY)
    try:
        (ending,) = findings(cli, "consent")
        clock = findings(cli, "clock")
        shown = cli("--local", "connections", "show", "contoso", fleet[0].connection).out
    finally:
        world.clock.offset = before

    assert "3 end within seven days" in ending["says"]
    assert [each["state"] for each in clock] == ["ok"]
    assert "in 4 d" in shown


# Off-boarding ---------------------------------------------------------------------------------------------------------


def test_all_connections_of_one_tenant_end_and_no_other(world: World, cli: Cli, fleet: list[ConnectionRef]) -> None:
    refused = cli("--local", "connections", "disconnect-all", "contoso", typed="n\n")
    ended = cli.local("connections", "disconnect-all", "contoso", "--yes")

    assert (refused.code, refused.err.endswith("Disconnect them all? [y/N]: Nothing was changed.\n")) == (1, True)
    assert (ended.code, ended.json) == (0, [])
    assert {ref.tenant: row.status for ref, row in state_rows(world).items()} == {
        "contoso": "disconnected", "northwind": "active",
    }  # fmt: skip


def test_a_revocation_that_failed_is_tried_again(
    world: World, cli: Cli, fleet: list[ConnectionRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    switches, waits = world.ninjaone.switches, []
    before = switches.revoke
    switches.update({"revoke": "404"})

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        switches.update({"revoke": before})

    monkeypatch.setattr("ninjaone_connect_cli.calls.time.sleep", sleep)
    try:
        ended = cli.local("connections", "disconnect-all", "contoso", "--yes")
    finally:
        switches.update({"revoke": before})

    assert (ended.code, ended.json, waits) == (0, [], [1.0])
