"""The table of connect sessions: every step is one conditional write, so that each can be taken only once.

created ─ start ─▶ started ─ authorize ─▶ authorized ─ begin_exchange ─▶ exchanging ─ save ─▶ exchanged ─ finish ─▶
             ▲        │ deny                 │                               └──────── fail ──────┴─▶ failed   completed
             └────────┴─▶ denied     code ran out: may be started again, as a denied session may

A session for a client secret goes another way, and is bound to the browser that entered one:

created ─ enter_secret ─▶ authorized ─ (Connections.store_secret) ─▶ completed
                            ▲    │ the same browser enters another
                            └────┘

A started session is bound to the browser that started it until the flow ends; then any browser may start it again.

Expiry is checked in every condition: DynamoDB deletes expired items days later.
"""

from dataclasses import dataclass
from typing import Any

from broker.adapters import rows
from broker.adapters.aws import AwsClient
from broker.adapters.dynamo import ConditionalUpdate, ConditionFailed, update
from broker.errors import AwsUnavailable
from broker.model import Host, Instant, Session, SessionId, SessionPurpose, Stage
from broker.policy import CONSENT_KEPT, DAY, REPEAT_LIFE

MAX_STARTS_PER_DAY = 20
"""How often one session may start for NinjaOne in a day (UTC), repetitions included: each sends one host check."""
MAX_FAILURES = 5
"""How many faulty callbacks of the session's own browser it survives."""

CODE_REMEMBERED = 3600
"""Seconds that a sent code is remembered; NinjaOne's live about a minute."""

_LIVE = "#expires_at > :now"
_FOR_CONSENT = "attribute_not_exists(#purpose)"
_FOR_SECRET = "#purpose = :client_secret"
_ENTERABLE = "#stage = :created OR (#stage = :authorized AND #cookie_hash = :cookie_held)"
_STARTABLE = "#stage IN (:created, :started, :denied) OR (#stage = :authorized AND #code_expires_at <= :now)"
_SAME_BROWSER = "#stage <> :started OR #cookie_hash = :cookie_held OR #flow_expires_at <= :now"
_NOT_UNDER_WAY = "#stage <> :started OR #form_digest <> :form_digest OR #started_at <= :repeated"
_FAILURES_LEFT = "#failures < :most"
_OWN_BROWSER = "#cookie_hash = :cookie_held"
_UNDER_WAY = (
    "#stage = :started AND #cookie_hash = :cookie_hash AND #form_digest = :form_digest AND #started_at > :repeated"
)
_HOST_OPEN = "attribute_not_exists(#fixed_host) OR #host = :host_wanted"
_CLIENT_KNOWN = "attribute_exists(#client) OR #customer_app = :customer_app"
_CLIENT_HELD = "attribute_exists(#client) AND #customer_app <> :customer_app"
_CLIENT_OPEN = "#customer_app = :customer_app AND attribute_not_exists(#fixed_client)"
_STATE_HELD = "#stage = :started AND #state_hash = :state_held AND #flow_expires_at > :now"
_CODE_FRESH = "#stage = :authorized AND #code_expires_at > :now"


@dataclass(frozen=True)
class Start:
    """What is stored when a browser starts for NinjaOne; state and cookie as SHA-256, the rest sealed or public.

    Attributes:
        flow_nonce: a random nonce from which, with the cookie, state and code verifier are derived again
        form_digest: HMAC, keyed by the cookie, of what the person chose in the form
        client: the customer's own client app, sealed, if it was entered just now
        offered: whether the operator has a client app on the chosen host
    """

    state_hash: str
    cookie_hash: str
    flow_nonce: str
    form_digest: str
    code_verifier: bytes
    flow_expires_at: Instant
    host: Host
    client_id: str
    client: bytes | None
    offered: bool


