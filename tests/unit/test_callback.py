"""Coming back from NinjaOne: everything is checked, the state is redeemed once, and NinjaOne is asked nothing."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from broker import policy
from broker.adapters.clock import instant
from broker.adapters.queues import read_completion
from broker.adapters.seal import Seal, code_aad
from broker.adapters.sessions import MAX_FAILURES, Sessions
from broker.config import Config
from broker.edge.wiring import Broker
from broker.errors import (
    AwsUnavailable,
    BindingMismatch,
    BrokerError,
    InvalidRequest,
    SessionExpired,
    SessionSpent,
    UnknownSession,
)
from broker.flows.callback import AuthorizeResult, ReturnTo
from broker.model import Binding, Instant, Purpose, Session, Stage, sha256_hex
from broker.secret import Secret
from local.aws.account import AwsAccount
from tests.support.aws_faults import AwsFaults
from tests.support.broker_world import START, Clock, LogLines, NinjaOneTransport
from tests.support.journey import Journey, ticket
from tools.requirements import req

UNKNOWN = "ses_" + "a" * 26


@dataclass
class Away:
    """A person who agreed at NinjaOne and is on the way back."""

    journey: Journey
    session: Session
    query: str

    def back(self, query: str | None = None, *, region: str = "eu") -> ReturnTo:
        return self.journey.arrive(self.query if query is None else query, region)

    def changed(self, **changes: str | None) -> str:
        """Change some parameters of the query."""
        held: dict[str, str | None] = {name: values[0] for name, values in parse_qs(self.query).items()}
        return urlencode({name: value for name, value in (held | changes).items() if value is not None})

    @property
    def state(self) -> str:
        return parse_qs(self.query)["state"][0]

    @property
    def code(self) -> str:
        return parse_qs(self.query)["code"][0]


@pytest.fixture
def away(journey: Journey) -> Away:
    session = journey.open()
    return Away(journey, session, journey.agree(journey.leave(session)))


@pytest.fixture
def held(sessions: Sessions, away: Away) -> Callable[[], Session]:
    def read() -> Session:
        found = sessions.get(away.session.session)
        assert found is not None
        return found

    return read


@pytest.fixture
def unasked(network: NinjaOneTransport) -> Iterator[None]:
    """Whatever a test does, NinjaOne is asked nothing."""
    yield
    assert network.requests == []


pytestmark = pytest.mark.usefixtures("unasked")


def test_a_person_goes_home_with_a_ticket(away: Away, config: Config) -> None:
    home = away.back()

    there = urlsplit(home.location or "")
    assert f"{there.scheme}://{there.netloc}{there.path}" == config.return_urls["main"]
    assert parse_qs(there.query) == {"connect_session": [away.session.session], "ticket": [ticket(home).reveal()]}
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", ticket(home).reveal())
    assert (home.session, home.result) == (away.session.session, AuthorizeResult.AGREED)


@req("A03", "C11", "D04")
def test_the_code_is_stored_sealed_for_45_seconds_and_the_ticket_as_a_digest(
    away: Away, held: Callable[[], Session], seal: Seal
) -> None:
    home = away.back()

    stored = held()
    assert stored.stage is Stage.AUTHORIZED
    assert stored.code is not None
    assert away.code.encode() not in stored.code
    assert seal.open(stored.code, Purpose.CODE, code_aad(stored, stored.ticket_hash)).reveal() == away.code
    assert stored.code_expires_at == START + 45
    assert stored.authorized_at == START
    assert stored.ticket_hash == sha256_hex(ticket(home).reveal())
    assert stored.state_hash == sha256_hex(away.state)


def test_a_return_to_the_second_address_goes_there(journey: Journey, config: Config) -> None:
    home = journey.home(return_to="second")

    assert (home.location or "").startswith(config.return_urls["second"] + "?connect_session=ses_")


# What is refused without a trace --------------------------------------------------------------------------------------


def malformed(away: Away) -> dict[str, str]:
    return {
        "empty": "",
        "no state": away.changed(state=None),
        "neither": away.changed(code=None),
        "both": away.changed(error="access_denied"),
        "state twice": f"{away.query}&state={away.state}",
        "code twice": f"{away.query}&code=other",
        "iss twice": f"{away.query}&iss=a&iss=b",
        "error twice": f"state={away.state}&error=a&error=b",
        "empty code": away.changed(code=""),
        "line break in the code": away.changed(code="a\r\nset-cookie: b"),
        "code too long": away.changed(code="c" * 2049),
        "state too long": away.changed(state=f"{away.session.session}." + "s" * 200),
    }


@req("C01", "C07", "C10")
@pytest.mark.parametrize(
    "name",
    [
        "empty", "no state", "neither", "both", "state twice", "code twice", "iss twice", "error twice", "empty code",
        "line break in the code", "code too long", "state too long",
    ],
)  # fmt: skip
def test_a_malformed_answer_is_refused_and_spends_nothing(away: Away, held: Callable[[], Session], name: str) -> None:
    before = held()

    with pytest.raises(InvalidRequest) as refused:
        away.back(malformed(away)[name])
    assert refused.value.__suppress_context__  # the cause quotes what came

    assert held() == before
    assert away.back().location


@req("B05", "B06", "C09")
@pytest.mark.parametrize("error", [None, "access_denied"], ids=["code", "error"])
@pytest.mark.parametrize("cookie", [None, "", "x" * 43], ids=["none", "empty", "another"])
def test_a_browser_without_the_sessions_cookie_spends_nothing(
    away: Away, held: Callable[[], Session], lines: LogLines, cookie: str | None, error: str | None
) -> None:
    """Else an attacker could burn, or cancel, the way of somebody whose state leaked."""
    before = held()
    query = away.changed(code=None, error=error) if error else away.query
    cookies = {} if cookie is None else {away.session.session: Secret(cookie)}

    with pytest.raises(BindingMismatch):
        replace(away.journey, cookies=cookies).arrive(query)
    assert held() == before
    assert [line["cause"] for line in lines.named("callback.refused")] == ["cookie"] * (cookie is not None)
    assert away.back().location


@req("B05")
def test_a_state_that_names_no_session_is_refused(journey: Journey, away: Away) -> None:
    with pytest.raises(BindingMismatch):
        journey.broker.handle_callback("eu", away.query, None, journey.cookies[away.session.session])


@req("B05")
def test_a_session_that_the_state_does_not_name_is_not_redeemed(journey: Journey, away: Away) -> None:
    """Its cookie is right, and its state is another."""
    other = journey.open()
    journey.leave(other)

    with pytest.raises(BindingMismatch):
        journey.broker.handle_callback("eu", away.query, other.session, journey.cookies[other.session])

    assert away.back().location


@pytest.mark.parametrize("state", ["x", UNKNOWN, f"{UNKNOWN}.x", "ses_x.y"])
def test_a_state_that_names_no_session_of_this_browser_is_refused(away: Away, state: str) -> None:
    with pytest.raises(BindingMismatch):
        away.back(away.changed(state=state))


def test_a_session_that_is_gone_is_unknown(away: Away, aws: AwsAccount, config: Config) -> None:
    aws.client("dynamodb").delete_item(TableName=config.sessions_table, Key={"session": {"S": away.session.session}})

    with pytest.raises(UnknownSession):
        away.back()


@req("A13")
@pytest.mark.parametrize("seconds", [600, 1800])
def test_a_way_that_took_too_long_is_over_though_its_row_stays(
    away: Away, held: Callable[[], Session], clock: Clock, seconds: int
) -> None:
    before = held()
    clock.advance(seconds)

    with pytest.raises(SessionExpired):
        away.back()
    assert held() == before


def test_a_session_that_ran_out_on_the_way_is_over(journey: Journey, clock: Clock) -> None:
    session = journey.open()
    clock.advance(1500)
    query = journey.agree(journey.leave(session))
    clock.advance(300)

    with pytest.raises(SessionExpired):
        journey.arrive(query)


# What only the session's own browser can break ------------------------------------------------------------------------


@req("A05", "O02")
@pytest.mark.parametrize(
    ("changes", "region"),
    [
        pytest.param({"state": "{session}.other"}, "eu", id="another state"),
        pytest.param({"state": "{session}"}, "eu", id="a state that is only the session's name"),
        pytest.param({}, "us2", id="another region's address"),
        pytest.param({}, "", id="no region"),
        pytest.param({}, "branded", id="the branded address"),
        pytest.param({"iss": "https://eu.ninjarmm.com"}, "eu", id="issuer without its slash"),
        pytest.param({"iss": "https://us2.ninjarmm.com/"}, "eu", id="another region's issuer"),
        pytest.param({"iss": "https://evil.example/"}, "eu", id="another issuer"),
        pytest.param({"iss": ""}, "eu", id="an empty issuer"),
        pytest.param({"code": None, "error": "access_denied", "iss": "https://x/"}, "eu", id="an error's issuer"),
    ],
)
def test_another_way_than_the_one_begun_is_refused_and_counted(
    away: Away, held: Callable[[], Session], lines: LogLines, changes: dict[str, str | None], region: str
) -> None:
    before = held()
    filled = {name: value and value.format(session=away.session.session) for name, value in changes.items()}

    with pytest.raises(BindingMismatch):
        away.back(away.changed(**filled), region=region)

    assert held() == replace(before, failures=1)
    assert [line["cause"] for line in lines.named("callback.refused")] == ["another_way"]
    assert away.back().location


@req("C06")
@pytest.mark.parametrize("decision", ["authorize", "deny"])
def test_the_regions_own_issuer_is_accepted(journey: Journey, decision: str) -> None:
    journey.ninjaone.switches.update({"iss": True})

    query = journey.agree(journey.leave(journey.open()), decision=decision)

    assert quote("https://eu.ninjarmm.com/", safe="") in query
    assert journey.arrive(query).location


@req("O02")
def test_five_faulty_answers_of_its_own_browser_end_a_session(away: Away) -> None:
    for _ in range(MAX_FAILURES):
        with pytest.raises(BindingMismatch):
            away.back(region="us2")

    with pytest.raises(SessionSpent):
        away.back()


# Once -----------------------------------------------------------------------------------------------------------------


@req("C04")
def test_an_answer_that_is_loaded_again_goes_home_with_the_same_ticket_and_changes_nothing(
    away: Away, held: Callable[[], Session], clock: Clock
) -> None:
    first = away.back()
    stored = held()
    clock.advance(policy.CODE_LIFE - 1)

    assert away.back() == first
    assert held() == stored


@req("C04")
def test_when_the_code_has_run_out_its_answer_is_over(away: Away, held: Callable[[], Session], clock: Clock) -> None:
    away.back()
    stored = held()
    clock.advance(policy.CODE_LIFE)

    with pytest.raises(SessionExpired):
        away.back()
    assert held() == stored


@req("C03", "C05")
def test_of_two_codes_for_one_state_the_first_is_kept(away: Away, held: Callable[[], Session], seal: Seal) -> None:
    """ "Authorize" pressed twice may give two codes; and a stolen code can't take the place of one that came."""
    first = away.back()

    second = away.back(away.changed(code="another"))

    stored = held()
    assert second == first
    assert stored.code is not None
    assert seal.open(stored.code, Purpose.CODE, code_aad(stored, stored.ticket_hash)).reveal() == away.code


