"""What nobody in the world can know: which token NinjaOne would accept, and what lies open to whoever holds the key."""

import base64
import json
from typing import TYPE_CHECKING, Any

from broker.adapters.aws import AwsClient
from broker.adapters.seal import Seal
from broker.errors import BrokerError
from broker.model import AssociatedData, ConnectionId, ConnectionRef, Purpose, TenantId
from tests.verification.simulation.values import Item

if TYPE_CHECKING:
    from tests.verification.simulation.world import World

Ref = tuple[str, str]


class _Still:
    """A clock that stands: the oracle's keys never go stale."""

    def now(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


class _OpenKMS:
    """KMS without faults, permissions or outages."""

    def __init__(self, world: "World") -> None:
        self.world = world

    def decrypt(self, *, CiphertextBlob: bytes, EncryptionContext: dict[str, str]) -> dict[str, Any]:  # noqa: N803 (the API's names)
        disabled, self.world.kms.disabled = self.world.kms.disabled, set()
        try:
            answer: dict[str, Any] = self.world.kms.decrypt(
                CiphertextBlob=CiphertextBlob, EncryptionContext=EncryptionContext
            )
            return answer
        finally:
            self.world.kms.disabled = disabled


class Oracle:
    """Answers without changing anything."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self._seal = Seal(AwsClient("kms", _OpenKMS(world)), "", _Still(), lambda _: b"")
        self._opened: dict[tuple[bytes, Purpose, AssociatedData], str | None] = {}

    # NinjaOne

    def grant(self, token: str) -> str:
        """Name the grant behind a code, a refresh token or an access token; empty when there is none."""
        found = self.world.ninjaone.oracle.grant_of(token)
        return found.id if found else ""

    def live(self, grant: str) -> frozenset[str]:
        """Give the refresh tokens that would be accepted now."""
        return self.world.ninjaone.oracle.accepted_refresh_tokens(grant) if grant else frozenset()

    def chain(self, grant: str) -> tuple[str, ...]:
        """Give every refresh token of a grant, oldest first."""
        return self.world.ninjaone.oracle.chain(grant) if grant else ()

    def revoked(self, grant: str) -> str:
        """Say why a grant was revoked; empty while it lives."""
        return self.world.ninjaone.oracle.revoked(grant) if grant else ""

    def number(self, token: str) -> int:
        """Give a refresh token's place in its chain."""
        return self.world.ninjaone.state.refresh_tokens[token].number

    # The stores

    def opened(self, blob: bytes, purpose: Purpose, spot: AssociatedData) -> str | None:
        """Open a sealed value, or give None where it does not open."""
        host = (blob, purpose, spot)
        if host not in self._opened:
            try:
                self._opened[host] = self._seal.open(blob, purpose, spot).reveal()
            except BrokerError:
                self._opened[host] = None
        return self._opened[host]

    def in_row(self, ref: Ref, row: Item | None) -> str | None:
        """Give the refresh token that a connection's row holds, whichever table it is in."""
        if row is None or "refresh" not in row:
            return None
        return self.sealed(ref, row["refresh"]["B"], int(row["version"]["N"]))

    def sealed(self, ref: Ref, blob: bytes, version: int, purpose: Purpose = Purpose.REFRESH) -> str | None:
        """Open a token sealed for a connection."""
        return self.opened(bytes(blob), purpose, ConnectionRef(TenantId(ref[0]), ConnectionId(ref[1])).aad(version))

    def in_rescue(self, ref: Ref) -> dict[int, str]:
        """Give the refresh tokens in the rescue store, by the version they belong after."""
        prefix = f"rescue/{ref[0]}/{ref[1]}/"
        found = {}
        for name, stored in self.world.bucket.items():
            if name.startswith(prefix):
                version = int(name.removeprefix(prefix))
                token = self.sealed(ref, base64.b64decode(json.loads(stored.body)["refresh"]), version + 1)
                if token is not None:
                    found[version] = token
        return found

    def stored(self, ref: Ref) -> frozenset[str]:
        """Give every refresh token that a refresh could find: in the row (or its backup), or in rescue after it."""
        row = self.world.rows.items.get(ref) or self.world.deleted.get(ref)
        if row is None:
            return frozenset()
        held = self.in_row(ref, row)
        rescued = self.in_rescue(ref).get(int(row["version"]["N"]))
        return frozenset(token for token in (held, rescued) if token)