class Sessions:
    """The table of connect sessions."""

    def __init__(self, dynamodb: AwsClient, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table

    def put(self, session: Session) -> None:
        """Store a new session."""
        self._dynamodb.call(
            "put_item",
            TableName=self._table,
            Item=rows.session_item(session),
            ConditionExpression="attribute_not_exists(#session)",
            ExpressionAttributeNames={"#session": "session"},
        )

    def get(self, session: SessionId) -> Session | None:
        """Read a session as it is now."""
        answer = self._dynamodb.call("get_item", TableName=self._table, Key=_key(session), ConsistentRead=True)
        return rows.session(answer["Item"]) if "Item" in answer else None

    def start(self, session: SessionId, start: Start, now: Instant) -> Session | ConditionFailed:
        """Let one browser start for NinjaOne; its new state replaces the old one, which becomes invalid.

        Refused while the same browser has a flow with the same choice under way that it started within the last minute.
        """
        today = _starts(now)
        clauses = [_LIVE, _FOR_CONSENT, _STARTABLE, _SAME_BROWSER, _NOT_UNDER_WAY, _starts_left(today), _HOST_OPEN]
        clauses.append(_CLIENT_OPEN if start.client else _CLIENT_KNOWN if start.offered else _CLIENT_HELD)
        given = {
            "now": now,
            "repeated": now - REPEAT_LIFE,
            "created": Stage.CREATED.value,
            "denied": Stage.DENIED.value,
            "started": Stage.STARTED.value,
            "authorized": Stage.AUTHORIZED.value,
            "cookie_held": start.cookie_hash,
            "most": MAX_STARTS_PER_DAY,
            "host_wanted": start.host.name,
            "customer_app": start.client is not None,
        }
        change = {
            "stage": Stage.STARTED.value,
            "state_hash": start.state_hash,
            "cookie_hash": start.cookie_hash,
            "flow_nonce": start.flow_nonce,
            "form_digest": start.form_digest,
            "started_at": now,
            "code_verifier": start.code_verifier,
            "flow_expires_at": start.flow_expires_at,
            "region": start.host.region,
            "host": start.host.name,
            **({"client_id": start.client_id} if start.client_id else {}),
            **({"client": start.client} if start.client else {}),
        }
        return self._write(
            session, ConditionalUpdate.of(*clauses, given=given, set=change, add={today: 1}), mark="state_hash"
        )

    def start_again(self, session: SessionId, start: Start, now: Instant) -> Session | ConditionFailed:
        """Let the same browser start once more with the flow that it began a moment ago with the same choice."""
        today = _starts(now)
        given = {
            "now": now,
            "repeated": now - REPEAT_LIFE,
            "started": Stage.STARTED.value,
            "cookie_hash": start.cookie_hash,
            "form_digest": start.form_digest,
            "most": MAX_STARTS_PER_DAY,
        }
        write = ConditionalUpdate.of(_LIVE, _UNDER_WAY, _starts_left(today), given=given, add={today: 1})
        return self._write(session, write)

    def try_secret(self, session: SessionId, cookie_hash: str, now: Instant) -> Session | ConditionFailed:
        """Count an attempt to enter a client secret, and return the session that it is for.

        Args:
            cookie_hash: as in ``Start.cookie_hash``
        """
        today = _starts(now)
        write = ConditionalUpdate.of(
            _LIVE, _FOR_SECRET, _ENTERABLE, _starts_left(today),
            given=_entering(cookie_hash, now) | {"most": MAX_STARTS_PER_DAY}, add={today: 1},
        )  # fmt: skip
        return self._write(session, write)

    def enter_secret(
        self,
        session: SessionId,
        *,
        client: bytes,
        cookie_hash: str,
        ticket_hash: str,
        expires_at: Instant,
        now: Instant,
    ) -> Session | ConditionFailed:
        """Save a client secret, sealed, until the product completes; the browser that entered it may replace it.

        Args:
            expires_at: until when the secret waits for ``complete``
        """
        change = {
            "stage": Stage.AUTHORIZED.value,
            "client": client,
            "cookie_hash": cookie_hash,
            "ticket_hash": ticket_hash,
            "code_expires_at": expires_at,
            "authorized_at": now,
        }
        given = _entering(cookie_hash, now)
        return self._write(session, ConditionalUpdate.of(_LIVE, _FOR_SECRET, _ENTERABLE, given=given, set=change))

    def note_faulty_form(self, session: SessionId, cookie_hash: str, now: Instant) -> Session | ConditionFailed:
        """Count an unusable form and return the session, if the browser with this cookie could start it."""
        given = {
            "now": now,
            "created": Stage.CREATED.value,
            "denied": Stage.DENIED.value,
            "started": Stage.STARTED.value,
            "authorized": Stage.AUTHORIZED.value,
            "cookie_held": cookie_hash,
        }
        write = ConditionalUpdate.of(_LIVE, _STARTABLE, _SAME_BROWSER, given=given, add={"faulty_forms": 1})
        return self._write(session, write)

    def count_failure(self, session: SessionId, cookie_hash: str, now: Instant) -> Session | ConditionFailed:
        """Count a faulty callback of the session's own browser, up to ``MAX_FAILURES``.

        Args:
            cookie_hash: as in ``Start.cookie_hash``, so that nobody else can exhaust the session
        """
        given = {"now": now, "most": MAX_FAILURES, "cookie_held": cookie_hash}
        return self._write(
            session, ConditionalUpdate.of(_LIVE, _FAILURES_LEFT, _OWN_BROWSER, given=given, add={"failures": 1})
        )

    def authorize(
        self,
        session: SessionId,
        *,
        state_hash: str,
        code: bytes,
        code_expires_at: Instant,
        ticket_hash: str,
        now: Instant,
    ) -> Session | ConditionFailed:
        """Redeem the state, once, and store the sealed code; a repeated callback finds its own ticket and succeeds.

        See RFC 9700 §4.2.4.
        """
        change = {
            "stage": Stage.AUTHORIZED.value,
            "code": code,
            "code_expires_at": code_expires_at,
            "authorized_at": now,
            "ticket_hash": ticket_hash,
        }
        given = {"now": now, "started": Stage.STARTED.value, "state_held": state_hash}
        return self._write(session, ConditionalUpdate.of(_STATE_HELD, given=given, set=change), mark="ticket_hash")

    def deny(self, session: SessionId, *, state_hash: str, now: Instant) -> Session | ConditionFailed:
        """Redeem the state of a person who came back without a code; a repeated callback succeeds as well."""
        given = {"now": now, "started": Stage.STARTED.value, "state_held": state_hash}
        change = {"stage": Stage.DENIED.value}
        return self._write(session, ConditionalUpdate.of(_STATE_HELD, given=given, set=change), mark="stage")

    def begin_exchange(
        self, session: Session, exchange_id: str, *, now: Instant, until: Instant
    ) -> Session | ConditionFailed:
        """Take the stored code out, once: only the caller for whom this succeeds may send it.

        Args:
            exchange_id: random, and new for each attempt; a row that bears it was written by this very call
            until: the instant after which the process that took the code has certainly ended
        """
        given = {"now": now, "authorized": Stage.AUTHORIZED.value}
        change = {
            "stage": Stage.EXCHANGING.value,
            "exchange_id": exchange_id,
            "exchanging_until": until,
            "expires_at": max(session.expires_at, now + CONSENT_KEPT),
        }
        return self._write(
            session.session,
            ConditionalUpdate.of(_CODE_FRESH, given=given, set=change, remove=("code", "code_verifier")),
            mark="exchange_id",
        )

    def is_first_use(self, code: str, session: SessionId, now: Instant) -> bool:
        """Remember a code by its SHA-256; False if another session sent it before. Raises AwsError."""
        change = {"expires_at": now + CODE_REMEMBERED, "sent_by": session}
        key = {"session": {"S": f"code_{code}"}}
        write = ConditionalUpdate.of("attribute_not_exists(#session)", set=change)
        found = update(self._dynamodb, self._table, key, write)
        return not isinstance(found, ConditionFailed) or _own(found, write, "sent_by") is not None

    def save(self, session: SessionId, exchanged: bytes) -> Session:
        """Save what the code was exchanged for, sealed, until the connection is stored.

        Returns the session as it then is; one that was saved already, or even completed, is not changed. Raises
        ``AwsError``.
        """
        given = {"exchanging": Stage.EXCHANGING.value}
        change = {"stage": Stage.EXCHANGED.value, "exchanged": exchanged}
        return self._step(session, ConditionalUpdate.of("#stage = :exchanging", given=given, set=change))

    def fail(self, session: SessionId, stage: Stage, failure: str) -> Session:
        """End a session that makes no connection, and store why for later calls. Return it as it then is.

        Args:
            stage: the one that it must still be in
            failure: see ``Session.failure``

        Raises ``AwsError``.
        """
        change = {"stage": Stage.FAILED.value, "failure": failure}
        remove = ("client", "exchanged")
        write = ConditionalUpdate.of(
            "#stage = :stage_seen", given={"stage_seen": stage.value}, set=change, remove=remove
        )
        return self._step(session, write)

    def _step(self, session: SessionId, write: ConditionalUpdate) -> Session:
        """Take a step that only one state allows. Return the row, whether the step was taken here, before, or never."""
        found = update(self._dynamodb, self._table, _key(session), write)
        row = found.found if isinstance(found, ConditionFailed) else found
        if not row:
            raise AwsUnavailable  # deleted at this very moment, so nothing is stored: the next call finds nothing
        return rows.session(row)

    def _write(self, session: SessionId, write: ConditionalUpdate, *, mark: str = "") -> Session | ConditionFailed:
        """Take a step. A row that bears our own mark shows that we took it: the answer was lost and botocore retried.

        Args:
            mark: an attribute whose new value only this caller can have written
        """
        found = update(self._dynamodb, self._table, _key(session), write)
        if isinstance(found, ConditionFailed):
            own = _own(found, write, mark)
            return rows.session(own) if own else found
        return rows.session(found)


def _entering(cookie_hash: str, now: Instant) -> dict[str, Any]:
    return {
        "now": now,
        "client_secret": SessionPurpose.CLIENT_SECRET.value,
        "created": Stage.CREATED.value,
        "authorized": Stage.AUTHORIZED.value,
        "cookie_held": cookie_hash,
    }


def starts_left(row: rows.Item, now: Instant) -> bool:
    """Return whether a session may start for NinjaOne once more today."""
    return int(rows.plain(row).get(_starts(now), 0)) < MAX_STARTS_PER_DAY


def _starts(now: Instant) -> str:
    """Name the attribute that counts the starts of a day (UTC)."""
    return f"starts_{now // DAY}"


def _starts_left(today: str) -> str:
    return f"attribute_not_exists(#{today}) OR #{today} < :most"


def _own(refusal: ConditionFailed, write: ConditionalUpdate, mark: str) -> rows.Item | None:
    """Return the row that was found if it bears the mark of this very write, else None."""
    return refusal.found if mark and refusal.found.get(mark) == {"S": write.set[mark]} else None


def finish(table: str, session: SessionId, connection: str, *, after: Stage = Stage.EXCHANGED) -> dict[str, Any]:
    """Return the part of a transaction that completes a session together with its connection.

    Args:
        after: the stage that it must be in
    """
    write = ConditionalUpdate.of(
        "#stage = :stage_seen",
        given={"stage_seen": after.value},
        set={"stage": Stage.COMPLETED.value, "connection": connection},
        remove=("client", "exchanged"),
    )
    return {"Update": {"TableName": table, "Key": _key(session), **write.parameters()}}


def _key(session: SessionId) -> rows.Item:
    return {"session": {"S": session}}
