"""Each way in which NinjaOne can say no to a code: its own error, one request, and no half of a connection."""

import json
from collections.abc import Callable

import httpx
import pytest

from broker import errors, policy
from broker.adapters.http import HttpClient
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import BrokerError, ProviderDown, SessionSpent
from broker.flows.exchange import ORGANIZATIONS_LIMIT, Exchange
from broker.model import Organization, Stage
from broker.secret import Secret
from local.aws.account import AwsAccount
from ninjaone_emulator import NinjaOne
from ninjaone_emulator.faults import Fault
from ninjaone_emulator.seed import OPERATOR_APPS
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import Clock, LogLines, NinjaOneTransport
from tests.support.journey import OWN, Journey
from tools.requirements import req

APP = OPERATOR_APPS["eu"].client_id
GRANTED = {"access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt"}
HTML = b"<html>Rate limit</html>"

Trap = Callable[[NinjaOne, NinjaOneTransport], object]


def fault(kind: str) -> Trap:
    return lambda ninjaone, _: ninjaone.faults.plan(Fault(kind))


def says(status: int, body: bytes | dict[str, object], **headers: str) -> Trap:
    return lambda _, network: network.answer(status, body, **headers)


def fails(error: type[httpx.TransportError]) -> Trap:
    return lambda _, network: network.fail(error)


def granted(**changes: object) -> Trap:
    return says(200, {name: held for name, held in (GRANTED | changes).items() if held is not None})


REFUSALS: dict[str, tuple[Trap, type[BrokerError]]] = {
    "the app was deleted": (lambda ninjaone, _: ninjaone.admin.delete_app(APP), errors.UnknownClient),
    "its secret was changed": (lambda ninjaone, _: ninjaone.admin.rotate_secret(APP), errors.WrongClientSecret),
    "its code box was unticked": (
        lambda ninjaone, _: ninjaone.admin.tick_grant_type(APP, "authorization_code", ticked=False),
        errors.GrantNotTicked,
    ),
    "its refresh box was unticked": (
        lambda ninjaone, _: ninjaone.admin.tick_grant_type(APP, "refresh_token", ticked=False),
        errors.NoRefreshToken,
    ),
    "the grant type is not supported": (says(400, {"error": "unsupported_grant_type"}), errors.GrantNotTicked),
    "the scope is not the app's": (says(400, {"error": "invalid_scope"}), errors.InvalidScope),
    "the request is wrong": (says(400, {"error": "invalid_request"}), errors.UnexpectedAnswer),
    "the code is dead": (says(400, {"error": "invalid_token"}), errors.CodeRefused),
    "the code is dead by the RFC": (says(400, {"error": "invalid_grant"}), errors.CodeRefused),
    "the code expired": (says(401, {"error": "expired_token"}), errors.CodeRefused),
    "a replica lags": (fault("spurious_dead_token"), errors.CodeRefused),
    "no refresh token": (granted(refresh_token=None), errors.NoRefreshToken),
    "an empty refresh token": (granted(refresh_token=""), errors.NoRefreshToken),
    "fewer scopes": (granted(scope="monitoring offline_access"), errors.InsufficientScope),
    "no scope asked for": (granted(scope="control"), errors.InsufficientScope),
    "another token type": (granted(token_type="mac"), errors.OutcomeUnknown),
    "no access token": (granted(access_token=None), errors.OutcomeUnknown),
    "html with 200": (fault("html_200_rate_limit"), errors.OutcomeUnknown),
    "half of the answer": (fault("truncated_json"), errors.OutcomeUnknown),
    "a redirect": (says(302, b"", location="https://evil.example/"), errors.OutcomeUnknown),
    "500": (fault("500"), errors.OutcomeUnknown),
    "502": (fault("html_502"), errors.OutcomeUnknown),
    "503": (fault("html_503"), errors.OutcomeUnknown),
    "done, and 502": (fault("html_502_after_commit"), errors.OutcomeUnknown),
    "done, and lost": (fault("lost_response"), errors.OutcomeUnknown),
    "done, and late": (fault("slow"), errors.OutcomeUnknown),
    "reset": (fault("reset"), errors.OutcomeUnknown),
    "no route": (fault("html_404"), errors.ProviderDown),
    "html with 403": (says(403, HTML), errors.ProviderDown),
    "too many requests": (fault("429"), errors.ProviderDown),
    "no connection": (fails(httpx.ConnectError), errors.ProviderDown),
    "no name": (fails(httpx.ConnectTimeout), errors.ProviderDown),
}


