"""Leaving for NinjaOne: one browser, a few starts, one of the places that may be chosen."""

import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from broker import oauth, policy
from broker.adapters.seal import Seal, session_aad
from broker.adapters.sessions import MAX_FAILURES, MAX_STARTS_PER_DAY, Sessions
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import (
    AnotherBrowser,
    AwaitingCompletion,
    AwsUnavailable,
    BindingMismatch,
    Fault,
    InvalidRequest,
    SessionExpired,
    SessionSpent,
    TooManyRequests,
    UnknownSession,
)
from broker.flows import binding
from broker.flows.authorize import AuthorizeRedirect, HostCheck
from broker.model import Client, Host, Purpose, Session, SessionId, SessionPurpose, sha256_hex
from broker.ninjaone import REGIONS
from broker.secret import Secret
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, LogLines, NinjaOneTransport
from tests.support.journey import CONNECT_URL, EU, Journey, ticket
from tests.support.journey import OWN as REGISTERED
from tools.requirements import req

APP = Host("app", REGIONS["app"])
FED = Host("fed", REGIONS["fed"])
BRANDED = Host("branded", "acme.rmmservice.eu")
CHOOSE = Fault("region", "Choose one of the regions offered.")
OWN = Client("own-app", Secret("customer_app secret"), customer_app=True)


def address(leaving: AuthorizeRedirect) -> dict[str, str]:
    query = parse_qs(urlsplit(leaving.location).query, strict_parsing=True)
    return {name: value for name, (value,) in query.items()}


def stored(sessions: Sessions, session: Session) -> Session:
    found = sessions.get(session.session)
    assert found is not None
    return found


@req("A01", "A04", "A06")
def test_the_address_is_ninjaones_and_asks_for_a_code_with_a_fresh_challenge(
    journey: Journey, config: Config, sessions: Sessions, seal: Seal
) -> None:
    opened = journey.open()

    leaving = journey.leave(opened)

    there, asked = urlsplit(leaving.location), address(leaving)
    held = stored(sessions, opened)
    assert (there.scheme, there.netloc, there.path) == ("https", "eu.ninjarmm.com", "/ws/oauth/authorize")
    assert asked["response_type"] == "code"
    assert asked["client_id"] == config.client_ids["eu"]
    assert asked["redirect_uri"] == f"{CONNECT_URL}/callback/eu"
    assert asked["scope"] == "monitoring management offline_access"
    assert asked["code_challenge_method"] == "S256"
    assert held.code_verifier is not None
    verifier = seal.open(held.code_verifier, Purpose.VERIFIER, session_aad(opened.session))
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", verifier.reveal())
    assert asked["code_challenge"] == oauth.challenge(verifier)


@req("A02", "A03", "B03")
def test_state_and_cookie_are_256_bits_and_kept_as_digests(journey: Journey, sessions: Sessions) -> None:
    opened = journey.open()

    leaving = journey.leave(opened)

    state, held = address(leaving)["state"], stored(sessions, opened)
    assert re.fullmatch(rf"{opened.session}\.[A-Za-z0-9_-]{{43}}", state)
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", leaving.cookie.reveal())
    assert (held.state_hash, held.cookie_hash) == (sha256_hex(state), sha256_hex(leaving.cookie.reveal()))
    assert held.flow_expires_at == START + 600


def test_every_start_has_a_state_and_a_challenge_of_its_own(journey: Journey, clock: Clock) -> None:
    opened = journey.open()

    leavings = []
    for _ in range(5):
        leavings.append(journey.leave(opened))
        clock.advance(policy.REPEAT_LIFE)

    for part in ("state", "code_challenge"):
        assert len({address(each)[part] for each in leavings}) == 5
    assert len({each.cookie.reveal() for each in leavings}) == 1


# An answer that never arrives -----------------------------------------------------------------------------------------


def test_a_form_sent_twice_asks_for_what_the_stored_verifier_answers(
    journey: Journey, sessions: Sessions, seal: Seal
) -> None:
    opened = journey.open()
    journey.leave(opened)

    again = journey.leave(opened)

    held = stored(sessions, opened)
    assert held.code_verifier is not None
    verifier = seal.open(held.code_verifier, Purpose.VERIFIER, session_aad(opened.session))
    assert address(again)["code_challenge"] == oauth.challenge(verifier)


