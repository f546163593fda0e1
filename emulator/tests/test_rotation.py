"""What a refresh does to a grant, in every rotation and lifetime mode, and what ends it."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ninjaone_emulator.seed import CUSTOMER_APPS
from ninjaone_emulator.switches import Switches
from ninjaone_emulator.testing import ADA, DEAD, EU, SCOPE, Client, make_ninjaone

DAY = 86400
MODES = ["rotate_strict", "rotate_grace", "static_same_token", "static_omit_field", "reuse_kills_family"]


def test_strict_rotation_gives_a_new_token_and_ends_the_old_at_once() -> None:
    client = Client(make_ninjaone())
    first = client.connect()["refresh_token"]

    second = client.refresh(first).json()["refresh_token"]

    grant = first[:36]
    assert second[:36] == grant
    assert client.core.oracle.chain(grant) == (first, second)
    assert client.core.oracle.live_refresh_token(grant) == second
    assert client.core.oracle.why_dead(first) == "superseded"
    assert client.refresh(first).body == DEAD
    assert client.core.oracle.revoked(grant) == ""
    assert client.refresh(second).status == 200


def test_the_previous_token_is_accepted_within_its_grace() -> None:
    client = Client(make_ninjaone(rotation="rotate_grace", grace_seconds=30))
    first = client.connect()["refresh_token"]
    second = client.refresh(first).json()["refresh_token"]
    assert client.core.oracle.accepted_refresh_tokens(first[:36]) == {first, second}

    client.core.advance(29)
    third = client.refresh(first).json()["refresh_token"]

    assert client.core.oracle.live_refresh_token(first[:36]) == third
    assert client.core.oracle.accepted_refresh_tokens(first[:36]) == {second, third}
    assert client.refresh(first).body == DEAD
    client.core.advance(30)
    assert client.refresh(second).body == DEAD
    assert client.refresh(third).status == 200


def test_a_static_token_may_be_sent_again() -> None:
    client = Client(make_ninjaone(rotation="static_same_token"))
    first = client.connect()["refresh_token"]

    assert [client.refresh(first).json()["refresh_token"] for _ in range(3)] == [first] * 3
    assert client.core.oracle.presented(first) == 3


def test_a_static_token_may_be_left_out_of_the_answer() -> None:
    client = Client(make_ninjaone(rotation="static_omit_field"))
    first = client.connect()["refresh_token"]

    assert "refresh_token" not in client.refresh(first).json()
    assert client.refresh(first).status == 200


def test_reuse_can_cost_the_whole_family() -> None:
    client = Client(make_ninjaone(rotation="reuse_kills_family"))
    first = client.connect()
    second = client.refresh(first["refresh_token"]).json()

    assert client.refresh(first["refresh_token"]).body == DEAD

    grant = first["refresh_token"][:36]
    assert client.core.oracle.revoked(grant) == "refresh token reused"
    assert client.core.oracle.live_refresh_token(grant) is None
    assert client.refresh(second["refresh_token"]).body == DEAD
    assert client.organizations(second["access_token"]).status == 401


@pytest.mark.parametrize("rotation", ["rotate_strict", "static_same_token"])
@pytest.mark.parametrize(("lifetime", "alive"), [("absolute_30d", False), ("sliding_30d", True)])
def test_consent_ends_after_30_days_or_slides(rotation: str, lifetime: str, alive: bool) -> None:
    client = Client(make_ninjaone(rotation=rotation, lifetime=lifetime))
    held = client.connect()["refresh_token"]
    client.core.advance(20 * DAY)
    held = client.refresh(held).json()["refresh_token"]

    client.core.advance(10 * DAY)

    assert (client.core.oracle.why_dead(held) == "") is alive
    assert (client.refresh(held).status == 200) is alive


def test_the_last_second_of_30_days_still_counts() -> None:
    client = Client(make_ninjaone())
    held = client.connect()["refresh_token"]

    client.core.advance(30 * DAY - 1)
    held = client.refresh(held).json()["refresh_token"]
    client.core.advance(1)

    assert client.refresh(held).body == DEAD
    assert client.core.events[-1].fields["why"] == "expired"


def test_a_refresh_token_of_one_app_is_nothing_to_another() -> None:
    core = make_ninjaone()
    held = Client(core).connect()["refresh_token"]
    name, secret = CUSTOMER_APPS["eu"]

    reply = Client(core, client_id=name, client_secret=secret).refresh(held)

    assert reply.body == DEAD
    assert core.oracle.presented(held) == 0


@pytest.mark.parametrize(
    ("echo", "scope"),
    [("echo", SCOPE), ("omit", None), ("reordered", "offline_access management monitoring")],
)
def test_a_refresh_names_the_scope_as_the_switch_says(echo: str, scope: str | None) -> None:
    client = Client(make_ninjaone(scope_echo=echo))
    first = client.connect()

    reply = client.refresh(first["refresh_token"])

    assert first["scope"] == SCOPE
    assert reply.json().get("scope") == scope


def test_a_refresh_may_ask_for_less_and_never_for_more() -> None:
    client = Client(make_ninjaone())
    held = client.connect()["refresh_token"]

    narrow = client.refresh(held, scope="monitoring").json()
    wide = client.refresh(narrow["refresh_token"], scope="monitoring control")

    assert narrow["scope"] == "monitoring"
    assert wide.body == b'{"error":"invalid_scope","error_description":"Invalid scope control for client"}'
    assert client.refresh(narrow["refresh_token"]).json()["scope"] == SCOPE


BOX = b'{"error":"unauthorized_client","error_description":"Invalid grant type"}'
SCOPE_GONE = b'{"error":"invalid_scope","error_description":"Invalid scope management for client"}'


@pytest.mark.parametrize(
    ("switch", "value", "box", "body"),
    [
        ("scope_unticked", "invalid_scope", "management", SCOPE_GONE),
        ("scope_unticked", "dead_token", "management", DEAD),
        ("grant_type_unticked", "unauthorized_client", "refresh_token", BOX),
        ("grant_type_unticked", "dead_token", "refresh_token", DEAD),
    ],
)
def test_what_is_unticked_stops_refreshing_without_spending_the_token(
    switch: str, value: str, box: str, body: bytes
) -> None:
    client = Client(make_ninjaone(**{switch: value}))
    held, admin = client.connect()["refresh_token"], client.core.admin
    tick = admin.tick_scope if switch == "scope_unticked" else admin.tick_grant_type
    tick(client.fields["client_id"], box, ticked=False)

    assert client.refresh(held).body == body
    tick(client.fields["client_id"], box, ticked=True)
    assert client.refresh(held).status == 200


def test_an_unticked_scope_can_narrow_the_token() -> None:
    client = Client(make_ninjaone(scope_unticked="narrowed"))
    held = client.connect()["refresh_token"]
    client.core.admin.tick_scope(client.fields["client_id"], "management", ticked=False)

    assert client.refresh(held).json()["scope"] == "monitoring offline_access"


@pytest.mark.parametrize(
    ("switch", "status", "begins"),
    [
        ("client_app_not_exist", 404, b'{"resultCode":"Client app not exist"'),
        ("invalid_client", 401, b'{"error":"invalid_client"}'),
        ("dead_token", 400, DEAD),
    ],
)
def test_a_deleted_app_refreshes_nothing(switch: str, status: int, begins: bytes) -> None:
    client = Client(make_ninjaone(app_deleted=switch))
    first = client.connect()
    client.core.admin.delete_app(client.fields["client_id"])

    reply = client.refresh(first["refresh_token"])

    assert reply.status == status
    assert reply.body.startswith(begins)
    assert client.core.oracle.revoked(first["refresh_token"][:36]) == "app deleted"
    assert client.organizations(first["access_token"]).status == 401


def disable(client: Client) -> None:
    client.core.admin.enable_user(ADA, enabled=False)


def change_password(client: Client) -> None:
    client.core.admin.change_password(ADA)


def rotate_secret(client: Client) -> None:
    held = client.fields["client_secret"]
    new = client.core.admin.rotate_secret(client.fields["client_id"])
    assert client.refresh("x", client_secret=held).json() == {"error": "invalid_client"}
    client.fields["client_secret"] = new


def consent_again(client: Client) -> None:
    Client(client.core).connect()


@pytest.mark.parametrize(
    ("switch", "act", "surviving", "ending"),
    [
        ("user_disabled", disable, "still_works", "dead_token"),
        ("password_changed", change_password, "grants_survive", "grants_die"),
        ("secret_rotated", rotate_secret, "grants_survive", "grants_die"),
        ("second_consent_kills_first", consent_again, False, True),
    ],
)
def test_what_people_do_ends_their_grants_or_not(
    switch: str, act: Callable[[Client], None], surviving: object, ending: object
) -> None:
    for value, alive in ((surviving, True), (ending, False)):
        client = Client(make_ninjaone(**{switch: value}))
        first = client.connect()
        other = Client(client.core, email="bob@nordlicht.example")
        held = other.connect()["refresh_token"]

        act(client)

        assert client.core.oracle.accepts(EU, first["access_token"]) is alive
        assert (client.refresh(first["refresh_token"]).status == 200) is alive
        if act is not rotate_secret:  # which concerns everybody
            assert other.refresh(held).status == 200


def test_a_person_enabled_again_has_their_tokens_back() -> None:
    client = Client(make_ninjaone())
    held = client.connect()["refresh_token"]
    client.core.admin.enable_user(ADA, enabled=False)
    assert client.refresh(held).body == DEAD

    client.core.admin.enable_user(ADA, enabled=True)

    assert client.refresh(held).status == 200


def test_a_grant_revoked_by_an_administrator_is_dead() -> None:
    client = Client(make_ninjaone())
    first = client.connect()

    client.core.admin.revoke_grant(first["refresh_token"][:36])
    client.core.admin.revoke_grant(first["refresh_token"][:36])

    assert client.refresh(first["refresh_token"]).body == DEAD
    assert client.core.oracle.why_dead(first["refresh_token"]) == "revoked: revoked by an administrator"
    assert [each.name for each in client.core.events].count("family.revoked") == 1


@pytest.mark.parametrize(("switch", "alive"), [(True, False), (False, True)])
def test_a_refresh_may_end_the_access_token_before_it(switch: bool, alive: bool) -> None:
    client = Client(make_ninjaone(refresh_kills_access_token=switch))
    first = client.connect()

    second = client.refresh(first["refresh_token"]).json()

    assert client.core.oracle.accepts(EU, first["access_token"]) is alive
    assert client.core.oracle.accepts(EU, second["access_token"])


def test_the_oracle_finds_the_grant_behind_every_kind_of_token() -> None:
    client = Client(make_ninjaone())
    code = client.code()
    first = client.exchange(code).json()
    grants = [client.core.oracle.grant_of(each) for each in (code, *first.values())]

    assert (
        [each.id if each else None for each in grants]
        == [
            code[:36],  # the code
            code[:36],  # access_token
            None,  # expires_in
            code[:36],  # refresh_token
            None,  # scope
            None,  # token_type
        ]
    )
    assert not client.core.oracle.accepts(EU, "no such token")


def test_a_consent_whose_code_was_never_exchanged_has_no_live_token() -> None:
    client = Client(make_ninjaone())

    grant = client.code()[:36]

    assert client.core.oracle.live_refresh_token(grant) is None


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    steps=st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0, 1, 31, DAY, 9 * DAY])), max_size=12),
)
def test_a_token_is_refreshed_exactly_when_the_oracle_says_so(mode: str, steps: list[tuple[int, int]]) -> None:
    """Present any token of the chain at any time: the answer is the oracle's."""
    client = Client(make_ninjaone(rotation=mode))
    grant = client.connect()["refresh_token"][:36]

    for pick, wait in steps:
        client.core.advance(wait)
        chain = client.core.oracle.chain(grant)
        held = chain[-1 - pick % len(chain)]
        accepted = client.core.oracle.accepted_refresh_tokens(grant)
        before = client.core.oracle.presented(held)

        reply = client.refresh(held)

        assert (reply.status == 200) is (held in accepted)
        assert client.core.oracle.presented(held) == before + 1
        most = 2 if mode == "rotate_grace" else 1
        assert len(client.core.oracle.accepted_refresh_tokens(grant)) <= most


def test_every_rotation_mode_is_tested() -> None:
    choices = next(each["choices"] for each in Switches().describe() if each["name"] == "rotation")

    assert choices == MODES
