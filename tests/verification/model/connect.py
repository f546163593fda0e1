"""The connect flow under attack: does the person who begins it also end it?

Two people, V and X, each with a tenant, a sign-in at the product, a browser and a NinjaOne account of their own.
V is honest and careless: opens every link X sends, and agrees at NinjaOne whenever asked. X may start sessions for
the own tenant, keep what the own browser is shown, put any of it into a link for V, and read V's connect link while
it is bound to V's browser, and V's state and ticket once they are spent (logs, history). X cannot read V's cookies,
nor the verifier that the product keeps in V's sign-in. NinjaOne is taken to ignore PKCE and to honour a code once.

fixation   V agrees in a session that X began: V's fleet in X's tenant
reverse    X agrees in a session that V began: X's fleet in V's tenant
replay     a spent state, code or ticket is used again

C1  a connection joins a tenant to an account of the same person
C2  a session is ended at most once
C3  a code is sent only after the person who began has come back
C4  a code is sent at most once, whatever session it is brought to
"""

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

Person = Literal["V", "X"]
PEOPLE: tuple[Person, ...] = ("V", "X")


class Checks(NamedTuple):
    """What the broker checks, what the product is careful about, and what X can read.

    Attributes:
        state: the callback belongs to the flow whose state it brings (else: the browser's own)
        cookie: the browser that calls back is the one that started
        single_start: a second browser cannot start a session
        once: a state is spent by its first callback, a session by its completion
        ticket: completion needs what the returning browser was given
        end_user: completion names the person signed in, and it is the one who began
        verifier: completion brings the verifier from that person's sign-in
        waits: the code is kept until completion
        names_creator: a careless product names whoever began the session, not who is signed in
        shares: a careless product finds the verifier by session, not by sign-in
        early_link: X reads V's connect link while it is bound to no browser: before V starts, or after V's flow ended
        early_address: X reads V's other addresses while their secrets are alive
        spent_codes: X reads V's code after it was sent
        remembers: the broker sends no code that it has sent before
    """

    state: bool = True
    cookie: bool = True
    single_start: bool = True
    once: bool = True
    ticket: bool = True
    end_user: bool = True
    verifier: bool = True
    waits: bool = True
    names_creator: bool = False
    shares: bool = False
    early_link: bool = False
    early_address: bool = False
    spent_codes: bool = False
    remembers: bool = False


class Code(NamedTuple):
    """An authorization code: whose account, and from which flow's authorize address."""

    account: Person
    flow: int


class Session(NamedTuple):
    """One connect session. `ended`: its flow ran out. `stored`: its code; `ticket`: whose browser was given it."""

    status: Literal["created", "started", "ended", "stored", "done"] = "created"
    flow: int | None = None
    stored: Code | None = None
    ticket: Person | None = None


class Flow(NamedTuple):
    """One start of a session, in one browser. Its number stands for its state and its cookie."""

    session: Person
    browser: Person
    spent: bool = False


class Scene(NamedTuple):
    """One moment. `codes`: issued by NinjaOne; `sent`: to NinjaOne by the broker."""

    v: Session = Session()
    x: Session = Session()
    flows: tuple[Flow, ...] = ()
    codes: frozenset[Code] = frozenset()
    sent: frozenset[Code] = frozenset()

    def session(self, owner: Person) -> Session:
        """Find the session that this person began."""
        return self.v if owner == "V" else self.x

    def having(self, owner: Person, session: Session) -> "Scene":
        """Replace that session."""
        return self._replace(v=session) if owner == "V" else self._replace(x=session)


class Step(NamedTuple):
    """What happens, and what it breaks."""

    told: str
    after: Scene
    breaks: frozenset[str] = frozenset()


def steps(checks: Checks, scene: Scene) -> Iterator[Step]:
    """List everything that may happen next."""
    for owner in PEOPLE:
        yield from _run_out(scene, owner)
    for browser in PEOPLE:
        for owner in PEOPLE:
            yield from _start(checks, scene, owner, browser)
            yield from _return(checks, scene, owner, browser)
        for number in range(len(scene.flows)):
            yield from _agree(checks, scene, number, browser)
            yield from _call_back(checks, scene, number, browser)


def _start(checks: Checks, scene: Scene, owner: Person, browser: Person) -> Iterator[Step]:
    """Press the button on the connect page. X's link reaches V; V's link reaches X when it leaks."""
    session = scene.session(owner)
    unbound = session.status in {"created", "ended"}
    knows = browser == "V" or owner == "X" or checks.early_link or not unbound
    again = session.flow is not None and scene.flows[session.flow].browser == browser
    free = unbound or again or not checks.single_start
    if knows and free and session.status in {"created", "started", "ended"}:
        started = Session("started", len(scene.flows))
        flows = (*scene.flows, Flow(owner, browser))
        yield Step(f"{browser} starts {owner}'s session", scene._replace(flows=flows).having(owner, started))


