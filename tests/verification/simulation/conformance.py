"""Each connection's log of calls, as the model of the protocol names them, and whether the model has such a run."""

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from broker import policy
from tests.verification.model.provider import Mode
from tests.verification.model.replay import Entry, accepts
from tests.verification.simulation.history import Exchange, Ref
from tests.verification.simulation.scheduler import Process

if TYPE_CHECKING:
    from tests.verification.simulation.world import World

MODES: Mapping[str, Mode] = {
    "rotate_strict": "strict",
    "rotate_grace": "grace",
    "static_same_token": "static",
    "static_omit_field": "static",
    "reuse_kills_family": "reuse_revoke",
}
UNLOGGED = ("open_token", "data_keys")
REPEATED = frozenset({"read", "sink"})
"""Steps that are tried again in place: only how the last try ended is a step of the model."""
LEASING = frozenset({"acquire", "release"})
"""Steps that are noted when the store carries them out, heard of or not, if they succeed, and else when heard."""
FAILED = "ConditionalCheckFailedException"

Parameters = Mapping[str, Any]


class Trace:
    """What every connection's refreshes did, in the model's words.

    leased_at when each fence was given out

    Attributes:
        leased: what version and fence an invocation won a lease with
        entries: each with the instant at which it took effect, which may be long before anybody heard of it
        over: connections of which the rest is beyond the model: given up, ended, connected anew, restored
    """

    def __init__(self, world: "World") -> None:
        self.world = world
        self.entries: defaultdict[Ref, list[tuple[float, Entry]]] = defaultdict(list)
        self.leased_at: dict[tuple[Ref, int], int] = {}
        self._instants = 0
        self.over: set[Ref] = set()
        self.verdict: set[tuple[Process, Ref]] = set()
        self.leased: dict[tuple[Process, Ref], tuple[Any, Any]] = {}

    def end(self, ref: Ref) -> None:
        """Leave the rest of a connection's life out."""
        self.over.add(ref)

    def instant(self) -> int:
        """Number this instant: a later one has a higher number."""
        self._instants += 1
        return self._instants

    def carried_out(self, process: Process, operation: str, parameters: Parameters, answer: Any, *, at: int) -> None:
        """Note a lease that was taken or given back, whether or not anybody will hear of it.

        Who has not heard that a lease was given back gives it back again, which changes nothing.
        """
        step = self._step(process, operation, parameters, answer)
        if step is not None and step[1:] in {("acquire", "won"), ("release", "released")}:
            ref, *named = step
            if (process.name, *named) not in {entry for _, entry in self.entries[ref]}:
                self._add(ref, process, *named, at=at)
            if named == ["acquire", "won"]:
                self.leased_at.setdefault((ref, int(answer["Attributes"]["fence"]["N"])), at)

    def heard(self, process: Process, operation: str, parameters: Parameters, answer: Any, *, at: int) -> None:
        """Note an answer of DynamoDB or S3 to a refresh; an exception is one.

        Args:
            at: the instant at which it took effect, or at which it was heard if it had none
        """
        if operation == "batch_get_item" and not isinstance(answer, Exception):
            for row in next(iter(answer["Responses"].values()), []):
                ref = (row["tenant"]["S"], row["connection"]["S"])
                self._add(ref, process, "read", "found", at=min(at, self._overtaken(ref, row)))
        step = self._step(process, operation, parameters, answer)
        if step is not None and not (step[1] in LEASING and step[2] != "conflict"):
            ref, name, outcome = step
            self._add(ref, process, name, outcome, at=at)
            if outcome == "needs_reauth":
                self.end(ref)

    def _overtaken(self, ref: Ref, row: Mapping[str, Any]) -> float:
        """Say when what was read was no longer so: to read an old row is to have read it then, and been slow since."""
        leased = self.leased_at.get((ref, int(row.get("fence", {"N": "0"})["N"]) + 1), float("inf"))
        return leased - 0.5

    def sent(self, exchange: Exchange) -> None:
        """Note that a refresh token was sent."""
        ref = self.world.history.ref_of.get(self.world.oracle.grant(exchange.presented))
        if ref:
            self._add(ref, exchange.process, "post", "sent")

    def ended(self, exchange: Exchange) -> None:
        """Note what the sender learned."""
        ref = self.world.history.ref_of.get(self.world.oracle.grant(exchange.presented))
        if ref:
            outcome = _outcome(exchange)
            self._add(ref, exchange.process, "post", outcome)
            if outcome == "verdict":
                self.verdict.add((exchange.process, ref))
            if outcome == "ambiguous":
                self._add(ref, exchange.process, "release", "quarantined")

    def refused(self, limit: int) -> str:
        """Replay the connections of a run; say which of them the model knows no run for."""
        mode = MODES[self.world.ninjaone.switches.rotation]
        for ref, entries in sorted(self.entries.items()):
            trace = settled(entries)[:limit]
            if not _is_a_run(_anonymous(trace), mode):
                return f"{ref[1]}: {accepts(trace, mode=mode, unlogged=UNLOGGED).reason}"
        return ""

    def _add(self, ref: Ref, process: Process, step: str, outcome: str, *, at: float = 0) -> None:
        if ref not in self.over:
            self.entries[ref].append((at or self.instant(), (process.name, step, outcome)))

    def _step(
        self, process: Process, operation: str, parameters: Parameters, answer: Any
    ) -> tuple[Ref, str, str] | None:
        if operation in {"get_object", "put_object"}:
            _, tenant, connection, _ = str(parameters["Key"]).split("/")
            return (tenant, connection), *_rescue_step(operation, answer)
        if operation not in {"get_item", "update_item"}:
            return None
        key = parameters["Key"]
        ref = (key.get("tenant", {}).get("S", ""), key.get("connection", {}).get("S", ""))
        if ref not in self.world.history.grant_of:
            return None
        if operation == "get_item" and (process, ref) in self.verdict:
            return ref, "reread", self._reread(process, ref, answer)
        if operation == "update_item":
            return self._update(process, ref, parameters, answer)
        return None

    def _update(self, process: Process, ref: Ref, parameters: Parameters, answer: Any) -> tuple[Ref, str, str] | None:
        step = _row_step(parameters)
        if not step:
            return None
        outcome = written(step, parameters, answer)
        if outcome == "struck" and self._was_struck(parameters):
            outcome = "held"
        if outcome == "won":
            row = answer["Attributes"]
            self.leased[process, ref] = (row["version"], row["fence"])
        return ref, step, outcome

    def _was_struck(self, parameters: Parameters) -> bool:
        """Say whether an earlier verdict was the first: then this one was not believed, and changes nothing."""
        first = int(parameters["ExpressionAttributeValues"][":struck_at"]["N"])
        return first < self.world.now() - policy.STRIKE_GAP / 2

    def _reread(self, process: Process, ref: Ref, answer: Any) -> str:
        if isinstance(answer, Exception):
            return "unanswered"
        row = answer.get("Item", {})
        return "same" if self.leased.get((process, ref)) == (row.get("version"), row.get("fence")) else "moved"


