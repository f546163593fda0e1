"""Walk the whole journey without a browser, one line per step that was checked: ``python -m local.tour``."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx

from local.browser import Browser, Page
from local.product.backend import Backend, Json, Problem
from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS

HOST = "eu.ninjarmm.com"
ADA = "ada@nordlicht.example"
ORGANIZATIONS = ("Bäckerei Krüger", "Hafen Nord", "Kanzlei Voß")
CONTINUE = "Continue to NinjaOne"
ATTEMPTS = 5
"""How often a token is asked for: a client goes on asking, too, where a slow machine takes long to refresh."""


class Missed(Exception):
    """A step did not show what it must; it has been printed."""


@dataclass
class Checks:
    """Checks one step after the other and prints each; at the first miss it prints what was expected and what was got.

    What is compared is printed at a miss, so it must hold no secret.
    """

    count: int = 0

    def equal(self, claim: str, got: object, expected: object) -> None:
        """Check that two values are the same."""
        self.count += 1
        if got != expected:
            print(f"NO {self.count:3}  {claim}\n        expected  {expected!r}\n        got       {got!r}")
            raise Missed
        print(f"ok {self.count:3}  {claim}")

    def says(self, claim: str, page: Page, *sentences: str, status: int = 200) -> None:
        """Check that a page has this status and says all this."""
        found = tuple(sentence for sentence in sentences if sentence in page.text)
        self.equal(claim, (page.status, *found), (status, *sentences))

    def leads(self, claim: str, page: Page, target: str) -> None:
        """Check that a page takes the browser to this address by itself, whatever its query."""
        self.equal(claim, (page.status in {200, 302, 303}, bare(page.location)), (True, target))

    def stuck(self, error: Exception) -> None:
        """Print that the way to the next step ended; the messages of what is caught here name no secret."""
        print(f"NO {self.count + 1:3}  the way to this step ended\n        got       {type(error).__name__}: {error}")

    def refused(self, claim: str, slug: str, call: Callable[[], object]) -> None:
        """Check that the broker's API answers a call with this problem."""
        try:
            call()
        except Problem as problem:
            self.equal(claim, problem.slug, slug)
        else:
            self.equal(claim, "no problem", slug)


class Tour(Checks):
    """The steps through one world, and the browsers of its people."""

    def __init__(self, world: World, opened: ExitStack) -> None:
        super().__init__()
        self.world = world
        self.backend = Backend(world.api_url, world.credentials)
        self._opened = opened

    def browser(self) -> Browser:
        return self._opened.enter_context(Browser())


def host(tour: Tour) -> str:
    """Where the real host is found on this machine."""
    return f"{tour.world.ninjaone_url}/{HOST}"


def sign_in(tour: Tour, name: str) -> Browser:
    """Bring somebody to the product, up to its Integrations page."""
    browser = tour.browser()
    browser.open(tour.world.product_url)
    browser.submit(name)
    browser.arrive()
    return browser


def agree(browser: Browser, decision: str = "Authorize") -> Page:
    """Decide at NinjaOne, having signed in there unless one is; ends at what the decision answers."""
    if browser.arrive().heading == "Sign in":
        browser.submit("Sign in", email=ADA, password="any")
        browser.arrive()
    return browser.submit(decision)


def bare(url: str) -> str:
    """Leave out the query, which may hold what must not be printed."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def operators_app(tour: Tour) -> None:
    """Connect with the operator's app, every stop looked at, then disconnect."""
    print("\nWith the operator's app")
    ana = sign_in(tour, "Ana")
    tour.says("Ana of Northwind signs in to the product; nothing is connected", ana.page, "Nothing is connected yet")
    look(tour, ana)
    leave(tour, ana)
    arrive(tour, ana)
    facts = (HOST, "monitoring", "Version 1")
    tour.says("NinjaOne's host, the scope and the version are shown", ana.page, *facts)
    used = ana.submit("Use the token")
    tour.says("the product uses the token: NinjaOne lists the organizations", used, *ORGANIZATIONS)
    through_the_broker(tour, shown(ana))
    disconnect(tour, ana)


def through_the_broker(tour: Tour, connection: str) -> None:
    """Call NinjaOne without asking for a token."""
    call = partial(tour.backend.through, "northwind", connection)
    names = tuple(each["name"] for each in call("/v2/organizations"))
    tour.equal("a call through the broker lists them too, and no token leaves it", names, ORGANIZATIONS)
    tour.refused(
        "the operator's policy lets nothing but reading pass", "call-refused", partial(call, "/v2/x", "DELETE")
    )
    tour.refused("a path that leads out of the API is refused", "invalid-request", partial(call, "/v2/%2e%2e/ws/oauth"))