@req("B05", "D04")
def test_another_browser_does_not_learn_the_ticket_from_the_answer(away: Away) -> None:
    away.back()
    stranger = replace(away.journey, cookies={away.session.session: Secret("x" * 43)})

    with pytest.raises(BindingMismatch):
        stranger.arrive(away.query)
    with pytest.raises(BindingMismatch):
        replace(away.journey, cookies={}).arrive(away.query)


@req("C03")
@pytest.mark.parametrize("error", [None, "access_denied"], ids=["code", "error"])
def test_of_two_answers_at_once_the_later_goes_home_as_the_first(
    away: Away, aws_faults: AwsFaults, error: str | None
) -> None:
    """Between reading the session and redeeming its state, the same answer arrives."""
    query = away.changed(code=None, error=error) if error else away.query
    twin: list[ReturnTo] = []
    aws_faults.before("dynamodb.UpdateItem", lambda: twin.append(away.back(query)))

    assert [away.back(query)] == twin


@pytest.mark.parametrize("error", ["access_denied", "invalid_scope"])
def test_a_refusal_that_is_loaded_again_goes_home_with_the_same_word(away: Away, error: str) -> None:
    query = away.changed(code=None, error=error)

    assert away.back(query) == away.back(query)


def test_a_refusal_is_over_with_its_flow(away: Away, clock: Clock) -> None:
    query = away.changed(code=None, error="access_denied")
    away.back(query)
    clock.advance(600)

    with pytest.raises(SessionSpent):
        away.back(query)


