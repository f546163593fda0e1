"""What the product calls each problem, and what it tells its user to do."""

from local.product.backend import Problem

AGAIN = "Connect NinjaOne again from the Integrations page."
SUPPORT = "Nothing you did caused this. Tell Tidewater's support; your connections stay as they are."
WAIT = "Nothing is lost. Try again in {wait}."

NINJAONE = "NinjaOne itself has trouble. Try again in some minutes; connecting again would not help."
GO_BACK = "Go back, reload the page and try again."

OF_THE_APP = {
    "grant-not-ticked": (
        "In NinjaOne, open the client app under Administration, Apps, API: its platform must be Web, with "
        "Authorization code and Refresh token ticked. Then connect again."
    ),
    "insufficient-scope": "Tick the scopes in NinjaOne's client app, or ask for less. Then connect again.",
    "invalid-scope": "Tick the scopes in NinjaOne's client app, or ask for less. Then connect again.",
    "no-refresh-token": "Tick Refresh token in NinjaOne's client app, then connect again.",
    "unknown-client": "Check the region and the client id, then connect again.",
    "wrong-client-secret": "Connect again with the right client secret. NinjaOne shows it only once.",
}
"""What whoever registered the client app can do."""

NOT_CONNECTED = "NinjaOne was not connected"
NOT_ALLOWED = "The client app in NinjaOne does not allow this"

TITLES = {
    "access-denied": NOT_CONNECTED,
    "account-mismatch": "This is another NinjaOne account than before",
    "awaiting-completion": "This connection is almost made",
    "binding-mismatch": "This connection was not begun here",
    "code-refused": NOT_CONNECTED,
    "consent-lost": NOT_CONNECTED,
    "grant-not-ticked": NOT_ALLOWED,
    "insufficient-scope": NOT_ALLOWED,
    "invalid-scope": NOT_ALLOWED,
    "needs-reauth": "Somebody has to agree at NinjaOne again",
    "no-refresh-token": NOT_ALLOWED,
    "not-active": "This connection has ended",
    "not-approved": "This connection is not approved yet",
    "not-authorized": "Nobody has agreed at NinjaOne yet",
    "not-json": "NinjaOne gave no answer that can be read",
    "not-pending": "There is nothing to approve here",
    "outcome-unknown": NOT_CONNECTED,
    "session-expired": "This link has expired",
    "session-spent": "This link was used already",
    "unknown-client": "NinjaOne does not know the client app",
    "unknown-connection": "There is no such connection",
    "unknown-session": "This link does not work",
    "wrong-client-secret": "NinjaOne refused the client secret",
}
"""Every problem that its reader can do something about; the titles of the API are for developers."""

TO_DO = {
    "400": GO_BACK,
    "404": "Go to the Integrations page: everything is found from there.",
    "405": GO_BACK,
    "access-denied": "If that was a slip, connect again and choose Authorize at NinjaOne.",
    "account-mismatch": (
        "Sign out of NinjaOne and reconnect with the account that was connected before. "
        "If you mean to move this connection to the other account, reconnect and tick the box that allows it."
    ),
    "binding-mismatch": "A connection is finished by the person who began it. " + AGAIN,
    "code-refused": "Coming back from NinjaOne took too long, or the page was loaded twice. " + AGAIN,
    "consent-lost": "Something went wrong on our side after you agreed at NinjaOne. " + AGAIN,
    "needs-reauth": "Open the connection and choose Reconnect: you only agree once more at NinjaOne.",
    "ninjaone-fails": NINJAONE,
    "ninjaone-refused": "Try again in a moment. If it stays like this, reconnect.",
    "not-active": "It was disconnected. " + AGAIN,
    "not-approved": "Someone at your company has to approve it on its page first.",
    "not-authorized": "Finish at NinjaOne first: choose Authorize there.",
    "not-json": NINJAONE,
    "not-pending": "Go back to the Integrations page: it shows how the connection stands.",
    "outcome-unknown": AGAIN,
    "session-expired": AGAIN,
    "awaiting-completion": "NinjaOne agreed already. See the Integrations page; if nothing is there, connect again.",
    "session-spent": "It may have worked: look at the Integrations page. If it is not there, connect again.",
    "unknown-connection": "Go back to the Integrations page: it lists what is connected.",
    "unknown-session": AGAIN,
} | {
    slug: f"If the client app is your own: {advice} If it is Tidewater's, tell Tidewater's support."
    for slug, advice in OF_THE_APP.items()
}


def title(problem: Problem) -> str:
    """Return what to call it: in the product's own words, whatever the broker calls it."""
    usual = "Not possible right now" if problem.status in {429, 503, 504} else "This did not work"
    return problem.title or TITLES.get(problem.slug, usual)


def to_do(problem: Problem) -> str:
    """Return what the person at the screen can do about it, and when."""
    wait = duration(problem.retry_after) if problem.retry_after else ""
    if problem.slug in TO_DO:
        return f"{TO_DO[problem.slug]} Wait {wait} first." if wait else TO_DO[problem.slug]
    return WAIT.format(wait=wait or "a moment") if problem.status in {429, 503, 504} else SUPPORT


def duration(seconds: int) -> str:
    """Write how long to wait, rounded up."""
    if seconds >= 120:
        return f"{-(-seconds // 60)} minutes"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
