"""Every failure, by whose turn it is.

ConnectError
├── Problem             the broker answered, and said no: one class for each problem ``type``
│   ├── Refused             the caller: ask differently
│   │   ├── InvalidRequest, ReturnNotListed, UnknownSession, UnknownConnection, SessionSpent, SessionInHand,
│   │   └── SessionExpired, NotAuthorized, BindingMismatch, AnotherBrowser, AccountMismatch, NotActive, NotApproved,
│   │       NotPending, OriginUnverified, TooManyRequests
│   ├── Gone                the customer: connect again
│   │   └── NeedsReauth, AccessDenied, CodeRefused
│   ├── Declined            whoever registered the client app at NinjaOne
│   │   └── UnknownClient, WrongClientSecret, GrantNotTicked, InvalidScope, InsufficientScope, NoRefreshToken
│   ├── Later               nobody: wait ``retry_after`` seconds
│   │   └── ProviderDown, OutcomeUnknown, NoTokenYet, Busy
│   └── Broken              the operator of the broker
│       └── Misconfigured, AwsRefused, ProviderSurprise, SealBroken, Unforeseen
├── NotSent             the request never left: AWS credentials, settings, network
│   ├── NoCredentials       there are none
│   ├── LoginExpired        the login they come from ran out
│   ├── WrongRegion         the API is in another AWS region, or in an unknown one
│   ├── WrongHost           an access token was about to go where it does not belong
│   └── NotReached          nothing listens at the address
├── Rejected            API Gateway let the request in to nobody
│   ├── ClockSkew           this machine's clock is off
│   ├── Forbidden           the signature or the identity behind it
│   └── NotTheBroker        something else answered
└── NoAnswer            the request went out, and no answer came that counts

A message says what to do, and never holds a token or another library's text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX = "urn:ninjaone-connect:problem:"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a request: the field, and a sentence that says what to change."""

    field: str
    message: str


class ConnectError(Exception):
    """Whatever keeps a call from its answer."""


# ---- The broker said no ----------------------------------------------------------------------------------------------


class Problem(ConnectError):
    """The broker answered with problem details (RFC 9457). A ``type`` newer than this package is of this very class.

    type         what happened, for machines
    detail       what happened and what to do, for people
    request_id   what to look for in the broker's log
    retry_after  seconds to wait before it is worth asking again
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.type = str(body.get("type", ""))
        self.title = str(body.get("title", ""))
        self.detail = str(body.get("detail", ""))
        self.request_id = str(body.get("request_id", ""))
        retry_after = body.get("retry_after")
        self.retry_after: int | None = retry_after if isinstance(retry_after, int) else None
        super().__init__(f"{self._sentence(body)} [{self.request_id}]" if self.request_id else self._sentence(body))

    def _sentence(self, _body: Mapping[str, Any]) -> str:
        return self.detail or self.title or f"The broker answered {self.status}."


class Refused(Problem):
    """The caller's turn: ask differently."""


class Gone(Problem):
    """The customer's turn: connect again."""


class Declined(Problem):
    """The turn of whoever registered the client app at NinjaOne: the customer for their own, else the operator."""


class Later(Problem):
    """Nobody's turn: wait."""


class Broken(Problem):
    """The operator's turn."""


class InvalidRequest(Refused):
    """The request breaks the contract.

    faults   all that is wrong with it
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.faults = tuple(Fault(str(each["field"]), str(each["message"])) for each in body.get("faults", ()))
        super().__init__(status, body)

    def _sentence(self, body: Mapping[str, Any]) -> str:
        return " ".join([super()._sentence(body), *(f"{fault.field}: {fault.message}" for fault in self.faults)])


class ReturnNotListed(Refused):
    """``return_to`` is not a key of the operator's list."""


class UnknownSession(Refused):
    """No such connect session in this tenant: unknown, foreign and deleted look alike."""


class UnknownConnection(Refused):
    """No such connection in this tenant: unknown, foreign and deleted look alike."""


class SessionSpent(Refused):
    """A connect session is good for one connection, and this one was used."""


class SessionInHand(Refused):
    """The person agreed already; complete the session."""


class SessionExpired(Refused):
    """The session, the way to NinjaOne or the authorization code ran out."""