@req("C12", "D06", "D07", "L02")
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_has_its_own_error_costs_one_request_and_makes_nothing(
    journey: Journey,
    ninjaone: NinjaOne,
    network: NinjaOneTransport,
    aws: AwsAccount,
    config: Config,
    lines: LogLines,
    name: str,
) -> None:
    trap, expected = REFUSALS[name]
    home = journey.home()
    trap(ninjaone, network)

    with pytest.raises(expected) as refused:
        journey.complete(home)

    assert type(refused.value) is expected
    assert len(network.requests) == len(network.tokens_asked) == 1
    assert aws.client("dynamodb").scan(TableName=config.connections_table)["Count"] == 0
    found = aws.client("dynamodb").scan(TableName=config.sessions_table)["Items"]
    (row,) = (each for each in found if "stage" in each)  # beside it only the hash of the code is remembered
    assert row["stage"] == {"S": Stage.FAILED.value}
    assert not {"code", "code_verifier", "client"} & set(row)
    assert len(lines.named("code.sent")) == 1
    with pytest.raises(expected) as again:
        journey.complete(home)
    assert type(again.value) is expected
    assert len(network.requests) == 1


@pytest.mark.parametrize("customer_app", [True, False])
def test_whose_app_was_declined_is_known(journey: Journey, network: NinjaOneTransport, *, customer_app: bool) -> None:
    home = journey.home(customer_app=customer_app, client=OWN if customer_app else None)
    network.answer(401, {"error": "invalid_client"})

    with pytest.raises(errors.WrongClientSecret) as refused:
        journey.complete(home)
    assert refused.value.customer_app is customer_app


def test_a_session_without_a_place_sends_its_code_nowhere(
    journey: Journey, network: NinjaOneTransport, clock: Clock, broker: Broker
) -> None:
    exchange = Exchange(lambda: HttpClient(lambda: network, clock), clock, broker.log)

    with pytest.raises(SessionSpent):
        exchange(journey.open(), OWN, Secret("code"), Secret("verifier"))
    assert network.requests == []


def test_a_wait_that_ninjaone_names_is_passed_on(journey: Journey, network: NinjaOneTransport) -> None:
    home = journey.home()
    network.answer(429, HTML, retry_after="77")

    with pytest.raises(ProviderDown) as refused:
        journey.complete(home)
    assert refused.value.retry_after == 77


def test_an_exchange_that_nobody_could_note_as_failed_is_spent_all_the_same(
    journey: Journey, network: NinjaOneTransport, aws_faults: AwsFaults, clock: Clock
) -> None:
    home = journey.home()
    network.answer(400, {"error": "invalid_token"})
    aws_faults.refuse("dynamodb.UpdateItem", times=2, only=lambda body: "failed" in json.dumps(body))

    with pytest.raises(errors.CodeRefused):
        journey.complete(home)
    clock.advance(policy.COMPLETE_TIMEOUT + 11)
    with pytest.raises(errors.ConsentLost):
        journey.complete(home)
    assert len(network.requests) == 1


@pytest.mark.parametrize("scope", [None, "", "offline_access management monitoring", "monitoring management control"])
def test_scopes_count_as_a_set_and_may_be_left_out(
    journey: Journey, network: NinjaOneTransport, scope: str | None
) -> None:
    """docs/understand/ninjaone.md §9 U12: the order differs, and whether offline_access is echoed is not known."""
    home = journey.home()
    granted(scope=scope)(journey.ninjaone, network)

    state, _ = journey.complete(home)

    assert state.scopes >= {"monitoring", "management"}


# The look at what the token opens -------------------------------------------------------------------------------------


