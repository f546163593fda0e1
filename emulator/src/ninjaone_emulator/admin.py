"""What an administrator does in NinjaOne's own pages (docs/understand/ninjaone.md §7, §9 U9)."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from ninjaone_emulator.rejected import Rejected
from ninjaone_emulator.state import GRANT_TYPES, PLATFORMS, SCOPES, ClientApp, Grant, Platform, State

T = TypeVar("T")


class Admin:
    """Every action is known by what it names; an unknown name raises Rejected."""

    def __init__(self, state: State) -> None:
        self._state = state

    def register(
        self,
        name: str,
        tenant: str,
        *,
        platform: Platform = "web",
        redirects: Iterable[str] = (),
        grant_types: Iterable[str] = GRANT_TYPES,
        scopes: Iterable[str] = SCOPES,
        official: bool = False,
        credentials: tuple[str, str] | None = None,
    ) -> ClientApp:
        """Register a client app.

        Args:
            credentials: its id and secret, where they must be known beforehand
        """
        state = self._state
        client_id, secret = credentials or (state.random_text(27), state.random_text(52))
        app = ClientApp(
            client_id=client_id,
            name=name,
            tenant=_known(state.tenants, tenant),
            platform=platform,
            secret="" if platform in {"native", "spa"} else secret,
            grant_types=set(grant_types),
            scopes=set(scopes),
            redirects=dict.fromkeys(redirects, state.now()),
            official=official,
        )
        for box in app.grant_types:
            _check_box(box, GRANT_TYPES)
        for box in app.scopes:
            _check_box(box, SCOPES)
        _check_box(platform, PLATFORMS)
        state.apps[client_id] = app
        state.record("app.registered", client_id=client_id, tenant=tenant)
        return app

    def add_redirect(self, client_id: str, uri: str) -> None:
        """Register one more redirect URI, accepted after the switch's delay."""
        app = self._app(client_id)
        app.redirects[uri] = self._state.now() + self._state.switches.redirect_delay_seconds
        self._state.record("app.redirect_added", client_id=client_id)

    def delete_app(self, client_id: str) -> None:
        """Delete a client app with everything it was granted."""
        app = self._app(client_id)
        app.deleted = True
        self._state.record("app.deleted", client_id=client_id)
        self._end([each for each in self._state.grants.values() if each.app is app], "app deleted")

    def rotate_secret(self, client_id: str) -> str:
        """Make a new client secret; the old one ends at once."""
        app = self._app(client_id)
        app.secret, app.has_unused_secret = self._state.random_text(52), True
        self._state.record("app.secret_rotated", client_id=client_id)
        if self._state.switches.secret_rotated == "grants_die":
            self._end([each for each in self._state.grants.values() if each.app is app], "secret rotated")
        return app.secret

    def tick_grant_type(self, client_id: str, grant_type: str, *, ticked: bool) -> None:
        """Tick or untick one of the app's grant boxes."""
        _tick(self._app(client_id).grant_types, grant_type, GRANT_TYPES, ticked=ticked)
        self._state.record("app.edited", client_id=client_id, box=grant_type, ticked=ticked)

    def tick_scope(self, client_id: str, scope: str, *, ticked: bool) -> None:
        """Tick or untick one of the app's scopes."""
        _tick(self._app(client_id).scopes, scope, SCOPES, ticked=ticked)
        self._state.record("app.edited", client_id=client_id, box=scope, ticked=ticked)

    def enable_user(self, email: str, *, enabled: bool) -> None:
        """Disable a person, or enable them again."""
        _known(self._state.people, email).enabled = enabled
        self._state.record("person.edited", email=email, enabled=enabled)

    def make_admin(self, email: str, *, admin: bool) -> None:
        """Grant a person the administrator role, or withdraw it."""
        _known(self._state.people, email).admin = admin
        self._state.record("person.edited", email=email, admin=admin)

    def change_password(self, email: str) -> None:
        """Change a person's password; what that does to their grants is a switch."""
        person = _known(self._state.people, email)
        self._state.record("person.password_changed", email=email)
        if self._state.switches.password_changed == "grants_die":
            self._end([each for each in self._state.grants.values() if each.person is person], "password changed")

    def revoke_grant(self, grant: str) -> None:
        """Revoke a token in the list of OAuth tokens, and with it the whole consent."""
        self._end([_known(self._state.grants, grant)], "revoked by an administrator")

    def _app(self, client_id: str) -> ClientApp:
        return _known(self._state.apps, client_id)

    def _end(self, grants: list[Grant], why: str) -> None:
        for grant in grants:
            self._state.revoke(grant, why)


def _known(records: Mapping[str, T], name: str) -> T:
    if name not in records:
        raise Rejected(f"there is no {name!r}")
    return records[name]


def _tick(boxes: set[str], box: str, known: tuple[str, ...], *, ticked: bool) -> None:
    _check_box(box, known)
    if ticked:
        boxes.add(box)
    else:
        boxes.discard(box)


def _check_box(box: str, known: tuple[str, ...]) -> None:
    if box not in known:
        raise Rejected(f"{box!r} is not one of {', '.join(known)}")
