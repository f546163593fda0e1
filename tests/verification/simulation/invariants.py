"""What must hold in every run, whatever happens: I1 to I27, each a small function beside its definition.

`check` is called with an event of the world; the invariants registered for it look at the facts and answer
with a sentence when they are broken. P is NinjaOne; live(c) what it would accept; D(c) what is stored.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from broker import ninjaone, policy
from broker.edge.http import security_headers
from broker.flows.refresh.timing import Timing
from broker.model import Purpose
from tests.verification.simulation import gateway, secrecy
from tests.verification.simulation.gateway import Answer
from tests.verification.simulation.history import Exchange, Ref
from tests.verification.simulation.values import Item

if TYPE_CHECKING:
    from tests.verification.simulation.people import Flow, Person
    from tests.verification.simulation.world import Invocation, World

Check = Callable[..., str | None]
REGISTER: dict[str, list[tuple[str, Check]]] = {}
HOSTS = frozenset(ninjaone.REGIONS.values())
KEY = re.compile(r"con_[a-z2-7]{26}")
LOGGED = 40  # entries of one connection that are held to the model
LEASING = 25.0  # seconds that taking a lease lasts at most, tries and waits included
BOUNDS = Timing(180)
SAVED = {("dynamodb", "update_item"), ("s3", "put_object")}


def invariant(name: str, *events: str) -> Callable[[Check], Check]:
    """Register a function for the events at which it is to hold."""

    def register(holds: Check) -> Check:
        for event in events:
            REGISTER.setdefault(event, []).append((name, holds))
        return holds

    return register


def check(world: "World", event: str, *facts: Any) -> None:
    """Hold the world to every invariant of an event."""
    for name, holds in REGISTER.get(event, ()):
        world.history.checks[name] += 1
        try:
            broken = holds(world, *facts)
        except Exception as error:  # noqa: BLE001  # or the broker would take it for a failure of NinjaOne's
            broken = f"{holds.__name__} itself failed: {type(error).__name__}: {error}"
        if broken:
            world.violate(f"{name}: {broken}")


# Tokens


@invariant("I1", "end", "final")
def no_live_token_is_nowhere(world: "World", invocation: "Invocation | None" = None) -> str | None:
    """live(c) ≠ ∅ ⇒ some live token is stored, in a living memory or on its way, or its loss was unavoidable.

    Unavoidable: the answer was lost after P's commit; the process was killed holding it; every store refused.
    """
    if invocation is not None and invocation.function not in {"refresh", "complete", "disconnect"}:
        return None  # no other function touches a refresh token
    for ref, grant in world.history.grant_of.items():
        live = world.oracle.live(grant)
        if live and not live & world.oracle.stored(ref) and not _is_excused(world, grant):
            row = world.rows.items.get(ref, {})
            if row.get("status", {}).get("S") != "disconnected":
                return f"the live token of {ref[1]} is nowhere"
    return None


def _is_excused(world: "World", grant: str) -> bool:
    newest = world.oracle.chain(grant)[-1]
    made = next((each for each in world.history.by_grant[grant] if each.created == newest), None)
    if made is None or (world.restored_at is not None and world.restored_at + 200 > (made.executed or 0)):
        return world.restored_at is not None
    if world.history.lost(made) or made.process.running or made.process.dead:
        return True
    return world.history.refused[made.process] >= SAVED


@invariant("I1", "send")
def there_is_time_to_keep_what_comes(world: "World", exchange: Exchange) -> str | None:
    """A refresh is sent only with time left to wait for its answer, to save it, and to sink it.

    So the platform's timeout is no excuse for a token that is lost in a memory.
    """
    left = exchange.deadline - world.now()
    needed = BOUNDS.min_to_send - 1
    return f"{exchange.process.name} asks with {left:.0f} s left" if exchange.is_refresh and left < needed else None


@invariant("I2", "execute")
def nothing_is_revoked_that_we_hold(world: "World", exchange: Exchange) -> str | None:
    """P revokes family(c) for reuse ⇒ live(c) ∩ D(c) was ∅ at that instant."""
    ref = world.history.ref_of.get(world.oracle.grant(exchange.presented))
    if exchange.killed_family and ref and exchange.live_before & world.oracle.stored(ref):
        return f"{ref[1]} was revoked for reuse with its live token stored"
    return None


@invariant("I3", "send")
def the_newest_stored_token_is_presented(world: "World", exchange: Exchange) -> str | None:
    """A request presenting Rᵢ is never sent while an Rⱼ, j > i, is stored."""
    grant = world.oracle.grant(exchange.presented)
    ref = world.history.ref_of.get(grant)
    if not exchange.is_refresh or ref is None:
        return None
    mine = world.oracle.number(exchange.presented)
    newer = [each for each in world.oracle.stored(ref) if each.startswith(grant) and world.oracle.number(each) > mine]
    return f"{ref[1]} presents token {mine} with a newer one stored" if newer else None


@invariant("I4", "row")
def generations_only_grow(world: "World", key: Ref, old: Item | None, new: Item | None) -> str | None:
    """A change of tokens raises `version`; an unchanged version has unchanged tokens; the chain never goes back."""
    if not KEY.fullmatch(key[1]) or new is None or world.restoring:
        return None
    before, after = int((old or {}).get("version", {"N": "0"})["N"]), int(new["version"]["N"])
    changed = old is not None and any(_is_other(world, key, old, new, name) for name in ("access", "refresh"))
    forgotten = "refresh" not in new
    if after < before or (changed and after == before and not forgotten):
        return f"{key[1]} went from version {before} to {after}"
    return _chain_goes_back(world, key, old, new)


def _is_other(world: "World", key: Ref, old: Item, new: Item, name: str) -> bool:
    """Say whether a row holds another token than before; the same one may have come under another KMS key."""
    if old.get(name) == new.get(name):
        return False
    if name not in old or name not in new:
        return True
    purpose = Purpose(name)
    opened = [world.oracle.sealed(key, row[name]["B"], int(row["version"]["N"]), purpose) for row in (old, new)]
    return opened[0] is None or opened[0] != opened[1]


def _chain_goes_back(world: "World", key: Ref, old: Item | None, new: Item) -> str | None:
    if old is None or "refresh" not in old or "refresh" not in new:
        return None
    earlier = world.oracle.sealed(key, old["refresh"]["B"], int(old["version"]["N"]))
    later = world.oracle.in_row(key, new)
    if earlier is None or later is None or world.oracle.grant(earlier) != world.oracle.grant(later):
        return None
    went_back = world.oracle.number(later) < world.oracle.number(earlier)
    return f"{key[1]} stored an older token over a newer one" if went_back else None


@invariant("I5", "row")
def needs_reauth_is_true(world: "World", key: Ref, old: Item | None, new: Item | None) -> str | None:
    """status → needs_reauth ⇒ live(c) ∩ D(c) = ∅, or a scope was withdrawn."""
    if new is None or new.get("status") != {"S": "needs_reauth"} or new.get("reason") == {"S": "scope_withdrawn"}:
        return None
    if world.restoring or (old is not None and old.get("status") == new["status"]):
        return None
    world.history.reached[f"needs_reauth {new['reason']['S']}"] += 1
    grant = world.history.grant_of.get(key, "")
    return f"{key[1]} was given up alive" if world.oracle.live(grant) & world.oracle.stored(key) else None


@invariant("I5b", "final")
def death_is_noticed(world: "World") -> str | None:
    """live(c) = ∅ since before the quiet time ⇒ the connection says so at its end, or that it is paused.

    Where no other tenant can tell NinjaOne's mistake from the truth, a verdict is believed after up to a day.
    """
    for ref, grant in world.history.grant_of.items():
        row = world.rows.items.get(ref, {})
        dead = not world.oracle.live(grant) and row.get("status") == {"S": "active"}
        struck_at = int(row.get("struck_at", {"N": "0"})["N"])
        if dead and world.is_active_epoch(row) and world.now() - struck_at > policy.VERDICT_WAIT_MAX + 1200:
            return f"{ref[1]} is dead and calls itself active"
    return None


@invariant("I6", "send")
def requests_of_one_connection_never_overlap(world: "World", exchange: Exchange) -> str | None:
    """[send, answer or T_inflight] of two refreshes of one connection never overlap."""
    if not exchange.is_refresh:
        return None
    others = [each for each in world.history.by_grant[world.oracle.grant(exchange.presented)] if each is not exchange]
    if any(each.may_act_at(world.now()) for each in others):
        return f"a second request {exchange.process.name} while an earlier one may still be carried out"
    return None


@invariant("I7", "given")
def a_vended_token_works(world: "World", ref: Ref, asked: float, answer: Answer | None) -> str | None:
    """P accepts a token that was given for as long as the answer says, a minute at most, less what clocks differ."""
    body = gateway.json_body(answer)
    if gateway.status(answer) != 200:
        return None
    grant = world.oracle.grant(body["access_token"])
    if world.oracle.revoked(grant):
        return None
    token = world.ninjaone.state.access_tokens[body["access_token"]]
    sure = min(60, body["expires_in"]) - 2 * world.skew - 2
    if token.expires_at < world.now() + sure and not token.revoked:
        return (
            f"{ref[1]}: a token that ends {world.now() - token.expires_at:.0f} s ago, said to last {body['expires_in']}"
        )
    return None


@invariant("I8", "given")
def a_tenant_gets_its_own_tokens(world: "World", ref: Ref, _asked: float, answer: Answer | None) -> str | None:
    """Every token given to tenant t was issued by P for a flow that t opened."""
    if gateway.status(answer) != 200:
        return None
    flow = world.people.flow_of_grant.get(world.oracle.grant(gateway.json_body(answer)["access_token"]))
    return None if flow and flow.owner.tenant == ref[0] else f"{ref} got a token of another flow"


@invariant("I8", "completed")
def one_person_walks_the_whole_way(world: "World", flow: "Flow", person: "Person", _asked: float) -> str | None:
    """Who opened, who started, who came back and who completes are one."""
    people = {flow.owner.name, flow.starter and flow.starter.name, flow.finisher and flow.finisher.name, person.name}
    return f"{flow.session} was completed by {sorted(map(str, people))}" if len(people) > 1 else None


@invariant("I9", "send")
def a_code_is_sent_once(world: "World", exchange: Exchange) -> str | None:
    """Each code is sent at most once, by `complete` only, to the host its flow went to; each flow sends one code."""
    if not exchange.is_code:
        return None
    grant = world.oracle.grant(exchange.presented)
    flow = world.people.flow_of_grant.get(grant)
    world.history.codes[exchange.presented] += 1
    if flow is not None:
        world.history.codes[flow.session] += 1
    if max(world.history.codes[exchange.presented], world.history.codes[flow.session if flow else ""]) > 1:
        return "a code, or a second code of one flow, was sent"
    home = world.ninjaone.state.grants[grant].tenant.host if grant else exchange.host
    foreign = exchange.host != home or not exchange.process.name.startswith("complete")
    return f"{exchange.process.name} sent a code to {exchange.host}" if foreign else None


@invariant("I9", "returned")
def a_state_is_redeemed_once(_world: "World", flow: "Flow", ticket: str) -> str | None:
    """Each start of a session leads home with one ticket, however often its callback comes."""
    return f"{flow.session} came back with two tickets" if flow.finisher and flow.ticket != ticket else None


@invariant("I10", "final")
def no_secret_is_written_down(world: "World") -> str | None:
    """No secret, in any encoding, in a log line, figure, message, name, address, page or plain attribute."""
    return secrecy.leak(world)


@invariant("I11", "final")
def a_moved_or_changed_seal_does_not_open(world: "World") -> str | None:
    """A sealed value opens nowhere but where it was sealed; with any bit flipped it opens nowhere."""
    return secrecy.moved_seal(world)


@invariant("I12", "send")
def only_ninjaone_is_called(_world: "World", exchange: Exchange) -> str | None:
    """Every request goes to a known host by https, from a client of its own invocation; no redirect is followed.

    A client that reads for a connection through the proxy may be lent to the next that reads for the same one.
    """
    good = exchange.host in HOSTS and exchange.scheme == "https" and not exchange.stale
    return None if good else f"{exchange.process.name} called {exchange.scheme}://{exchange.host}"


@invariant("I13", "final")
def what_can_heal_heals(world: "World") -> str | None:
    """After the quiet time no lease is left, and what has a live stored token has a fresh access token,

    or, given up while its token was dead, is tried again within a day.
    """
    now = world.now()
    for ref, grant in world.history.grant_of.items():
        row = world.rows.items.get(ref, {})
        if int(row.get("lease_until", {"N": "0"})["N"]) > now + BOUNDS.skew:
            return f"{ref[1]} is still leased"
        alive = world.oracle.live(grant) & world.oracle.stored(ref) and world.is_active_epoch(row)
        status, over = row.get("status", {}).get("S"), now - int(row.get("token_expires_at", {"N": "0"})["N"])
        if alive and status == "active" and over >= 0:
            return f"{ref[1]} has a live token, and its access token ended {over:.0f} s ago"
        if (
            alive
            and status == "needs_reauth"
            and int(row["refresh_at"]["N"]) > now + policy.REJECTED_RETRY_LONGEST + 60
        ):
            return f"{ref[1]} has a live token, and nobody will try it"
    return None


@invariant("I14", "send")
def what_is_fresh_is_left_alone(world: "World", exchange: Exchange) -> str | None:
    """However often a trigger comes, a refresh is sent only when it is due, or when a caller needs a longer life.

    Half of a token's life counts from the beginning of the batch that got it, so that neighbours stay together. What
    is in doubt is tried at once: by then it was due before, or an operator had it come back from a backup.
    """
    grant = world.oracle.grant(exchange.presented)
    ref = world.history.ref_of.get(grant)
    row = world.rows.items.get(ref, {}) if ref else {}
    if not exchange.is_refresh or ref is None or row.get("status") != {"S": "active"} or "outcome_unknown" in row:
        return None
    life = int(row["token_expires_at"]["N"]) - int(row["sent_at"]["N"])
    left = int(row["token_expires_at"]["N"]) - world.now()
    if _access(world, ref, row) in world.history.refused_tokens:
        return None  # before its time, and a caller said so
    got = [each for each in world.history.by_grant[grant] if each.delivered][-1:]
    began_earlier = sum(each.sent - each.process.began for each in got)
    wanted = max(life * 0.5 + began_earlier + 60, world.history.wanted[ref]) + 2 * world.skew + 2
    return f"{ref[1]} was refreshed with {left:.0f} s of {life} left" if left > wanted else None


def _access(world: "World", ref: Ref, row: Item) -> str | None:
    """Open the access token of a row; an imported one has none yet."""
    if "access" not in row:
        return None
    return world.oracle.sealed(ref, row["access"]["B"], int(row["version"]["N"]), Purpose.ACCESS)


@invariant("I15", "send")
def ninjaone_is_not_hammered(world: "World", exchange: Exchange) -> str | None:
    """One refresh request per connection and minute, but for a second one with a newer client secret.

    The minute begins when the lease was first asked for. What NinjaOne surely did not see does not count.
    """
    if not exchange.is_refresh:
        return None
    earlier = [each for each in world.history.by_grant[world.oracle.grant(exchange.presented)] if each is not exchange]
    seen = [each for each in earlier if each.kind not in {"unreachable", "killed_before"}]
    if not seen or seen[-1].process is exchange.process:
        return None
    gap = exchange.sent - seen[-1].sent
    return f"{exchange.process.name} asks again after {gap:.0f} s" if gap < 60 - LEASING - 2 * world.skew else None


@invariant("I15", "send")
def a_connection_that_is_told_to_wait_waits(world: "World", exchange: Exchange) -> str | None:
    """After 429 with Retry-After nobody begins to refresh that connection before then, if the wait could be stored."""
    if not exchange.is_refresh:
        return None
    margin, grant = 2 * world.skew + 2, world.oracle.grant(exchange.presented)
    for told in world.history.told_to_wait:
        put_back = world.put_back.get(world.history.ref_of.get(grant, ("", "")), 0.0)
        stored = told.sent > max(world.restored_at or 0, put_back)  # a backup holds older rows
        storable = stored and not world.history.refused[told.process] and told.process.ended is not None
        begun_after = storable and exchange.process.began > (told.process.ended or 0)
        mine = world.oracle.grant(told.presented) == grant
        if mine and begun_after and told.waits_until - margin > world.now():
            return f"{exchange.process.name} asks {told.waits_until - world.now():.0f} s before {told.host} wants it"
    return None


@invariant("I16", "send")
def a_restored_table_is_inert(world: "World", exchange: Exchange) -> str | None:
    """After a restore nothing of the new table is presented until the operator activates the epoch."""
    begun_after = world.inactive_since is not None and exchange.process.began > world.inactive_since
    inert = begun_after and exchange.is_refresh
    return "a restored table was used before it was activated" if inert else None


@invariant("I17", "row")
def a_disconnected_row_stays_so(world: "World", key: Ref, _old: Item | None, new: Item | None) -> str | None:
    """After an acknowledged disconnect no refresh has an effect."""
    ended = world.history.disconnected.get(key)
    if ended is None or new is None or world.restoring:
        return None
    revived = new.get("status") != {"S": "disconnected"} or "refresh" in new or "access" in new
    return f"{key[1]} came back" if revived else None


@invariant("I17", "given")
def a_disconnected_connection_vends_nothing(
    world: "World", ref: Ref, asked: float, answer: Answer | None
) -> str | None:
    """After an acknowledged disconnect no token is given."""
    after = asked >= world.history.disconnected.get(ref, float("inf"))
    return f"{ref[1]} given out after its end" if after and gateway.status(answer) == 200 else None


# Calls that are passed on


@invariant("I8", "proxied")
def a_tenant_gets_its_own_data(world: "World", ref: Ref, _asked: float, answer: Answer | None) -> str | None:
    """What NinjaOne answers to tenant t is about an account that somebody connected in a flow that t opened."""
    flows = world.people.flow_of_grant.items()
    mine = {world.history.consented[grant].name for grant, flow in flows if flow.owner.tenant == ref[0]}
    told = set(re.findall(rb"First of (\w+)", gateway.body(answer))) if is_passed(answer) else set()
    foreign = {each.decode() for each in told} - mine
    return f"{ref} was told of {sorted(foreign)}" if foreign else None


@invariant("I25", "proxied")
def a_caller_of_the_proxy_sees_no_token(world: "World", ref: Ref, _asked: float, answer: Answer | None) -> str | None:
    """No secret of any connection's, in any encoding, in a status, header or body."""
    text = gateway.body(answer).decode("latin-1") + str({**(answer or {}), "body": ""})
    world.history.texts.append(("answer of the proxy", text))
    seen = any(trace in text for secret in secrecy.secrets(world) for trace in secrecy.encodings(secret))
    return f"a caller saw a secret beside {ref[1]}" if seen else None