@pytest.mark.parametrize("first", ["code", "error"])
def test_a_state_that_was_redeemed_one_way_is_not_redeemed_the_other(away: Away, first: str) -> None:
    denied = away.changed(code=None, error="access_denied")
    one, other = (away.query, denied) if first == "code" else (denied, away.query)
    away.back(one)

    with pytest.raises(SessionSpent):
        away.back(other)


@req("C03")
def test_of_an_agreement_and_a_denial_at_once_one_gets_on(away: Away, aws_faults: AwsFaults) -> None:
    """Between reading the session and redeeming its state, the other answer arrives."""
    aws_faults.before("dynamodb.UpdateItem", lambda: away.back(away.changed(code=None, error="access_denied")))

    with pytest.raises(SessionSpent):
        away.back()


def test_of_a_denial_and_an_agreement_at_once_one_gets_on(away: Away, aws_faults: AwsFaults) -> None:
    aws_faults.before("dynamodb.UpdateItem", away.back)

    with pytest.raises(SessionSpent):
        away.back(away.changed(code=None, error="access_denied"))


# Denials --------------------------------------------------------------------------------------------------------------


@req("C08")
@pytest.mark.parametrize(
    ("error", "shown", "said"),
    [
        ("access_denied", "access_denied", AuthorizeResult.DENIED),
        ("invalid_scope", "invalid_scope", AuthorizeResult.REFUSED),
        ("unauthorized_client", "unauthorized_client", AuthorizeResult.REFUSED),
        ("server_error", "server_error", AuthorizeResult.REFUSED),
        ("temporarily_unavailable", "temporarily_unavailable", AuthorizeResult.REFUSED),
        ("<img src=x onerror=alert(1)>", "server_error", AuthorizeResult.REFUSED),
        ("<script>alert(1)</script>\r\n", "server_error", AuthorizeResult.REFUSED),
        ("ACCESS_DENIED", "server_error", AuthorizeResult.REFUSED),
        ("access_denied&ticket=x", "server_error", AuthorizeResult.REFUSED),
    ],
)
def test_a_refusal_reaches_the_product_as_one_of_five_words(
    away: Away, held: Callable[[], Session], lines: LogLines, error: str, shown: str, said: AuthorizeResult
) -> None:
    home = away.back(away.changed(code=None, error=error, error_description="<b>foreign</b>"))

    assert parse_qs(urlsplit(home.location or "").query) == {
        "connect_session": [away.session.session],
        "error": [shown],
    }
    assert home.result is said
    assert held().stage is Stage.DENIED
    assert [line["error"] for line in lines.named("session.denied")] == [shown]
    assert "foreign" not in "".join(lines.text)