@req("D05")
@pytest.mark.parametrize("status", [0, 201, 500])
def test_organizations_are_read_from_an_answer_of_200_and_from_no_other(
    journey: Journey, network: NinjaOneTransport, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    asked = network.handle_request

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v2/organizations":
            return asked(request)
        if not status:
            raise httpx.ReadError("reset")
        return httpx.Response(status, stream=httpx.ByteStream(b'[{"id": 1, "name": "Acme"}]'))

    monkeypatch.setattr(network, "handle_request", handle)

    assert journey.connect()[1].organizations == ()


ODD_LOOKS: dict[str, Trap] = {
    "no right to list": lambda ninjaone, _: ninjaone.switches.update({"organizations_need_admin": True}),
    "html": says(200, HTML),
    "an object": says(200, {"id": 1}),
    "too deep": says(200, b"[" * 60_000),
    "nothing": says(200, b"[]"),
    "out of order": says(503, b""),
    "no connection": fails(httpx.ConnectError),
    "no answer": fails(httpx.ReadTimeout),
    "not organizations": says(200, b'[7, null, "x", {}, {"id": "1"}, {"name": "x"}]'),
}


@pytest.mark.parametrize("name", ODD_LOOKS)
def test_a_look_that_shows_nothing_is_no_failure(
    journey: Journey, ninjaone: NinjaOne, network: NinjaOneTransport, name: str
) -> None:
    """The person's role may not list organizations; the tokens are good all the same."""
    home = journey.home(email="bob@nordlicht.example")
    if name != "no right to list":
        granted()(ninjaone, network)
    ODD_LOOKS[name](ninjaone, network)

    _, profile = journey.complete(home)

    assert profile.organizations == ()
    assert profile.label == "eu.ninjarmm.com"


def listing(count: int, *, name: str = "n", described: int = 0) -> bytes:
    """Write a list of organizations as NinjaOne does, each with a description of so many bytes."""
    rows = [{"id": number, "description": "d" * described, "name": name} for number in range(1, count + 1)]
    return json.dumps(rows).encode()


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (listing(40), ["n"] * 20),
        (listing(1, name="n" * 200), ["n" * 80]),
        (listing(20, described=4_000), ["n"] * 20),
        (listing(20, described=60_000), ["n"] * (ORGANIZATIONS_LIMIT // 60_060)),
        (listing(20, described=200_000), ["n"] * (ORGANIZATIONS_LIMIT // 200_060)),
        (rb'[{"id": 1, "name": "a\ud800\u202eb\r\n\u0000c\u200b"}, {"id": 2, "name": null}]', ["abc"]),
    ],
    ids=["many", "a long name", "long", "longer than is read", "much longer", "odd characters"],
)
def test_of_what_the_look_shows_so_much_is_kept(
    journey: Journey, network: NinjaOneTransport, body: bytes, names: list[str]
) -> None:
    """Cut off is not empty: an account that seemed to show none would be refused, or taken for any other.

    An account is recognized by these names where an approval takes the place of proof, and its owner chooses them: what
    no table takes or what turns text around is left out.
    """
    home = journey.home()
    granted()(journey.ninjaone, network)
    network.answer(200, body)

    _, profile = journey.complete(home)

    assert profile.organizations == tuple(Organization(number, name) for number, name in enumerate(names, 1))
    assert profile.label == names[0]


@pytest.mark.parametrize(
    "entry",
    [
        b'{"id": "7", "name": "Mill"}',
        b'{"id": 7.0, "name": " Mill "}',
        b'{"id": 7, "name": "Mi\nll", "note": "\t"}',
        b'{"id": 7, "name": "Mill", "size": ' + b"9" * 5000 + b"}",
        b'{"id": 7, "name": "Mill", "size": NaN}',
        b'{"id": 7, "name": "Mill"}, {"id": 7, "name": "Mill"}',
        b'{"id": true, "name": "x"}, {"id": 7, "name": "Mill"}',
        b'{"id": 1' + b"0" * 40 + b', "name": "x"}, {"id": 7, "name": "Mill"}',
        b'{"id": "7; 8", "name": "x"}, {"id": [7], "name": "x"}, {"id": 7, "name": "Mill"}',
        rb'{"id": 7}, {"id": 7, "name": ""}, {"id": 7, "name": "\u200b\u3164"}, {"id": 7, "name": "Mill"}',
    ],
)
def test_an_odd_entry_is_read_or_left_out_and_costs_no_other(
    journey: Journey, network: NinjaOneTransport, entry: bytes
) -> None:
    """What has no name is left out: ids begin at 1 in every account, so a bare one would pass for anybody's."""
    home = journey.home()
    granted()(journey.ninjaone, network)
    network.answer(200, b"[" + entry + b', {"id": 9, "name": "Quay"}]')

    _, profile = journey.complete(home)

    assert profile.organizations == (Organization(7, "Mill"), Organization(9, "Quay"))