def _anonymous(trace: list[Entry]) -> tuple[Entry, ...]:
    """Name invocations by the order in which they appear: many worlds differ in nothing else."""
    names: dict[str, str] = {}
    return tuple((names.setdefault(who, str(len(names))), step, outcome) for who, step, outcome in trace)


@lru_cache(maxsize=4096)
def _is_a_run(trace: tuple[Entry, ...], mode: Mode) -> bool:
    return bool(accepts(trace, mode=mode, unlogged=UNLOGGED))


def settled(entries: list[tuple[float, Entry]]) -> list[Entry]:
    """Put entries in the order in which they took effect.

    Of what was tried again in place only how the last try ended is kept, no read that no lease followed, and no look
    into the rescue store before a lease: it only says whether a request needs to be made ready.
    """
    later: set[tuple[str, str]] = set()
    kept: list[Entry] = []
    leased = {who: at for at, (who, step, _) in sorted(entries, reverse=True) if step == "acquire"}
    for at, (who, step, outcome) in sorted(entries, reverse=True):
        if step == "look_in_rescue" and at < leased.get(who, float("inf")):
            continue
        is_last = step not in REPEATED or (who, step) not in later
        if is_last and (step != "read" or (who, "acquire") in later):
            kept.append((who, step, outcome))
        later.add((who, step))
    return kept[::-1]


def _outcome(exchange: Exchange) -> str:
    if not exchange.answered:
        return "declined" if exchange.kind == "unreachable" else "ambiguous"
    if exchange.status == 200:
        return "granted" if exchange.delivered and "html" not in exchange.kind else "ambiguous"
    if exchange.status >= 500 or exchange.status < 400:
        return "ambiguous"
    return "verdict" if exchange.is_dead else "declined"


def _rescue_step(operation: str, answer: Any) -> tuple[str, str]:
    if operation == "put_object":
        return "sink", "refused" if isinstance(answer, Exception) else "kept"
    if isinstance(answer, ClientError) and answer.response["Error"]["Code"] == "NoSuchKey":
        return "look_in_rescue", "none"
    return "look_in_rescue", "unreadable" if isinstance(answer, Exception) else "found"


def _row_step(parameters: Parameters) -> str:
    """Name what a write to a row is, by what it writes."""
    values, text = parameters.get("ExpressionAttributeValues", {}), parameters["UpdateExpression"]
    if ":lease_id" in values:
        return "acquire"
    if "#version = :version" in text:
        return "save"
    if ":struck_at" in values:
        return "strike"
    freed = "REMOVE" in text and "#lease_until" in text.partition("REMOVE")[2]
    return "release" if freed else ""


def _is_saved(held: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Say whether a row is as a save made it, or was resealed since: sealed anew, with the same version and fence."""
    moved = (held.get("version"), held.get("fence")) == (values[":version"], values[":fence_seen"])
    return moved or held.get("access") == values[":access"]


def written(step: str, parameters: Parameters, answer: Any) -> str:
    """Say how a write ended, in the model's words."""
    values = parameters["ExpressionAttributeValues"]
    if isinstance(answer, ClientError) and answer.response["Error"]["Code"] == FAILED:
        refusal: Any = answer.response
        held = refusal.get("Item", {})
        if step == "acquire" and held.get("lease_id") == values[":lease_id"]:
            return "met"
        return "saved" if step == "save" and _is_saved(held, values) else "conflict"
    if isinstance(answer, Exception):
        return "unanswered"
    if step == "strike":
        if values.get(":status") == {"S": "needs_reauth"}:
            return "needs_reauth"
        return "struck"
    return {"acquire": "won", "save": "saved", "release": "released"}[step]
