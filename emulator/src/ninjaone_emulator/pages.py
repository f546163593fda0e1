"""What a person sees: plain HTML, no script, and a line on every page that this is not NinjaOne."""

from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ninjaone_emulator.message import Reply, html
from ninjaone_emulator.state import ClientApp, Person

PERMISSIONS = {
    "monitoring": ("Monitoring", "See organizations, devices, alerts and activities."),
    "management": ("Management", "Change organizations and devices, and run scripts on them."),
    "control": ("Control", "Start remote sessions."),
    "offline_access": ("Offline Access", "Keep all of this while you are away."),
}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


def render(template: str, **values: object) -> str:
    """Fill a template; everything that is filled in is escaped."""
    return _templates.get_template(template).render(**values)


def sign_in(base: str, people: Iterable[Person], *, return_to: str, fault: str = "") -> Reply:
    """Ask who is there."""
    page = render("signin.html", base=base, people=list(people), return_to=return_to, fault=fault)
    return html(401 if fault else 200, page)


def consent(action: str, app: ClientApp, person: Person, *, scope: tuple[str, ...], sign_out: str) -> Reply:
    """Ask whether the app may do what it asks for (docs/understand/ninjaone.md §7)."""
    permissions = [PERMISSIONS[each] for each in sorted(scope)]
    page = render("consent.html", action=action, app=app, person=person, permissions=permissions, sign_out=sign_out)
    return html(200, page)


def notice(title: str, text: str) -> Reply:
    """Return a page with one message."""
    return html(200, render("notice.html", title=title, text=text))
