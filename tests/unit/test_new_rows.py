"""The rows that a consent makes, on their own and in place of an older connection's."""

from dataclasses import replace

import pytest

from broker.flows.consent import Consent, new_profile, new_state
from broker.model import Client, Connection, ConnectionId, Host, Instant, Organization, Session, Tokens
from broker.secret import Secret
from tests.support.full_rows import PROFILE, SESSION, STATE

NOW = Instant(1_900_000_000)
TOKENS = Tokens(
    access=Secret("access"),
    refresh=Secret("refresh"),
    expires_at=Instant(NOW + 3600),
    scopes=frozenset({"monitoring"}),
)
OLD = Connection(STATE, replace(PROFILE, label="Before", metadata={"plan": "free"}, created_at=Instant(7)))
ASKED = replace(SESSION, label="", metadata={})


def consent(session: Session, replaces: Connection | None) -> Consent:
    client = Client("a-client-app", Secret("a secret"))
    shown = (Organization(1, "Bäckerei Krüger"),)
    return Consent(session, Host("eu", "eu.ninjarmm.com"), client, replaces, TOKENS, shown)


@pytest.mark.parametrize(
    ("session", "replaces", "label", "metadata", "created_at"),
    [
        (replace(ASKED, label="New", metadata={"plan": "pro"}), None, "New", {"plan": "pro"}, NOW),
        (replace(ASKED, label="New", metadata={"plan": "pro"}), OLD, "New", {"plan": "pro"}, 7),
        (ASKED, OLD, "Before", {"plan": "free"}, 7),
        (ASKED, None, "Bäckerei Krüger", {}, NOW),
    ],
    ids=["named", "named anew", "as it was", "named by its account"],
)
def test_what_a_consent_does_not_say_stays_as_it_was(
    session: Session, replaces: Connection | None, label: str, metadata: dict[str, str], created_at: int
) -> None:
    made = new_profile(consent(session, replaces), ConnectionId("con_a"), NOW)

    assert (made.label, made.metadata, made.created_at, made.connected_at) == (label, metadata, created_at, NOW)


@pytest.mark.parametrize(
    ("granted", "kept"), [({"monitoring", "control"}, {"monitoring", "control"}), (set(), {"management"})]
)
def test_a_connection_has_the_scopes_that_were_granted_or_else_those_asked_for(
    granted: set[str], kept: set[str]
) -> None:
    """RFC 6749 §5.1: an answer may leave them out where they are those of the request."""
    asked = consent(replace(ASKED, scopes=frozenset({"management"})), None)
    given = replace(asked, tokens=replace(TOKENS, scopes=frozenset(granted)))

    assert new_state(given, ConnectionId("con_a"), epoch=1, now=NOW, jitter=0.5).scopes == kept