@invariant("I26", "send")
def a_call_is_sent_again_only_where_it_may_be(world: "World", exchange: Exchange) -> str | None:
    """The same token twice: a GET that got no answer. Another token: once, after a 401."""
    if not exchange.process.name.startswith("proxy"):
        return None
    sent = [each for each in world.history.exchanges if each.process is exchange.process]
    tokens = list(dict.fromkeys(each.bearer for each in sent))
    if len(sent) == 1:
        return None
    before = sent[-2]
    if exchange.bearer != before.bearer:
        world.history.reached["a 401 answered with another token"] += 1
        is_due = before.answered and before.status == 401 and len(tokens) == 2
        return None if is_due else f"{exchange.process.name} took another token after {before.status}"
    world.history.reached["a GET passed on again"] += 1
    times = sum(each.bearer == exchange.bearer for each in sent)
    may = exchange.method == "GET" and not before.answered and before.kind != "redirect" and times == 2
    return None if may else f"{exchange.process.name} sent {exchange.method} again after {before.kind or before.status}"


@invariant("I27", "answered")
def each_call_writes_one_line(
    world: "World", function: str, invocation: "Invocation", answer: Answer | None
) -> str | None:
    """Who, which connection, what, and how it ended, once; none only where the process died."""
    lines = world.history.audited[invocation]
    if function != "proxy" or not invocation.finished:
        return None
    path = invocation.event["pathParameters"]
    said = {
        "principal": gateway.BACKEND,
        "tenant": path["tenant"],
        "connection": path["connection"],
        "method": invocation.event["requestContext"]["http"]["method"],
        "path": f"/{path['path']}",
        "status": gateway.status(answer) if is_passed(answer) else 0,
    }
    found = [{name: line.get(name) for name in said} for line in lines]
    return None if found == [said] else f"{invocation.name} wrote {found}"