def look(tour: Tour, ana: Browser) -> None:
    """From the product to the connect page."""
    opened = ana.submit("Connect NinjaOne", label="Main account")
    is_ours = opened.location.startswith(f"{tour.world.connect_url}/connect/ses_")
    tour.equal("the product opens a connect session", is_ours, True)
    asked = ("Northwind IT Services", "See your devices and organizations", "Only continue if you asked for this")
    first = ana.follow()
    tour.says("the connect page names Northwind and asks for monitoring", first, *asked)
    again = ana.get(opened.location)
    same = again.answer.content == first.answer.content
    tour.equal("looking changes nothing: the page is the same to the byte", same, True)


def leave(tour: Tour, ana: Browser) -> None:
    """From the connect page to NinjaOne."""
    left = ana.submit(CONTINUE, region="eu")
    tour.leads("Continue leads to NinjaOne's authorization page", left, f"{host(tour)}/ws/oauth/authorize")
    query = parse_qs(urlsplit(left.location).query)
    wanted = {
        "response_type": ["code"],
        "code_challenge_method": ["S256"],
        "redirect_uri": [f"{tour.world.connect_url}/callback/eu"],
        "scope": ["monitoring offline_access"],
    }
    sent = {name: query.get(name) for name in wanted}
    tour.equal("it asks for a code with PKCE and the exact redirect URI", sent, wanted)
    tour.equal("no secret is in the address", "client_secret" in query, False)
    bound = [cookie for cookie in ana.jar if cookie.name.startswith("__Host-flow_")]
    kept = [(cookie.secure, cookie.has_nonstandard_attr("HttpOnly")) for cookie in bound]
    tour.equal("one __Host- cookie binds this browser", kept, [(True, True)])


def arrive(tour: Tour, ana: Browser) -> None:
    """From NinjaOne back to the product."""
    back = agree_to_go_back(tour, ana)
    tour.equal("the cookie goes with the code", "Max-Age=45;" in back.headers.get("set-cookie", ""), True)
    tour.equal("no token exists yet: the product has not said who came back", tokens_issued(tour), 0)
    tour.leads("the broker sends her back to the product", back, f"{tour.world.product_url}/ninjaone/return")
    made = ana.follow()
    is_made = made.location.startswith(f"{tour.world.product_url}/connections/con_")
    tour.equal("the product completes at once", is_made, True)
    tour.says("the connection is active", ana.follow(), "NinjaOne is connected", "Main account", "Active")


def agree_to_go_back(tour: Tour, ana: Browser) -> Page:
    tour.says("NinjaOne asks who is there", ana.arrive(), "Sign in")
    ana.submit("Sign in", email=ADA, password="any")
    tour.says("NinjaOne asks for consent", ana.arrive(), ADA, "Monitoring", "Offline Access")
    agreed = ana.submit("Authorize")
    tour.leads("she authorizes; NinjaOne sends her to the broker", agreed, f"{tour.world.connect_url}/callback/eu")
    return ana.follow()


def tokens_issued(tour: Tour) -> int:
    return sum(len(grant.access_tokens) for grant in tour.world.ninjaone.oracle.grants())


def disconnect(tour: Tour, ana: Browser) -> None:
    """End a connection and see that it is over everywhere."""
    connection = shown(ana)
    [listed] = tour.backend.connections("northwind")
    tour.equal("the API lists it", (listed["connection_id"], listed["status"]), (connection, "active"))
    ana.submit("Disconnect")
    tour.says("she disconnects; NinjaOne confirms", ana.arrive(), "NinjaOne has revoked the access", "Disconnected")
    ask = partial(tour.backend.token, "northwind", connection)
    tour.refused("its token is refused from now on", "not-active", ask)
    [grant] = tour.world.ninjaone.oracle.grants()
    is_dead = tour.world.ninjaone.oracle.live_refresh_token(grant.id) is None
    tour.equal("NinjaOne holds no live token of it", is_dead, True)


def shown(browser: Browser) -> str:
    """The id of the connection whose page is open."""
    return next(part for part in urlsplit(browser.page.url).path.split("/") if part.startswith("con_"))


def own_app(tour: Tour) -> Browser:
    """Connect with the customer's own client app, first with a wrong secret; gives the connected browser."""
    print("\nWith the customer's own client app")
    chloe = sign_in(tour, "Chloe")
    client_id, client_secret = CUSTOMER_APPS["eu"]
    chloe.submit("Connect with your own client app", label="Own app")
    steps = ("Southgate Clinics", "Web", "Authorization code", "Refresh token")
    uri = f"{tour.world.connect_url}/callback/eu"
    tour.says("the connect page says how to register it, with the exact redirect URI", chloe.arrive(), *steps, uri)
    chloe.submit(CONTINUE, region="eu", client_id="nobody-knows-this-client-id", client_secret=client_secret)
    hint = "NinjaOne does not know this client app"
    tour.says("an unknown client id is noticed before leaving", chloe.page, hint, status=400)
    chloe.submit(CONTINUE, region="eu", client_id=client_id, client_secret="not-the-secret")
    agree(chloe)
    words = ("NinjaOne refused the client secret", "What to do", "NinjaOne shows it only once")
    tour.says("a wrong client secret is told in words; nothing is connected", chloe.arrive(), *words, status=502)
    tour.equal("…and the API lists nothing", tour.backend.connections("southgate"), [])
    chloe.open(tour.world.product_url)
    chloe.submit("Connect with your own client app", label="Own app")
    chloe.arrive()
    chloe.submit(CONTINUE, region="eu", client_id=client_id, client_secret=client_secret)
    agree(chloe)
    tour.says("with the right one it is connected", chloe.arrive(), "Own app", "Active", "your own")
    tour.says("the token works", chloe.submit("Use the token"), *ORGANIZATIONS)
    return chloe


