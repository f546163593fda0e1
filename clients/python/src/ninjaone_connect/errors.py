"""All errors, grouped by who must act.

ConnectError
├── Problem             the broker answered with problem details (RFC 9457): one class for each ``type``
│   ├── CallerError         the caller: ask differently
│   │   ├── InvalidRequest, ReturnNotListed, UnknownSession, UnknownConnection, SessionSpent, AwaitingCompletion,
│   │   └── SessionExpired, NotAuthorized, BindingMismatch, AnotherBrowser, AccountMismatch, NotActive, NotApproved,
│   │       NotPending, OriginUnverified, CallRefused, TooLarge, TooManyRequests
│   ├── CustomerMustAct     the customer: connect again
│   │   └── NeedsReauth, AccessDenied, CodeRefused, ConsentLost
│   ├── ClientAppError      whoever registered the client app at NinjaOne
│   │   └── UnknownClient, WrongClientSecret, GrantNotTicked, InvalidScope, InsufficientScope, NoRefreshToken
│   ├── Retryable           nobody: wait ``retry_after`` seconds
│   │   └── ProviderDown, OutcomeUnknown, CallUnanswered, NotJson, NoTokenYet, ConnectionPaused,
│   │       Busy, AwsUnavailable
│   └── ServerFault         the operator of the broker
│       ├── OperatorError       only the operator can fix it: Misconfigured, AwsRefused
│       └── UnexpectedAnswer, SealBroken, UntrustedHost, InternalError
├── NotSent             the request never left: AWS credentials, settings, network
│   ├── NoCredentials       there are none
│   ├── LoginExpired        the login that they come from has expired
│   ├── WrongRegion         the API is in another AWS region, or in an unknown one
│   ├── WrongHost           an access token was about to go where it does not belong
│   ├── BadSetting          a proxy, a certificate file or an AWS variable of the environment can't be used
│   ├── Distrusted          the certificate shown for the address is not trusted here
│   └── NotReached          nothing listens at the address
├── Rejected            API Gateway refused the request before the broker saw it
│   ├── ClockSkew           this machine's clock is off
│   ├── Forbidden           the signature or the identity behind it
│   └── NotTheBroker        something else answered
├── NoAnswer            the request was sent, and no usable answer came back: it may have been carried out
└── ListIncomplete      a list of NinjaOne's could not be read to its end: CursorExpired, CursorRepeats

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
    """The base class: why a call has no result."""


# ---- The broker said no ----------------------------------------------------------------------------------------------


class Problem(ConnectError):
    """The broker answered with problem details (RFC 9457). A ``type`` newer than this package arrives as this class.

    Attributes:
        type: what happened, for machines
        detail: what happened and what to do, for people
        request_id: what to look for in the broker's log
        retry_after: seconds to wait before asking again
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.status = status
        self.type = str(body.get("type", ""))
        self.title = str(body.get("title", ""))
        self.detail = str(body.get("detail", ""))
        self.request_id = str(body.get("request_id", ""))
        retry_after = body.get("retry_after")
        self.retry_after: int | None = retry_after if isinstance(retry_after, int) else None
        wait = f" Wait {duration(self.retry_after)} before the next try." if self.retry_after else ""
        super().__init__(self._sentence(body) + wait + (f" [{self.request_id}]" if self.request_id else ""))

    def _sentence(self, _body: Mapping[str, Any]) -> str:
        return self.detail or self.title or f"The broker answered {self.status}."


class CallerError(Problem):
    """The caller must ask differently."""


class CustomerMustAct(Problem):
    """The customer must connect again."""


class ClientAppError(Problem):
    """Whoever registered the client app at NinjaOne must act: the customer for their own, else the operator."""


class Retryable(Problem):
    """Nobody must act: try again later."""


class ServerFault(Problem):
    """The operator of the broker must act."""


class InvalidRequest(CallerError):
    """The request breaks the contract.

    Attributes:
        faults: everything that is wrong with it
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.faults = tuple(Fault(str(each["field"]), str(each["message"])) for each in body.get("faults", ()))
        super().__init__(status, body)

    def _sentence(self, body: Mapping[str, Any]) -> str:
        return " ".join([super()._sentence(body), *(f"{fault.field}: {fault.message}" for fault in self.faults)])


class ReturnNotListed(CallerError):
    """``return_to`` is not a key of the operator's list."""


class UnknownSession(CallerError):
    """No such connect session in this tenant: unknown, foreign and deleted look alike."""


class UnknownConnection(CallerError):
    """No such connection in this tenant: unknown, foreign and deleted look alike."""


class SessionSpent(CallerError):
    """The connect session has already been used: each makes one connection."""


class AwaitingCompletion(CallerError):
    """The person has already agreed; complete the session."""


class SessionExpired(CallerError):
    """The session, the flow at NinjaOne or the authorization code has expired."""


class NotAuthorized(CallerError):
    """The person has not come back from NinjaOne yet."""


class BindingMismatch(CallerError):
    """There is no proof that the person who completes is the one who began. No token was requested."""


class AnotherBrowser(CallerError):
    """The link is in use in another browser."""


class AccountMismatch(CallerError):
    """A reconnect returned with another NinjaOne account. The connection was left unchanged."""


class NotActive(CallerError):
    """The connection was disconnected."""


