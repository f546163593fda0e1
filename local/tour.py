"""Walk the whole journey without a browser, one line per step that was checked: ``python -m local.tour``."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx

from local.browser import Browser, Page
from local.product.backend import Backend, Problem
from local.steps import Missed, Steps
from local.world import World
from ninjaone_emulator.seed import CUSTOMER_APPS

HOST = "eu.ninjarmm.com"
ADA = "ada@nordlicht.example"
ORGANIZATIONS = ("Bäckerei Krüger", "Hafen Nord", "Kanzlei Voß")
CONTINUE = "Continue to NinjaOne"


class Tour(Steps):
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
    visitor = tour.browser()
    visitor.open(tour.world.product_url)
    visitor.submit(name)
    visitor.arrive()
    return visitor


def agree(visitor: Browser, decision: str = "Authorize") -> Page:
    """Decide at NinjaOne, having signed in there unless one is; ends at what the decision answers."""
    if visitor.arrive().heading == "Sign in":
        visitor.submit("Sign in", email=ADA, password="any")
        visitor.arrive()
    return visitor.submit(decision)


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
    disconnect(tour, ana)


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
    tour.equal("the cookie is gone", [name for name in ana.cookies if name.startswith("__Host-")], [])
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
    tour.equal("the API lists it", (listed["connection"], listed["status"]), (connection, "active"))
    ana.submit("Disconnect")
    tour.says("she disconnects; NinjaOne confirms", ana.arrive(), "NinjaOne has revoked the access", "Disconnected")
    ask = partial(tour.backend.token, "northwind", connection)
    tour.refused("its token is refused from now on", "not-active", ask)
    [grant] = tour.world.ninjaone.oracle.grants()
    is_dead = tour.world.ninjaone.oracle.live_refresh_token(grant.id) is None
    tour.equal("NinjaOne holds no live token of it", is_dead, True)


def shown(visitor: Browser) -> str:
    """The id of the connection whose page is open."""
    return next(part for part in urlsplit(visitor.page.url).path.split("/") if part.startswith("con_"))


def own_app(tour: Tour) -> Browser:
    """Connect with the customer's own client app, first with a wrong secret; gives the connected visitor."""
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
    """Let the access token run out and see that the broker has renewed it."""
    print("\nAn hour later")
    backend, connection = tour.backend, shown(chloe)
    first = backend.token("southgate", connection)
    tour.equal("the broker says when the token ends: within an hour", 0 < first["expires_in"] <= 3600, True)
    tour.equal("NinjaOne's API takes it", lists_organizations(tour, first), 200)
    tour.world.clock.advance(3700)
    tour.equal("once it has run out, NinjaOne's API refuses it", lists_organizations(tour, first), 401)
    later = backend.token("southgate", connection)
    tour.equal("the broker gives one that works", lists_organizations(tour, later), 200)
    version = backend.connection("southgate", connection)["version"]
    tour.equal("the connection went to its second version by itself", version, 2)


def lists_organizations(tour: Tour, token: dict[str, str]) -> int:
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    return httpx.get(f"{host(tour)}/v2/organizations", headers=bearer, trust_env=False).status_code


def denial(tour: Tour) -> None:
    """Say no at NinjaOne."""
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
    tour.says("the callback cannot be loaded again", dev.open(back.location), "It was used before", status=400)


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