# Approval -------------------------------------------------------------------------------------------------------------


def test_with_approval_an_answer_that_comes_again_requests_the_completion_again(
    journey: Journey, aws_faults: AwsFaults, aws: AwsAccount, config: Config
) -> None:
    """It may be the first request that failed; of two, the second finds the session spent."""
    session = journey.open(binding=Binding.APPROVAL, binding_challenge="")
    away = Away(journey, session, journey.agree(journey.leave(session)))
    aws_faults.refuse("sqs.SendMessage", times=3)
    with pytest.raises(AwsUnavailable):
        away.back()

    home = away.back()

    answer = aws.client("sqs").receive_message(QueueUrl=config.completion_queue)
    assert home.result is AuthorizeResult.AGREED
    assert [read_completion(message["Body"]) for message in answer["Messages"]] == [session.session]


def test_with_approval_the_person_stays_and_the_completion_is_ordered(
    journey: Journey, aws: AwsAccount, config: Config
) -> None:
    home = journey.home(binding=Binding.APPROVAL, binding_challenge="")

    answer = aws.client("sqs").receive_message(QueueUrl=config.completion_queue)
    assert (home.location, home.result) == (None, AuthorizeResult.AGREED)
    assert [read_completion(message["Body"]) for message in answer["Messages"]] == [home.session]