@invariant("I17", "proxied")
def nothing_is_passed_on_for_what_was_disconnected(
    world: "World", ref: Ref, asked: float, answer: Answer | None
) -> str | None:
    """After an acknowledged disconnect no call is passed on."""
    after = asked >= world.history.disconnected.get(ref, float("inf"))
    return f"{ref[1]} was used after its end" if after and is_passed(answer) else None


def is_passed(answer: Answer | None) -> bool:
    """Say whether an answer is NinjaOne's own."""
    return answer is not None and answer["headers"].get("x-ninjaone-connect") == "passed"


# Pages and answers


@invariant("I18", "answered")
def redirects_lead_where_they_may(
    world: "World", function: str, _invocation: "Invocation", answer: Answer
) -> str | None:
    """Every Location is NinjaOne's authorize endpoint, a listed return address, or our own."""
    host = gateway.location(answer)
    parts = urlsplit(host)
    own_path = host.startswith("/") and not host.startswith(("//", "/\\"))
    ours = own_path or host.startswith((*world.config.return_urls.values(), world.config.connect_url + "/"))
    theirs = parts.hostname in HOSTS and parts.path == "/ws/oauth/authorize" and parts.scheme == "https"
    return None if not host or ours or theirs else f"{function} redirects to {parts.netloc}"


