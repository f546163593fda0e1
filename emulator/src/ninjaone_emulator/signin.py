"""Signing in and out: any known, enabled person of a tenant on this host, with any password."""

from urllib.parse import urlsplit

from ninjaone_emulator import pages
from ninjaone_emulator.message import RepeatedParameter, Reply, Request, failure, redirect
from ninjaone_emulator.state import Person, State

COOKIE = "ninjaone_session"


def answer(state: State, request: Request) -> Reply:
    """Show the form, or take it."""
    try:
        fields = request.form() if request.method == "POST" else request.params()
    except RepeatedParameter:
        return failure(400, state.incident())
    return_to = _inside(fields.get("return_to", ""))
    if request.method != "POST":
        return pages.sign_in(request.base, _people(state, request.host), return_to=return_to)
    return _take(state, request, fields.get("email", "").strip().lower(), return_to)


def leave(state: State, request: Request) -> Reply:
    """Sign out, and show the sign-in form again."""
    state.sessions.pop(request.cookie(COOKIE), None)
    return ask(request, _inside(request.query))


def ask(request: Request, return_to: str) -> Reply:
    """Send the browser to the sign-in page, to come back afterwards."""
    return redirect(f"{request.base}/", return_to=return_to)


def who(state: State, request: Request) -> Person | None:
    """Name the person this browser is signed in as on this host."""
    person = state.sessions.get(request.cookie(COOKIE))
    return person if person in _people(state, request.host) else None


def start_session(state: State, person: Person) -> str:
    """Sign a person in; the value is for the cookie."""
    value = state.random_text(32)
    state.sessions[value] = person
    state.record("person.signed_in", email=person.email)
    return value


def _take(state: State, request: Request, email: str, return_to: str) -> Reply:
    person = next((each for each in _people(state, request.host) if each.email == email), None)
    if person is None:
        people = _people(state, request.host)
        return pages.sign_in(request.base, people, return_to=return_to, fault="Nobody here has that email.")
    path = urlsplit(request.base).path or "/"
    cookie = f"{COOKIE}={start_session(state, person)}; Path={path}; HttpOnly; SameSite=Lax"
    if return_to:
        reply = redirect(request.base + return_to)
    else:
        reply = pages.notice("You are signed in", f"As {person.email}.")
    return Reply(reply.status, (*reply.headers, ("Set-Cookie", cookie)), reply.body)


def _people(state: State, host: str) -> list[Person]:
    return [each for each in state.people.values() if each.enabled and state.same_place(each.tenant.host, host)]


def _inside(return_to: str) -> str:
    """Keep only a path of this host."""
    return return_to if return_to.startswith("/") else ""