@pytest.mark.parametrize("change", ["region", "client id", "client secret"])
def test_another_choice_is_another_start(journey: Journey, sessions: Sessions, seal: Seal, change: str) -> None:
    opened = journey.open(customer_app=True)
    first = journey.leave(opened, EU, client=OWN)
    client = {"client id": replace(OWN, id="other"), "client secret": replace(OWN, secret=Secret("right"))}.get(change)

    second = journey.leave(opened, APP if change == "region" else EU, client=client or OWN)

    held = stored(sessions, opened).client
    assert held is not None
    assert address(first)["state"] != address(second)["state"]
    assert seal.open(held, Purpose.CLIENT, session_aad(opened.session)) == (client or OWN).secret


@req("A03")
def test_what_is_stored_does_not_give_the_state_away(journey: Journey, sessions: Sessions) -> None:
    opened = journey.open()
    state = address(journey.leave(opened))["state"]
    held = stored(sessions, opened)

    for guess in (held.cookie_hash, held.flow_nonce, held.form_digest):
        assert binding.state(Secret(guess), opened.session, held.flow_nonce).reveal() != state


@req("A12")
def test_the_same_browser_may_start_again_and_the_old_state_is_worthless(journey: Journey, clock: Clock) -> None:
    opened = journey.open()
    first = journey.agree(journey.leave(opened))
    clock.advance(policy.REPEAT_LIFE)
    second = journey.agree(journey.leave(opened))

    with pytest.raises(BindingMismatch):
        journey.arrive(first)
    assert journey.complete(journey.arrive(second))


@req("A12")
@pytest.mark.parametrize("cookie", [None, Secret(""), Secret("x" * 43)], ids=["none", "empty", "another"])
def test_a_second_browser_is_turned_away(
    journey: Journey, sessions: Sessions, lines: LogLines, cookie: Secret | None
) -> None:
    opened = journey.open()
    journey.leave(opened)
    held = stored(sessions, opened)
    stranger = Journey(journey.broker, journey.ninjaone, cookies={opened.session: cookie} if cookie else {})

    for host in (EU, FED):  # of a place that can't be chosen, only the link's own browser hears
        with pytest.raises(AnotherBrowser):
            stranger.leave(opened, host)

    assert stored(sessions, opened) == held
    assert [line["cause"] for line in lines.named("session.refused")] == ["another_browser"] * 2


@req("C11")
def test_a_person_whose_code_ran_out_may_start_again(journey: Journey, clock: Clock) -> None:
    opened = journey.open()
    late = journey.arrive(journey.agree(journey.leave(opened)))
    with pytest.raises(AwaitingCompletion):
        journey.leave(opened)
    clock.advance(policy.CODE_LIFE)

    home = journey.arrive(journey.agree(journey.leave(opened)))

    assert ticket(home) != ticket(late)
    with pytest.raises(BindingMismatch):
        journey.complete(late)
    assert journey.complete(home)


@req("O01")
def test_a_session_leaves_so_often_in_a_day_and_no_more(journey: Journey, sessions: Sessions, clock: Clock) -> None:
    opened = journey.open()
    for _ in range(MAX_STARTS_PER_DAY):
        journey.leave(opened)

    with pytest.raises(TooManyRequests):
        journey.leave(opened)
    assert stored(sessions, opened).starts == MAX_STARTS_PER_DAY


@req("A13")
def test_a_session_that_ran_out_does_not_start_though_its_row_stays(
    journey: Journey, sessions: Sessions, clock: Clock
) -> None:
    opened = journey.open()
    clock.advance(1800)

    with pytest.raises(SessionExpired):
        journey.leave(opened)
    assert stored(sessions, opened) == opened


def test_an_unknown_session_does_not_start(journey: Journey, sessions: Sessions) -> None:
    opened = journey.open()
    unknown = Session(**{**vars(opened), "session": SessionId("ses_" + "a" * 26)})

    with pytest.raises(UnknownSession):
        journey.leave(unknown)
    assert sessions.get(unknown.session) is None


# Where to -------------------------------------------------------------------------------------------------------------


@req("A06", "I02")
@pytest.mark.parametrize("region", ["eu", "app", "us2"])
def test_each_region_has_its_own_app_host_and_redirect_uri(journey: Journey, config: Config, region: str) -> None:
    leaving = journey.leave(journey.open(), Host(region, REGIONS[region]))

    assert urlsplit(leaving.location).netloc == REGIONS[region]
    assert address(leaving)["client_id"] == config.client_ids[region]
    assert address(leaving)["redirect_uri"] == f"{CONNECT_URL}/callback/{region}"