def _run_out(scene: Scene, owner: Person) -> Iterator[Step]:
    """Let a flow's ten minutes pass: its state is worthless, and the link is bound to no browser any more."""
    session = scene.session(owner)
    if session.status == "started":
        yield Step(f"the flow of {owner}'s session runs out", scene.having(owner, session._replace(status="ended")))


def _agree(checks: Checks, scene: Scene, number: int, person: Person) -> Iterator[Step]:
    """Agree at NinjaOne. V agrees to anything; X needs to know the authorize address."""
    code = Code(person, number)
    if code not in scene.codes and (person == "V" or _knows_flow(checks, scene, number)):
        yield Step(f"{person} agrees in flow {number}", scene._replace(codes=scene.codes | {code}))


def _call_back(checks: Checks, scene: Scene, state: int, browser: Person) -> Iterator[Step]:
    """Open the callback with a state and a code: NinjaOne's own redirect, or a link that X made."""
    for code in sorted(scene.codes):
        given = code == Code(browser, state)
        forged = _knows_code(checks, scene, code) and _knows_flow(checks, scene, state)
        if not (given or forged):
            continue
        for number in (state,) if checks.state else range(len(scene.flows)):
            same = scene.flows[number].browser == browser
            foreign_is_fine = checks.state and not checks.cookie
            if (same or foreign_is_fine) and _is_open(checks, scene, number):
                yield _parked(checks, scene, number, code=code, browser=browser)


def _is_open(checks: Checks, scene: Scene, number: int) -> bool:
    """Say whether a callback for this flow is still awaited."""
    session = scene.session(scene.flows[number].session)
    return session.flow == number and (session.status == "started" or not checks.once)


def _parked(checks: Checks, scene: Scene, number: int, *, code: Code, browser: Person) -> Step:
    """Spend the state and keep the code; a broker that does not wait sends it at once."""
    flow = scene.flows[number]
    flows = (*scene.flows[:number], flow._replace(spent=True), *scene.flows[number + 1 :])
    session = Session("stored", number, code, browser)
    after = scene._replace(flows=flows).having(flow.session, session)
    told = f"callback in flow {number} with the code of {code.account} from flow {code.flow}"
    if checks.waits:
        return Step(told, after)
    return _exchanged(checks, after, flow.session, told, {"C3"} | ({"C2"} if flow.spent else set()))


def _return(checks: Checks, scene: Scene, owner: Person, person: Person) -> Iterator[Step]:
    """Open the product's return page, signed in as oneself; the product asks the broker to complete."""
    session = scene.session(owner)
    if session.status not in {"stored", "done"} or (checks.once and session.status == "done"):
        return
    has_ticket = not checks.ticket or _brings_ticket(checks, session, person)
    named = owner if checks.names_creator else person
    is_named = named == owner or not checks.end_user
    verified = person == owner or checks.shares or not checks.verifier
    if has_ticket and is_named and verified:
        told = f"{person} returns and ends {owner}'s session"
        breaks = {"C2"} if session.status == "done" else set()
        yield _exchanged(checks, scene, owner, told, breaks | (set() if person == owner else {"C3"}))


def _exchanged(checks: Checks, scene: Scene, owner: Person, told: str, breaks: set[str]) -> Step:
    """Send the stored code and keep the connection. For a code it has honoured NinjaOne gives nothing."""
    session = scene.session(owner)
    code = session.stored
    if code is None:
        raise ValueError("a session with a stored code has one")
    used = code in scene.sent
    if used and not checks.remembers:
        breaks = breaks | {"C4"}
    if not used and code.account != owner:
        breaks = breaks | {"C1"}
    after = scene._replace(sent=scene.sent | {code}).having(owner, session._replace(status="done"))
    return Step(told, after, frozenset(breaks))


def _brings_ticket(checks: Checks, session: Session, person: Person) -> bool:
    """Say whether this person's browser was given the ticket, or X knows it and may put it in a link."""
    return session.ticket in {person, "X"} or session.status == "done" or checks.early_address


def _knows_flow(checks: Checks, scene: Scene, number: int) -> bool:
    flow = scene.flows[number]
    return flow.browser == "X" or flow.spent or checks.early_address


def _knows_code(checks: Checks, scene: Scene, code: Code) -> bool:
    leaked = checks.early_address or (checks.spent_codes and code in scene.sent)
    return code.account == "X" or leaked


class Result(NamedTuple):
    """States visited, and the shortest attack for each property broken."""

    states: int
    attacks: dict[str, str]


def explore(checks: Checks, *, starts: int = 3) -> Result:
    """Visit every reachable scene with so many starts, breadth first."""
    start = Scene()
    stories: dict[Scene, tuple[str, ...]] = {start: ()}
    attacks: dict[str, str] = {}
    queue = deque([start])
    while queue:
        scene = queue.popleft()
        for told, after, breaks in steps(checks, scene):
            if len(after.flows) > starts:
                continue
            story = (*stories[scene], told)
            for broken in sorted(breaks):
                attacks.setdefault(broken, " | ".join(story))
            if after not in stories:
                stories[after] = story
                queue.append(after)
    return Result(len(stories), attacks)