def test_without_approval_the_product_completes_and_nothing_is_ordered(
    journey: Journey, aws: AwsAccount, config: Config
) -> None:
    journey.home()

    assert "Messages" not in aws.client("sqs").receive_message(QueueUrl=config.completion_queue)


def test_with_approval_an_answer_that_comes_after_the_exchange_requests_nothing(
    journey: Journey, sessions: Sessions, aws: AwsAccount, config: Config, clock: Clock
) -> None:
    session = journey.open(binding=Binding.APPROVAL, binding_challenge="")
    away = Away(journey, session, journey.agree(journey.leave(session)))
    away.back()
    aws.client("sqs").purge_queue(QueueUrl=config.completion_queue)
    now = instant(clock)
    assert isinstance(sessions.begin_exchange(session, "an-exchange", now=now, until=Instant(now + 30)), Session)

    assert away.back().result is AuthorizeResult.AGREED
    assert "Messages" not in aws.client("sqs").receive_message(QueueUrl=config.completion_queue)


@pytest.mark.parametrize(
    ("error", "said"), [("access_denied", AuthorizeResult.DENIED), ("invalid_scope", AuthorizeResult.REFUSED)]
)
def test_with_approval_a_refusal_ends_here(journey: Journey, error: str, said: AuthorizeResult) -> None:
    session = journey.open(binding=Binding.APPROVAL, binding_challenge="")
    away = Away(journey, session, journey.agree(journey.leave(session)))

    home = away.back(away.changed(code=None, error=error))

    assert (home.location, home.result) == (None, said)


# What goes wrong here -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "times"), [("dynamodb.GetItem", 1), ("kms.GenerateDataKey", 1), ("dynamodb.UpdateItem", 2)]
)
def test_an_answer_that_can_not_be_kept_may_be_loaded_again(
    away: Away, aws_faults: AwsFaults, call: str, times: int
) -> None:
    aws_faults.refuse(call, times=times)

    with pytest.raises(AwsUnavailable):
        away.back()
    assert away.back().location


@pytest.mark.parametrize("fault", ["lose_reply", "retry_after_success"])
def test_a_code_that_was_stored_without_an_acknowledgement_brings_its_person_home(
    away: Away, held: Callable[[], Session], aws_faults: AwsFaults, fault: str
) -> None:
    getattr(aws_faults, fault)("dynamodb.UpdateItem")

    home = away.back()

    assert held().ticket_hash == sha256_hex(ticket(home).reveal())


def test_a_return_address_that_was_taken_off_the_list_leads_nowhere(away: Away, broker: Broker, config: Config) -> None:
    shorter = Broker(replace(config, return_urls={"second": "https://second.example/back"}), broker.ports)

    with pytest.raises(SessionExpired):
        Journey(shorter, away.journey.ninjaone, cookies=away.journey.cookies).arrive(away.query)


@req("G07", "G10b")
def test_no_refusal_says_what_came_in(away: Away, lines: LogLines) -> None:
    canary = "canary0123456789"
    refusals = []
    for query in (
        f"state={canary}&code={canary}",
        f"state={away.state}&code={canary}%00",
        f"state={away.session.session}.{canary}&code={canary}",
    ):
        with pytest.raises(BrokerError) as refused:
            away.back(query)
        refusals.append(f"{refused.value!r} {refused.value.detail} {vars(refused.value)}")

    assert canary not in "".join(refusals)
    assert canary not in "".join(lines.text)