def test_a_place_that_the_backend_fixed_can_not_be_changed(journey: Journey, sessions: Sessions) -> None:
    opened = journey.open(host=EU)

    with pytest.raises(InvalidRequest) as refused:
        journey.leave(opened, APP)

    assert refused.value.faults == (Fault("region", "This link is for another region."),)
    assert stored(sessions, opened).starts == 0


@pytest.mark.parametrize("host", [FED, BRANDED])
def test_a_place_without_an_app_of_the_operators_can_not_be_chosen(journey: Journey, host: Host) -> None:
    with pytest.raises(InvalidRequest) as refused:
        journey.leave(journey.open(), host)

    assert refused.value.faults == (CHOOSE,)


def test_a_link_for_a_client_secret_leads_to_no_consent(journey: Journey, sessions: Sessions) -> None:
    connected = journey.connect(customer_app=True, client=REGISTERED)[0]
    opened = journey.open(
        purpose=SessionPurpose.CLIENT_SECRET, scopes=frozenset(), connection=connected.connection, customer_app=True
    )

    with pytest.raises(InvalidRequest) as refused:
        journey.leave(opened, EU, client=REGISTERED)

    assert [fault.field for fault in refused.value.faults] == ["session"]
    assert stored(sessions, opened).starts == 0


def another_browser(journey: Journey) -> Journey:
    return Journey(journey.broker, journey.ninjaone)


@pytest.mark.parametrize("ended", ["declined", "ran out"])
def test_a_link_that_is_bound_to_no_browser_any_more_says_what_was_wrong_with_the_form(
    journey: Journey, clock: Clock, ended: str
) -> None:
    opened = journey.open()
    left = journey.leave(opened)
    if ended == "declined":
        journey.arrive(journey.agree(left, decision="deny"))
    else:
        clock.advance(policy.FLOW_LIFE)

    with pytest.raises(InvalidRequest) as refused:
        another_browser(journey).leave(opened, FED)

    assert refused.value.faults == (CHOOSE,)


def test_a_customer_may_bring_their_own_app_and_a_branded_host(
    journey: Journey, sessions: Sessions, seal: Seal
) -> None:
    opened = journey.open(customer_app=True)

    leaving = journey.leave(opened, BRANDED, client=OWN)

    held = stored(sessions, opened)
    assert urlsplit(leaving.location).netloc == "acme.rmmservice.eu"
    assert address(leaving)["client_id"] == "own-app"
    assert address(leaving)["redirect_uri"] == f"{CONNECT_URL}/callback/branded"
    assert held.client is not None
    assert seal.open(held.client, Purpose.CLIENT, session_aad(opened.session)) == OWN.secret


def test_an_app_entered_once_need_not_be_entered_again(journey: Journey) -> None:
    opened = journey.open(customer_app=True)
    journey.leave(opened, EU, client=OWN)

    assert address(journey.leave(opened, EU))["client_id"] == "own-app"


def test_another_app_may_be_entered_the_second_time(journey: Journey) -> None:
    opened = journey.open(customer_app=True)
    journey.leave(opened, EU, client=OWN)

    leaving = journey.leave(opened, EU, client=Client("other-app", Secret("s"), customer_app=True))

    assert address(leaving)["client_id"] == "other-app"


@pytest.mark.parametrize(
    ("opening", "client"),
    [
        pytest.param({"customer_app": True}, None, id="none entered where one is needed"),
        pytest.param({}, OWN, id="one entered where the operator's is used"),
        pytest.param(
            {"customer_app": True, "client": OWN, "host": EU}, OWN, id="one entered where the backend gave one"
        ),
    ],
)
def test_an_app_is_entered_exactly_where_it_is_asked_for(
    journey: Journey, sessions: Sessions, opening: dict[str, object], client: Client | None
) -> None:
    opened = journey.open(**opening)

    with pytest.raises(InvalidRequest) as refused:
        journey.leave(opened, EU, client=client)

    assert [fault.field for fault in refused.value.faults] == ["client_id"]
    assert stored(sessions, opened).starts == 0


# The check of the host ------------------------------------------------------------------------------------------------


