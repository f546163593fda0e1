"""The safeguards, and how each is taken away: a small change of one attribute, put back afterwards."""

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from broker import policy
from broker.adapters import aws
from broker.adapters.connections import Connections
from broker.adapters.dynamo import ConditionalUpdate
from broker.adapters.epoch import Epoch
from broker.errors import AwsUnavailable
from broker.flows import complete
from broker.flows.refresh import connection, save, timing
from broker.flows.refresh.connection import RefreshConnection
from broker.flows.refresh.context import BatchContext
from broker.flows.refresh.failure import RecordFailure
from broker.flows.refresh.save import SaveTokens
from broker.flows.refresh.timing import Timing
from broker.model import AssociatedData, Purpose, Seconds
from broker.secret import Secret


@dataclass(frozen=True)
class Hunt:
    """Where a missing safeguard is looked for.

    Attributes:
        scenario: of `tests.verification.simulation.anomalies`, played undisturbed and then with each fault of these
            kinds
    """

    scenario: str
    rotation: str = "reuse_kills_family"
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mutant:
    """One safeguard missing.

    Attributes:
        changes: owner, attribute, what stands there meanwhile
        hunt: where it shows; None: only in seeds
        trouble: what a seed must hold for the safeguard to matter; empty for any seed
    """

    name: str
    changes: tuple[tuple[Any, str, Any], ...]
    hunt: Hunt | None = None
    trouble: str = ""

    @contextmanager
    def loose(self) -> Iterator[None]:
        """Take the safeguard away for a while."""
        made = [patch.object(owner, name, value) for owner, name, value in self.changes]
        for each in made:
            each.start()
        try:
            yield
        finally:
            for each in made:
                each.stop()


def _lease(self: Connections, seen: Any, *, lease_id: str, now: Any, until: Any, expired_before: Any) -> Any:
    """Take the lease whoever holds it."""
    change = {"lease_until": until, "lease_id": lease_id, "tried_at": now}
    return self._update(seen, ConditionalUpdate.of("attribute_exists(#tenant)", set=change, add={"fence": 1}))


def _overlooked(wanted: Callable[..., bool]) -> Callable[..., bool]:
    """Overlook a lease that is read, and when the last one was taken."""

    def is_wanted(self: RefreshConnection, seen: Any, context: BatchContext) -> bool:
        return wanted(self, replace(seen, lease_until=None, tried_at=None), context)

    return is_wanted


def _save(self: Connections, held: Any, change: Any, remove: tuple[str, ...]) -> Any:
    """Store tokens whatever became of the row since it was leased."""
    drop = ("lease_until", "lease_id", "failures", "cause", "struck_at", "outcome_unknown", *remove)
    return self._update(held, ConditionalUpdate.of("attribute_exists(#tenant)", set=change, remove=drop))


def _ambiguous(self: RecordFailure, leased: Any, _outcome: Any, batch: BatchContext) -> None:
    """Take an unclear end for a clear one: give the lease back, and come again at once."""
    self.release(leased, batch, is_due=True)


def _dead(self: RecordFailure, leased: Any, _outcome: Any, batch: BatchContext) -> None:
    """Strike without reading again, whatever became of the row since it was leased."""
    change: dict[str, Any] = {"struck_at": batch.now(), "failures": 1, "refresh_at": batch.now() + policy.STRIKE_GAP}
    if leased.struck_at:
        change |= {"status": "needs_reauth", "reason": "revoked"}
    blind = ConditionalUpdate.of("attribute_exists(#tenant)", set=change, remove=("lease_until", "lease_id"))
    self._connections._update(leased, blind)


def _impatient(seen: Any, batch: BatchContext, now: Any) -> bool:
    """Ask for whoever calls, whatever wait the row names."""
    return bool(seen.token_expires_at - now < batch.min_ttl or (seen.refresh_at or now) <= now + 60)


def _late_keys(seal: Callable[..., Any]) -> Callable[..., Any]:
    """Fetch the data keys once the tokens are there, as if none had been fetched before."""

    def sealed(self: SaveTokens, held: Any, presented: Secret, tokens: Any, *, sent_at: Any, keys: Any) -> Any:
        self._seal._sealing.clear()
        late = (self._seal.data_key(Purpose.ACCESS), self._seal.data_key(Purpose.REFRESH))
        return seal(self, held, presented, tokens, sent_at=sent_at, keys=late)

    return sealed


def _forgetful(seal: Callable[..., Any]) -> Callable[..., Any]:
    """Store an answer as it is, also when it holds no refresh token."""

    def sealed(self: SaveTokens, held: Any, _presented: Secret, tokens: Any, **rest: Any) -> Any:
        return seal(self, held, Secret("absent"), tokens, **rest)

    return sealed


class _Unchecked(Timing):
    """Gates that always open."""

    min_to_send = min_to_start = 0


class _Brief(Timing):
    """A lease that ends while its holder lives."""

    lease = Seconds(20)


MUTANTS = (
    Mutant(
        "lease",
        ((Connections, "lease", _lease), (RefreshConnection, "is_wanted", _overlooked(RefreshConnection.is_wanted))),
        Hunt("requested twice"),
    ),
    Mutant("fence", ((Connections, "save", _save),), Hunt("reconnect meanwhile", kinds=("slow",))),
    Mutant(
        "quarantine", ((RecordFailure, "_ambiguous", _ambiguous),), Hunt("requested again meanwhile", kinds=("late",))
    ),
    Mutant(
        "save tokens whatever kind of error AWS gives",
        ((aws, "AwsError", AwsUnavailable), (save, "AwsError", AwsUnavailable)),
        Hunt("refresh", kinds=("denied",)),
    ),
    Mutant("rescue", ((SaveTokens, "_spill", lambda *_: None),), Hunt("rescue")),
    Mutant("look in the rescue store first", ((RefreshConnection, "_is_doubtful", lambda *_: False),), Hunt("rescue")),
    Mutant(
        "two strikes",
        ((RecordFailure, "_is_believed", lambda *_: True),),
        Hunt("refresh", kinds=("spurious_dead_token",)),
    ),
    Mutant("re-read", ((RecordFailure, "_dead", _dead),), Hunt("reconnect at the last strike", kinds=("slow",))),
    Mutant("deadline check", ((timing, "Timing", _Unchecked),), Hunt("slow day")),
    Mutant("data key first", ((SaveTokens, "seal", _late_keys(SaveTokens.seal)),), Hunt("refresh", kinds=("refused",))),
    Mutant(
        "keep the old token if the answer has none",
        ((SaveTokens, "seal", _forgetful(SaveTokens.seal)),),
        Hunt("refresh", "static_omit_field"),
    ),
    Mutant(
        "a wait binds callers",
        ((connection, "_is_due", _impatient), (connection, "_is_cooling_down", lambda *_: False)),
        Hunt("callers insist", kinds=("429_retry_after",)),
    ),
    Mutant(
        "lease longer than its holder lives",
        ((timing, "Timing", _Brief),),
        Hunt("requested again meanwhile", kinds=("lost_response",)),
    ),
    Mutant(
        "seal bound to its place",
        ((AssociatedData, "bytes", lambda _self, purpose: purpose.value.encode()),),
        Hunt("refresh"),
    ),
    Mutant("epoch", ((Epoch, "active", lambda _self: 1),), trouble="restore"),
    Mutant("proof of the person", ((complete, "_proved", lambda *_: True),), trouble="fixation"),
    Mutant("browser's cookie", ((hmac, "compare_digest", lambda *_: True),), trouble="reverse"),
)
