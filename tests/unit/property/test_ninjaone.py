"""What any answer means, and where any text leads: total functions with narrow ways to the dangerous ends."""

import json
import re
from collections.abc import Mapping

from hypothesis import example, given
from hypothesis import strategies as st

from broker import ninjaone
from broker.model import Instant
from broker.ninjaone import Meaning, classify
from broker.oauth import Answer, NoReply, NotSent, Reply
from tools.requirements import req

SENT = Instant(1_800_000_000)
DEAD = {"invalid_grant", "invalid_token", "expired_token"}
CONFIG = {"invalid_client", "unauthorized_client", "invalid_scope", "invalid_request", "unsupported_grant_type"}
SUFFIXES = ("rmmservice.com", "rmmservice.eu")

WORDS = st.sampled_from(sorted(DEAD | CONFIG | {"Client app not exist", "FAILURE", "bearer", "Bearer"})) | st.text(
    max_size=12
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
NAMES = ("error", "resultCode", "access_token", "token_type", "refresh_token", "expires_in", "scope")
OBJECTS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))
BODIES = (
    st.binary(max_size=80)
    | JSON.map(lambda body: json.dumps(body).encode())
    | OBJECTS.map(lambda body: json.dumps(body).encode())
)
STATUSES = st.sampled_from([200, 302, 400, 401, 403, 404, 408, 429, 500, 502, 503]) | st.integers(100, 599)
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "content-type", "location"]), st.text(max_size=12))
REPLIES = st.builds(Reply, STATUSES, HEADERS, BODIES)
ANSWERS = REPLIES | st.builds(NotSent, st.text(max_size=20)) | st.builds(NoReply, st.text(max_size=20))


def said(reply: Reply) -> Mapping[str, object]:
    """Read a body a second time, with the standard library alone."""
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


@req("D06")
@given(ANSWERS)
@example(Reply(400, {}, b'{"error": "invalid_grant"}'))
@example(Reply(200, {}, b'{"access_token": "a", "token_type": "bearer"}'))
def test_every_answer_has_exactly_one_meaning(answer: Answer) -> None:
    outcome = classify(answer, SENT)

    assert outcome.meaning in Meaning
    assert (outcome.tokens is not None) is (outcome.meaning is Meaning.GRANTED)
    assert outcome.retry_after is None or 0 <= outcome.retry_after <= 3600


@req("I05")
@given(REPLIES)
@example(Reply(401, {}, b'{"error": "expired_token"}'))
def test_a_token_is_dead_by_three_names_under_two_statuses_alone(reply: Reply) -> None:
    dead = reply.status in {400, 401} and said(reply).get("error") in DEAD_NAMES

    assert (classify(reply, SENT).meaning is Meaning.DEAD) is dead


class _OnlyText:
    """Membership for texts; anything else, even what can't be hashed, is no member."""

    def __contains__(self, thing: object) -> bool:
        return isinstance(thing, str) and thing in DEAD


DEAD_NAMES = _OnlyText()


@given(REPLIES)
def test_what_may_have_been_carried_out_is_never_called_refused(reply: Reply) -> None:
    """A 2xx or 3xx that is no grant, a 408 and a 5xx leave it open whether the token was used."""
    meaning = classify(reply, SENT).meaning

    if reply.status < 400:
        assert meaning in {Meaning.GRANTED, Meaning.AMBIGUOUS}
    elif reply.status >= 500 or reply.status == 408:
        assert meaning is Meaning.AMBIGUOUS
    elif reply.status == 429:
        assert meaning is Meaning.THROTTLED
    else:
        assert meaning in {Meaning.DEAD, Meaning.CONFIG, Meaning.UNAVAILABLE}


@req("C08", "G07")
@given(REPLIES)
def test_no_text_of_ninjaones_is_taken_over_as_a_cause(reply: Reply) -> None:
    code = classify(reply, SENT).code

    assert code in DEAD | CONFIG | {
        "granted", "body_unreadable", "body_incomplete", "throttled", "unknown_client", "not_routed", "unrecognized",
    } or code == f"status_{reply.status}"  # fmt: skip


@given(OBJECTS)
def test_what_is_granted_is_visible_ascii_and_lives_a_minute_to_a_day(body: Mapping[str, object]) -> None:
    granted = {"access_token": "at", "token_type": "Bearer"} | {
        name: held for name, held in body.items() if name not in {"access_token", "token_type"}
    }

    tokens = classify(Reply(200, {}, json.dumps(granted).encode()), SENT).tokens

    assert tokens is not None
    assert 60 <= tokens.expires_at - SENT <= 86_400
    if tokens.refresh is not None:
        assert re.fullmatch(r"[!-~]+", tokens.refresh.reveal())


@req("A09")
@given(st.text(max_size=90))
@example("acme.rmmservice.eu")
@example("eu.ninjarmm.com")
def test_any_text_is_one_of_the_hosts_or_none(text: str) -> None:
    host = ninjaone.find_host(text, SUFFIXES)

    if host is None:
        assert text not in ninjaone.REGIONS.values()
    else:
        assert host.name == text
        assert text in ninjaone.REGIONS.values() or re.fullmatch(r"[a-z0-9-]{1,63}\.rmmservice\.(com|eu)", text)


@req("A09")
@given(st.text("ab-.@:/\n%A\u3002", max_size=8), st.sampled_from(SUFFIXES) | st.text(max_size=20))
def test_a_branded_host_is_always_below_an_allowed_suffix(subdomain: str, suffix: str) -> None:
    host = ninjaone.branded_host(subdomain, suffix, SUFFIXES)

    assert host is None or (
        suffix in SUFFIXES and re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", subdomain) and host.name.count(".") == 2
    )


@given(st.frozensets(st.sampled_from(["monitoring", "management", "control", "offline_access", "x"])))
def test_scopes_come_back_as_they_were_written(scope: frozenset[str]) -> None:
    assert ninjaone.scope_set(ninjaone.scope_text(scope)) == scope