class NotApproved(CallerError):
    """The connection waits for its approval."""


class NotPending(CallerError):
    """There is nothing to approve."""


class OriginUnverified(CallerError):
    """The request bypassed the operator's firewall: only people's browsers meet this."""


class CallRefused(CallerError):
    """The operator's parameter ProxyPolicy does not allow this call of NinjaOne; the message names what it allows."""


class TooLarge(CallerError):
    """More than 4 MB can't go through the broker: ask for smaller pages, or call NinjaOne with a token."""


class TooManyRequests(CallerError):
    """Too many requests; wait ``retry_after`` seconds."""


class NeedsReauth(CustomerMustAct):
    """The connection needs its customer: open a connect session with ``connection_id`` and send them there.

    Attributes:
        reason: revoked, lost_in_rotation, consent_ended or scope_withdrawn
        connection_id: keeps its id through the reconnect
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        self.reason = str(body.get("reason", ""))
        self.connection_id = str(body.get("reconnect", {}).get("connection_id", ""))
        super().__init__(status, body)


class AccessDenied(CustomerMustAct):
    """The person chose "Deny access"."""


class CodeRefused(CustomerMustAct):
    """NinjaOne did not accept the authorization code: it lives about a minute."""


class ConsentLost(CustomerMustAct):
    """The tokens that NinjaOne issued for the code could not be stored: let the person start again."""


class UnknownClient(ClientAppError):
    """No such client app on that NinjaOne host."""


class WrongClientSecret(ClientAppError):
    """The client secret is wrong."""


class GrantNotTicked(ClientAppError):
    """The app lacks the grant type, or is not of platform Web."""


class InvalidScope(ClientAppError):
    """The app lacks a requested scope."""


class InsufficientScope(ClientAppError):
    """NinjaOne granted fewer scopes than requested."""


class NoRefreshToken(ClientAppError):
    """The app lacks the Refresh token grant."""


class ProviderDown(Retryable):
    """NinjaOne can't be reached, or asks to come back later."""


class OutcomeUnknown(Retryable):
    """NinjaOne gave no usable answer. Nothing was stored; let the person start again."""


class CallUnanswered(Retryable):
    """NinjaOne gave no answer to a call through the broker; unless it was a GET, it may have been carried out."""


class NotJson(Retryable):
    """NinjaOne answered a call through the broker with a page instead of JSON."""


class NoTokenYet(Retryable):
    """The stored access token has expired, and its refresh has not finished."""


class ConnectionPaused(Retryable):
    """The stored access token has expired, and no refresh is attempted before ``until``.

    Attributes:
        held_by: connection (its own last failure), customer_app (NinjaOne refuses the app that the customer
            registered), client_app or host (a circuit breaker)
        cause: of that failure, by name; with customer_app, ``invalid_client`` is a refused secret
        until: Unix seconds; None while an open breaker tries one connection a minute
    """

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status, body)
        self.held_by, self.cause = str(body.get("held_by", "")), str(body.get("cause", ""))
        self.until: int | None = body.get("until")


class Busy(Retryable):
    """Another call is at work on the same thing."""


class AwsUnavailable(Retryable):
    """AWS does not answer the broker, or refuses for now."""


class OperatorError(ServerFault):
    """Only the operator can fix it; waiting does not help."""


class Misconfigured(OperatorError):
    """A setting, a secret or a client app of the broker is missing or wrong."""


class AwsRefused(OperatorError):
    """AWS refuses what the broker needs; waiting does not help, the operator has to change something."""


class UnexpectedAnswer(ServerFault):
    """NinjaOne answered in a way the broker does not know."""


class SealBroken(ServerFault):
    """A sealed value does not open."""


class UntrustedHost(ServerFault):
    """The host of the connection is not NinjaOne's, or is not allowed any more."""


class InternalError(ServerFault):
    """A bug in the broker."""


# ---- The broker was never asked, or never heard ----------------------------------------------------------------------


class NotSent(ConnectError):
    """The request never left; it may be made again."""


class NoCredentials(NotSent):
    """The usual AWS credential chain holds no credentials that can be used."""


class LoginExpired(NotSent):
    """The login that the AWS credentials come from has expired."""


class WrongRegion(NotSent):
    """The API is in another AWS region than the one named, or in an unknown one."""


class WrongHost(NotSent):
    """An access token was about to go to a host that is not the connection's."""


class BadSetting(NotSent):
    """A variable of the environment can't be used as it is; the message names it, and never shows a secret."""


class Distrusted(NotSent):
    """The certificate shown for the API's address is not trusted here; trying again does not change that."""


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


class ListIncomplete(ConnectError):
    """A list of NinjaOne's could not be read to its end; what was read of it is not all.

    Args:
        status: of NinjaOne's answer, where there was one
    """

    def __init__(self, message: str, status: int | None) -> None:
        self.status = status
        super().__init__(message)


class CursorExpired(ListIncomplete):
    """NinjaOne took a cursor back before the list was at its end; begin it anew."""


class CursorRepeats(ListIncomplete):
    """NinjaOne gave the same page again, so the list would never end."""


def duration(seconds: int) -> str:
    """Write how long to wait, rounded up."""
    for size, word in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{-(-seconds // size)} {word}"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


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
