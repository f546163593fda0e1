"""Exchange an authorization code for tokens, once, and read which account they belong to."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice

from broker import ninjaone, oauth, policy
from broker.adapters.clock import Clock, instant
from broker.adapters.http import HttpClient
from broker.adapters.log import Log
from broker.errors import (
    BrokerError,
    CodeRefused,
    GrantNotTicked,
    InsufficientScope,
    InvalidScope,
    NoRefreshToken,
    OutcomeUnknown,
    ProviderDown,
    SessionSpent,
    UnexpectedAnswer,
    UnknownClient,
    WrongClientSecret,
)
from broker.model import Client, Host, Organization, Session, Tokens
from broker.ninjaone import OFFLINE_ACCESS, Meaning, Outcome
from broker.secret import Secret
from broker.text import without_unsafe

ORGANIZATIONS_KEPT, ORGANIZATIONS_READ = 20, 1000
ORGANIZATIONS_LIMIT = 1_048_576
"""Bytes of the list of organizations that are read: descriptions may be long, and the list identifies an account."""

_BEGIN, _SEPARATOR, _EMPTY = (re.compile(pattern) for pattern in (r"\s*\[\s*", r"\s*,\s*", r"\s*\[\s*\]"))
_ID = re.compile(r"(-?[0-9]{1,18})(?:\.0)?")


class Exchange:
    """Calls NinjaOne's token endpoint while the person is present and can start again."""

    def __init__(self, web: Callable[[], HttpClient], clock: Clock, log: Log) -> None:
        self._web, self._clock, self._log = web, clock, log

    def __call__(self, session: Session, client: Client, code: Secret, code_verifier: Secret) -> Tokens:
        """Send the code once, whatever the outcome: NinjaOne may revoke the tokens of a code that is sent twice.

        Raises:
            ClientAppError, CodeRefused, ProviderDown, OutcomeUnknown, UnexpectedAnswer

        See RFC 6749 §4.1.2, §4.1.3, §5.
        """
        if session.host is None:
            raise SessionSpent
        redirect_uri = session.redirect_uri(session.host.region)
        form = oauth.code_grant(client, code=code, redirect_uri=redirect_uri, code_verifier=code_verifier)
        with self._web() as web:
            sent_at = instant(self._clock)
            answer = web.post(ninjaone.token_endpoint(session.host), form, timeout=policy.EXCHANGE_TIMEOUT)
            outcome = ninjaone.classify(answer, sent_at)
            self._log.event("code.sent", session=session.session, meaning=outcome.meaning.value, code=outcome.code)
            return _tokens(outcome, client, session.scopes)

    def organizations(self, host: Host, access: Secret) -> tuple[Organization, ...] | None:
        """Read the account's organizations.

        Returns:
            the organizations; none if NinjaOne refuses, because the person's role may not list them; None if NinjaOne
            gave no answer, or one that is not a list
        """
        url = f"{ninjaone.api_base_url(host)}/v2/organizations?pageSize={ORGANIZATIONS_KEPT}"
        bearer = {"Authorization": f"Bearer {access.reveal()}"}
        with self._web() as web:
            answer = web.get(url, timeout=policy.ORGANIZATIONS_TIMEOUT, headers=bearer, limit=ORGANIZATIONS_LIMIT)
        if isinstance(answer, oauth.Reply) and answer.status in {401, 403}:
            return ()
        if not isinstance(answer, oauth.Reply) or answer.status != 200:
            return None
        return _read_organizations(answer.body)


_DECLINED: dict[str, Callable[[bool], BrokerError]] = {
    ninjaone.UNKNOWN_CLIENT: lambda customer_app: UnknownClient(customer_app=customer_app),
    "invalid_client": lambda customer_app: WrongClientSecret(customer_app=customer_app),
    "unauthorized_client": lambda customer_app: GrantNotTicked(customer_app=customer_app),
    "unsupported_grant_type": lambda customer_app: GrantNotTicked(customer_app=customer_app),
    "invalid_scope": lambda customer_app: InvalidScope(customer_app=customer_app),
}


def _tokens(outcome: Outcome, client: Client, wanted: frozenset[str]) -> Tokens:
    """Return the tokens, or raise what the answer means for a person who can start again."""
    if outcome.tokens is None:
        raise _refusal(outcome, client)
    if outcome.tokens.refresh is None:
        raise NoRefreshToken(customer_app=client.customer_app)
    granted = outcome.tokens.scopes
    if granted and wanted - {OFFLINE_ACCESS} - granted:
        raise InsufficientScope(customer_app=client.customer_app)
    return outcome.tokens


def _refusal(outcome: Outcome, client: Client) -> BrokerError:
    if outcome.meaning is Meaning.DEAD:
        return CodeRefused()
    if outcome.meaning is Meaning.CONFIG:
        declined = _DECLINED.get(outcome.code)
        return declined(client.customer_app) if declined else UnexpectedAnswer()
    if outcome.meaning is Meaning.AMBIGUOUS:
        return OutcomeUnknown()
    return ProviderDown(retry_after=outcome.retry_after)


def _read_organizations(body: bytes) -> tuple[Organization, ...] | None:
    """Read an array of organizations without its malformed entries; None if it is no array or its first entry is cut.

    An entry without a name is left out too: ids begin at 1 in every account, so its id alone would match any account.
    """
    text = oauth.json_text(body)
    entries = list(islice(_elements(text), ORGANIZATIONS_READ))
    if not entries and not _EMPTY.match(text):
        return None
    found = dict.fromkeys(filter(None, map(_organization, entries)))
    return tuple(islice(found, ORGANIZATIONS_KEPT))


def _organization(entry: object) -> Organization | None:
    """Read an entry, without unsafe characters in its name. An id may be a number or its text."""
    if not isinstance(entry, dict):
        return None
    told, name = entry.get("id"), without_unsafe(str(entry.get("name") or "")).strip()[:80]
    number = _ID.fullmatch(str(told)) if isinstance(told, int | float | str) else None
    return Organization(int(number[1]), name) if number and name else None


def _elements(text: str) -> Iterator[object]:
    """Read an array element by element, up to where it ends or was cut off: a long answer is not an empty one."""
    read, at = json.JSONDecoder(strict=False, parse_int=oauth.integer).raw_decode, 0
    while gap := (_SEPARATOR if at else _BEGIN).match(text, at):
        try:
            element, at = read(text, gap.end())
        except (ValueError, RecursionError):
            return
        yield element