class NotAuthorized(Refused):
    """The person has not come back from NinjaOne yet."""


class BindingMismatch(Refused):
    """The person who ends is not proved to be the one who began. No token was requested."""


class AnotherBrowser(Refused):
    """The link is in use in another browser."""


class AccountMismatch(Refused):
    """A reconnect came back with another NinjaOne account. What was held is kept."""


class NotActive(Refused):
    """The connection was disconnected."""


class NotApproved(Refused):
    """The connection waits for its approval."""


class NotPending(Refused):
    """There is nothing to approve."""


class OriginUnverified(Refused):
    """The request went around the operator's firewall: only people's browsers meet this."""


class TooManyRequests(Refused):
    """Slow down; ``retry_after`` says for how long."""


class NeedsReauth(Gone):
    """The connection needs its customer: open a connect session with ``connection`` and send them there.

    reason       revoked, lost_in_rotation, consent_ended or scope_withdrawn
    connection   keeps its id through the reconnect
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.reason = str(body.get("reason", ""))
        self.connection = str(body.get("reconnect", {}).get("connection", ""))
        super().__init__(status, body)


class AccessDenied(Gone):
    """The person chose "Deny access"."""


class CodeRefused(Gone):
    """NinjaOne did not take the authorization code: it lives about a minute."""


class UnknownClient(Declined):
    """No such client app on that NinjaOne host."""


class WrongClientSecret(Declined):
    """The client secret is not the app's."""


class GrantNotTicked(Declined):
    """The app lacks the grant type, or is not of platform Web."""


class InvalidScope(Declined):
    """The app lacks a scope that was asked for."""


class InsufficientScope(Declined):
    """NinjaOne granted less than was asked for."""


class NoRefreshToken(Declined):
    """The app lacks the Refresh token grant."""


class ProviderDown(Later):
    """NinjaOne can't be reached, or says to come back."""


class OutcomeUnknown(Later):
    """NinjaOne gave no answer that counts. Nothing was stored; let the person start again."""


class NoTokenYet(Later):
    """The held access token ended, and its refresh is not through."""


class Busy(Later):
    """AWS refuses for now, or another call is at work on the same thing."""


class Misconfigured(Broken):
    """A setting, a secret or a client app of the broker is missing or wrong."""


class AwsRefused(Broken):
    """AWS refuses what the broker needs; waiting does not help, its operator has to change something."""


class ProviderSurprise(Broken):
    """NinjaOne answered in a way the broker does not know."""


class SealBroken(Broken):
    """A sealed value does not open."""


class Unforeseen(Broken):
    """A bug in the broker."""


# ---- The broker was never asked, or never heard ----------------------------------------------------------------------


class NotSent(ConnectError):
    """The request never left; it may be made again."""


class NoCredentials(NotSent):
    """The usual AWS credential chain holds no credentials that can be used."""


class LoginExpired(NotSent):
    """The login that the AWS credentials come from ran out."""


class WrongRegion(NotSent):
    """The API is in another AWS region than the one named, or in an unknown one."""


class WrongHost(NotSent):
    """An access token was about to go to a host that is not the connection's."""


class NotReached(NotSent):
    """Nothing listens at the API's address."""


class Rejected(ConnectError):
    """Something in front of the broker said no; the broker was not asked."""


class ClockSkew(Rejected):
    """This machine's clock is too far off for AWS to take its signatures."""


class Forbidden(Rejected):
    """AWS does not take the signature, or the identity behind it may not make this call."""


class NotTheBroker(Rejected):
    """Something answered that is not the broker."""


class NoAnswer(ConnectError):
    """The request went out, and no answer came that counts: whether it was carried out is not known."""


def _kinds(family: type[Problem]) -> dict[str, type[Problem]]:
    below = {slug: kind for child in family.__subclasses__() for slug, kind in _kinds(child).items()}
    return below | {_slug(family): family}


def _slug(kind: type[Problem]) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).lstrip("-")


BY_TYPE = {PREFIX + slug: kind for slug, kind in _kinds(Problem).items()}
"""Problem ``type`` → its class."""


def problem(status: int, body: Mapping[str, Any]) -> Problem:
    """Make the error that problem details stand for."""
    return BY_TYPE.get(str(body.get("type")), Problem)(status, body)