@invariant("I19", "answered")
def failure_is_closed(world: "World", function: str, invocation: "Invocation", answer: Answer) -> str | None:
    """No 2xx on a private route whose authorizing read of DynamoDB did not succeed."""
    if function not in {"token", "complete", "disconnect", "proxy"} or gateway.status(answer) >= 300:
        return None
    read = ("dynamodb", "get_item") in world.history.answered[invocation]
    return None if read else f"{function} answered {gateway.status(answer)} without having read the row"


@invariant("I20", "started")
def no_expired_link_starts(world: "World", flow: "Flow") -> str | None:
    """An expired session is never started, deleted or not."""
    late = world.now() > flow.opened + policy.SESSION_LIFE + _margin(world)
    return f"{flow.session} was started after its end" if late else None


@invariant("I20", "returned")
def no_expired_flow_returns(world: "World", flow: "Flow", _ticket: str) -> str | None:
    """An expired flow is never accepted."""
    late = world.now() > flow.started + policy.FLOW_LIFE + _margin(world)
    return f"{flow.session} came back after its end" if late else None


@invariant("I20", "send")
def no_expired_code_is_sent(world: "World", exchange: Exchange) -> str | None:
    """A stored code that ended is never used."""
    flow = world.people.flow_of_grant.get(world.oracle.grant(exchange.presented)) if exchange.is_code else None
    late = flow is not None and flow.returned and world.now() > flow.returned + policy.CODE_LIFE + _margin(world)
    return f"a code was sent after its end by {exchange.process.name}" if late else None