def test_a_host_that_knows_the_app_lets_the_person_leave(
    journey: Journey, network: NinjaOneTransport, lines: LogLines
) -> None:
    leaving = journey.leave(journey.open(), check_host=True)

    (asked,) = network.requests
    assert leaving.host_check is HostCheck.KNOWN
    assert not leaving.is_doubtful
    assert (asked.method, asked.url.host, asked.url.path) == ("GET", "eu.ninjarmm.com", "/ws/oauth/authorize")
    assert [line["check"] for line in lines.named("session.started")] == ["known"]


def test_the_check_carries_nothing_of_the_persons_way(journey: Journey, network: NinjaOneTransport) -> None:
    leaving = journey.leave(journey.open(), check_host=True)

    asked = dict(network.requests[0].url.params)
    for part in ("state", "code_challenge"):
        assert asked[part] != address(leaving)[part]
    assert asked["client_id"] == address(leaving)["client_id"]
    assert "secret" not in str(network.requests[0].url)


@pytest.mark.parametrize(
    ("check", "answers"),
    [
        (HostCheck.KNOWN, [200, 302, 400, 403, 429, 499]),
        (HostCheck.UNKNOWN, [404]),
        (HostCheck.UNREACHABLE, [500, 503]),
    ],
)
def test_the_host_is_doubtful_from_500_on_and_at_404(
    journey: Journey, network: NinjaOneTransport, check: HostCheck, answers: list[int]
) -> None:
    for answer in answers:
        network.answer(answer)
        leaving = journey.leave(journey.open(), check_host=True)
        assert (leaving.host_check, leaving.is_doubtful) == (check, check is not HostCheck.KNOWN), answer


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout])
def test_a_host_that_does_not_answer_is_doubtful(
    journey: Journey, network: NinjaOneTransport, error: type[httpx.TransportError]
) -> None:
    network.fail(error)

    assert journey.leave(journey.open(), check_host=True).host_check is HostCheck.UNREACHABLE


def test_the_check_can_be_skipped(journey: Journey, network: NinjaOneTransport) -> None:
    journey.leave(journey.open())

    assert network.requests == []


# What goes wrong here -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["kms.GenerateDataKey", "dynamodb.UpdateItem"])
def test_a_start_that_can_not_be_kept_sends_nobody_anywhere(
    journey: Journey, aws_faults: AwsFaults, network: NinjaOneTransport, call: str
) -> None:
    opened = journey.open()
    aws_faults.refuse(call, times=2)

    with pytest.raises(AwsUnavailable):
        journey.leave(opened, check_host=True)
    assert network.requests == []


@pytest.mark.parametrize("fault", ["refuse", "lose_reply", "retry_after_success"])
def test_a_start_whose_write_fails_once_is_one_start(journey: Journey, aws_faults: AwsFaults, fault: str) -> None:
    """Were a lost reply a refusal, the browser would be a stranger to its own session: it never got its cookie."""
    opened = journey.open()
    getattr(aws_faults, fault)("dynamodb.UpdateItem")

    left = journey.leave(opened)

    assert left.session.starts == 1


@req("O02")
def test_faulty_forms_do_not_wear_a_link_out(journey: Journey, broker: Broker) -> None:
    opened = journey.open()

    for _ in range(3 * MAX_FAILURES):
        broker.start_authorization.note_faulty_form(opened.session, None)

    assert journey.complete(journey.arrive(journey.agree(journey.leave(opened))))


@req("O02", "B06")
def test_a_faulty_form_of_another_browser_is_turned_away(journey: Journey, broker: Broker) -> None:
    opened = journey.open()
    left = journey.leave(opened)

    for cookie in (None, Secret("another"), Secret("")):
        with pytest.raises(AnotherBrowser):
            broker.start_authorization.note_faulty_form(opened.session, cookie)

    assert broker.start_authorization.note_faulty_form(opened.session, left.cookie).session == opened.session


def test_a_faulty_form_for_no_usable_session_is_refused(journey: Journey, broker: Broker, clock: Clock) -> None:
    faulty = broker.start_authorization.note_faulty_form
    with pytest.raises(UnknownSession):
        faulty(SessionId("ses_" + "a" * 26), None)

    home = journey.home()
    with pytest.raises(AwaitingCompletion):
        faulty(home.session, journey.cookies[home.session])
    journey.complete(home)
    with pytest.raises(SessionSpent):
        faulty(home.session, journey.cookies[home.session])

    opened = journey.open()
    clock.advance(1800)
    with pytest.raises(SessionExpired):
        faulty(opened.session, None)
