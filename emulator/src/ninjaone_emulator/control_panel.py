"""The control panel: what the control page, and the same as JSON, let a person or a test do."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ninjaone_emulator.admin import Admin
from ninjaone_emulator.faults import read_fault
from ninjaone_emulator.rejected import Rejected
from ninjaone_emulator.server import NinjaOne
from ninjaone_emulator.state import GRANT_TYPES, SCOPES, ClientApp

Wanted = Mapping[str, Any]

# Each takes what the action is on (a client id, an email or a grant) and the box it is about.
ACTIONS: dict[str, Callable[[Admin, str, str], str | None]] = {
    "revoke_grant": lambda admin, named, _: admin.revoke_grant(named),
    "delete_app": lambda admin, named, _: admin.delete_app(named),
    "rotate_secret": lambda admin, named, _: admin.rotate_secret(named),
    "add_redirect": lambda admin, named, box: admin.add_redirect(named, box),
    "tick_grant_type": lambda admin, named, box: admin.tick_grant_type(named, box, ticked=True),
    "untick_grant_type": lambda admin, named, box: admin.tick_grant_type(named, box, ticked=False),
    "tick_scope": lambda admin, named, box: admin.tick_scope(named, box, ticked=True),
    "untick_scope": lambda admin, named, box: admin.tick_scope(named, box, ticked=False),
    "enable_user": lambda admin, named, _: admin.enable_user(named, enabled=True),
    "disable_user": lambda admin, named, _: admin.enable_user(named, enabled=False),
    "make_admin": lambda admin, named, _: admin.make_admin(named, admin=True),
    "unmake_admin": lambda admin, named, _: admin.make_admin(named, admin=False),
    "change_password": lambda admin, named, _: admin.change_password(named),
}


class ControlPanel:
    """Every method takes and gives plain values, and raises Rejected before it changes anything."""

    def __init__(self, core: NinjaOne) -> None:
        self.core = core

    def state(self) -> dict[str, Any]:
        """Show everything but tokens; client secrets are shown, as this NinjaOne is simulated."""
        return {
            "now": self.core.now(),
            "offset": self.core.state.offset,
            "hosts": list(self.core.state.hosts),
            "switches": self.core.switches.values(),
            "faults": self.faults(),
            "people": self.people(),
            "clients": [_show_app(each) for each in self.core.state.apps.values()],
            "grants": self.grants(),
        }

    def people(self) -> list[dict[str, Any]]:
        """List who can sign in."""
        return [
            asdict(each) | {"tenant": each.tenant.name, "host": each.tenant.host}
            for each in self.core.state.people.values()
        ]

    def grants(self) -> list[dict[str, Any]]:
        """List every consent, newest first."""
        return [self.core.oracle.describe(each) for each in self.core.oracle.grants()[::-1]]

    def faults(self) -> list[dict[str, Any]]:
        """List what is planned."""
        return [asdict(each) for each in self.core.faults.planned]

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """List what happened after an event, oldest first."""
        return [asdict(each) for each in self.core.events if each.number > after]

    def set_switches(self, wanted: Wanted) -> dict[str, Any]:
        """Set several switches or none."""
        self.core.switches.update(wanted)
        return self.core.switches.values()

    def reset_switches(self) -> dict[str, Any]:
        """Set all switches to their defaults."""
        self.core.switches.reset()
        return self.core.switches.values()

    def advance(self, wanted: Wanted) -> dict[str, Any]:
        """Move the clock on."""
        text = str(wanted.get("advance"))
        if not text.isdecimal():
            raise Rejected("advance must be a whole number of seconds")
        self.core.advance(int(text))
        return {"now": self.core.now(), "offset": self.core.state.offset}

    def plan(self, wanted: Wanted) -> list[dict[str, Any]]:
        """Plan a fault."""
        self.core.faults.plan(read_fault(wanted, self.core.state.hosts))
        return self.faults()

    def clear_faults(self) -> list[dict[str, Any]]:
        """Forget all planned faults."""
        self.core.faults.clear()
        return self.faults()

    def register(self, wanted: Wanted) -> dict[str, Any]:
        """Register a client app."""
        if foreign := wanted.keys() - {
            "name", "tenant", "platform", "redirects", "grant_types", "scopes", "official",
        }:  # fmt: skip
            raise Rejected(*(f"{each} is not known" for each in sorted(foreign)))
        app = self.core.admin.register(
            str(wanted.get("name", "A client app")),
            str(wanted.get("tenant", "")),
            platform=wanted.get("platform", "web"),
            redirects=_texts(wanted, "redirects", ()),
            grant_types=_texts(wanted, "grant_types", GRANT_TYPES),
            scopes=_texts(wanted, "scopes", SCOPES),
            official=wanted.get("official") is True,
        )
        return _show_app(app)

    def act(self, wanted: Wanted) -> dict[str, Any]:
        """Do what an administrator can do; a new client secret is in the answer."""
        action = ACTIONS.get(str(wanted.get("action")))
        if action is None:
            raise Rejected("action must be one of " + ", ".join(ACTIONS))
        secret = action(self.core.admin, str(wanted.get("named", "")), str(wanted.get("box", "")))
        return {"done": wanted["action"]} | ({"client_secret": secret} if secret else {})


def _texts(wanted: Wanted, name: str, usual: tuple[str, ...]) -> list[str]:
    value = wanted.get(name, list(usual))
    if not isinstance(value, list):
        raise Rejected(f"{name} must be a list")
    return [str(each) for each in value]


def _show_app(app: ClientApp) -> dict[str, Any]:
    return {
        "client_id": app.client_id,
        "client_secret": app.secret,
        "name": app.name,
        "tenant": app.tenant.name,
        "host": app.tenant.host,
        "platform": app.platform,
        "grant_types": sorted(app.grant_types),
        "scopes": sorted(app.scopes),
        "redirects": list(app.redirects),
        "official": app.official,
        "deleted": app.deleted,
    }