def token_ends(tour: Tour, chloe: Browser) -> None:
    """Let the access token expire, and see that the broker has refreshed it."""
    print("\nAn hour later")
    backend, connection = tour.backend, shown(chloe)
    first = backend.token("southgate", connection)
    tour.equal("the broker says when the token ends: within an hour", 0 < first["expires_in"] <= 3600, True)
    tour.equal("NinjaOne's API takes it", lists_organizations(tour, first), 200)
    tour.world.clock.advance(3700)
    tour.equal("once it has run out, NinjaOne's API refuses it", lists_organizations(tour, first), 401)
    later = renewed(backend, connection)
    tour.equal("the broker gives one that works", lists_organizations(tour, later), 200)
    version = backend.connection("southgate", connection)["version"]
    tour.equal("the connection went to its second version by itself", version, 2)


def renewed(backend: Backend, connection: str) -> Json:
    """Ask for a token until its refresh is done, waiting for as long as each answer says."""
    for _ in range(ATTEMPTS - 1):
        try:
            return backend.token("southgate", connection)
        except Problem as problem:
            if problem.retry_after is None:
                raise
            time.sleep(problem.retry_after)
    return backend.token("southgate", connection)


def lists_organizations(tour: Tour, token: dict[str, str]) -> int:
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    return httpx.get(f"{host(tour)}/v2/organizations", headers=bearer, trust_env=False).status_code


def denial(tour: Tour) -> None:
    """Deny access at NinjaOne."""
    print("\nSomebody says no")
    ben = sign_in(tour, "Ben")
    ben.submit("Connect NinjaOne")
    ben.arrive()
    ben.submit(CONTINUE, region="eu")
    agree(ben, "Deny access")
    tour.says(
        "Ben denies access at NinjaOne; the product says so",
        ben.arrive(),
        "NinjaOne was not connected",
        "What to do",
    )
    active = [each for each in tour.backend.connections("northwind") if each["status"] == "active"]
    tour.equal("nothing was connected", active, [])


def stranger(tour: Tour) -> None:
    """Let somebody else finish what Ana began: a connect link sent to a victim."""
    print("\nA stranger finishes the link")
    ana, dev = sign_in(tour, "Ana"), sign_in(tour, "Dev")
    before = tokens_issued(tour)
    link = ana.submit("Connect NinjaOne").location
    dev.open(link)
    dev.submit(CONTINUE, region="eu")
    back = agree(dev)
    tour.leads("Dev follows Ana's link and agrees at NinjaOne", back, f"{tour.world.connect_url}/callback/eu")
    returned = dev.follow().location
    words = ("This connection was not begun here", "finished by the person who began it")
    tour.says("the product does not finish it for Dev", dev.arrive(), *words, status=403)
    query = dict(parse_qs(urlsplit(returned).query))
    session, ticket = query["connect_session"][0], query["ticket"][0]
    proof = {"end_user_id": "ana", "ticket": ticket, "binding_verifier": "v" * 43}
    finish = tour.backend.complete
    tour.refused("the broker refuses Dev's tenant", "binding-mismatch", partial(finish, "southgate", session, proof))
    tour.refused("…and Ana's without her verifier", "binding-mismatch", partial(finish, "northwind", session, proof))
    tour.equal("no token ever existed", tokens_issued(tour), before)
    again = dev.get(back.location)
    tour.equal("the callback, loaded again, leads home with the same ticket", again.location, returned)


def walk(tour: Tour) -> None:
    """Walk all of it."""
    operators_app(tour)
    chloe = own_app(tour)
    token_ends(tour, chloe)
    denial(tour)
    stranger(tour)


def main(world: Callable[[], AbstractContextManager[World]] = World) -> int:
    """Exit 0 only if every step was checked."""
    with world() as made, ExitStack() as opened:
        tour = Tour(made, opened)
        try:
            walk(tour)
        except Missed:
            return 1
        except (LookupError, Problem, httpx.HTTPError) as error:
            tour.stuck(error)
            return 1
    print(f"\n{tour.count} steps, every one checked")
    return 0


if __name__ == "__main__":
    sys.exit(main())