def _margin(world: "World") -> float:
    return 2 * world.skew + 1.0 + 30.0  # the answer may travel as long as a function lives


@invariant("I22", "answered")
def every_answer_has_the_headers(
    world: "World", function: str, _invocation: "Invocation", answer: Answer
) -> str | None:
    """Every answer, refusals too, carries the whole set of security headers."""
    present = {name.lower() for name in answer["headers"]} if answer else set(security_headers())
    missing = sorted({name.lower() for name in security_headers()} - present)
    return f"{function} answered without {missing}" if missing else None


OUTCOMES = ("renewed", "dead_verdict", "config", "throttled", "unavailable", "ambiguous", "not_sent")


@invariant("I23", "final")
def the_figures_add_up(world: "World") -> str | None:
    """attempts = renewed + dead + config + throttled + unavailable + ambiguous + not sent."""
    sums: Counter[str] = Counter()
    for figures in world.history.figures:
        for name in ("attempts", *OUTCOMES):
            sums[name] += int(figures.get(name, [0])[0])
    parts = sum(sums[name] for name in OUTCOMES)
    return None if parts == sums["attempts"] else f"{sums['attempts']} attempts, {parts} outcomes"


@invariant("I24", "told")
def all_who_complete_a_session_hear_the_same(_world: "World", flow: "Flow") -> str | None:
    """Who was told that a session made a connection, or none, is told so again."""
    made = {each for each in flow.told if each.startswith("con_")}
    return f"{flow.session} was told {sorted(flow.told)}" if made and len(flow.told) > 1 else None


@invariant("I24", "told")
def a_consent_is_lost_to_a_kill_or_to_every_store(world: "World", flow: "Flow") -> str | None:
    """A person has to agree again only where the process died with the answer, or no store took it."""
    if not any(each.endswith("consent-lost") for each in flow.told):
        return None
    sent = [each for each in world.history.exchanges if each.is_code and world.people.flow_of(each) is flow]
    excused = all(_is_consent_excused(world, each) for each in sent)
    return None if excused else f"the consent of {flow.session} is said to be lost"


def _is_consent_excused(world: "World", sent: Exchange) -> bool:
    """Say whether a code's answer died with its process, could go into no store, or was a no that nobody could note."""
    refused = world.history.refused[sent.process]
    unnoted = not (sent.delivered and sent.created) and bool(refused & SAVED)
    return sent.process.dead or refused >= SAVED or unnoted


@invariant("model", "final")
def every_log_is_a_run_of_the_model(world: "World") -> str | None:
    """What each connection's refreshes did is a run of the protocol that was explored exhaustively."""
    return world.trace.refused(LOGGED) or None
