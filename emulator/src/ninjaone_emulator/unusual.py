"""What is not as it was at the start, in words: for a page beside the emulator that says what is switched on."""

from collections.abc import Iterator

from ninjaone_emulator import words
from ninjaone_emulator.faults import KINDS, Fault
from ninjaone_emulator.seed import CUSTOMER_APPS, OPERATOR_APPS
from ninjaone_emulator.server import NinjaOne
from ninjaone_emulator.state import GRANT_TYPES, SCOPES, ClientApp

SEEDED = [app.client_id for apps in (OPERATOR_APPS, CUSTOMER_APPS) for app in apps.values()]
"""Client apps that have every box ticked at the start."""


def in_words(fault: Fault) -> str:
    """Describe a planned fault."""
    where = f" at {fault.host}" if fault.host else ""
    return f"{KINDS[fault.kind].title}: {words.ENDPOINTS[fault.on]}{where}"


def changed_switches(core: NinjaOne) -> dict[str, str]:
    """Describe every switch that is not as it is by default, by its name."""
    titles = {name: title for group in words.GROUPS.values() for name, title in group.items()}
    return {
        each["name"]: f"{titles[each['name']]}: {words.value(each['value'])}"
        for each in core.switches.describe()
        if each["value"] != each["default"]
    }


def done_by_administrators(core: NinjaOne) -> Iterator[str]:
    """Describe what administrators did that makes refreshes or connecting fail."""
    yield from (f"{person.email} is disabled" for person in list(core.state.people.values()) if not person.enabled)
    yield from (f"{app.name} is deleted" for app in list(core.state.apps.values()) if app.deleted)
    yield from (f"{app.name} has a new secret that nobody used yet" for app in _with_unused_secrets(core))
    yield from (f"{core.app(app).name} lacks {box}" for app, box, _ in unticked(core))


def _with_unused_secrets(core: NinjaOne) -> list[ClientApp]:
    """Return client apps of customers; whoever stores the operator's secrets can compare those."""
    operators = {app.client_id for app in OPERATOR_APPS.values()}
    apps = list(core.state.apps.values())
    return [app for app in apps if app.has_unused_secret and not app.deleted and app.client_id not in operators]


def unticked(core: NinjaOne) -> list[tuple[str, str, str]]:
    """Return each box that an administrator unticked: the client app's id, the box, and the action that ticks it."""
    apps = [core.app(each) for each in SEEDED if each in core.state.apps]
    return [
        (app.client_id, box, action)
        for app in apps
        for action, boxes in (("tick_grant_type", GRANT_TYPES), ("tick_scope", SCOPES))
        for box in boxes
        if box not in app.grant_types | app.scopes
    ]
