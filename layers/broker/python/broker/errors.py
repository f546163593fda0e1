"""All errors, grouped by who must act: the caller, the customer, the owner of the client app, nobody, the operator.

BrokerError
├── CallerError             the caller: ask differently
│   ├── InvalidRequest      the request breaks the contract; names every fault at once
│   ├── ReturnNotListed     the return key is not on the operator's list
│   ├── UnknownSession      no such connect session in this tenant
│   ├── UnknownConnection   no such connection in this tenant
│   ├── SessionSpent        the connect session has already been used
│   ├── AwaitingCompletion  the person has already agreed; the product has to complete
│   ├── SessionExpired      the session, the flow at NinjaOne or the authorization code has expired
│   ├── NotAuthorized       the person has not come back from NinjaOne yet
│   ├── BindingMismatch     no proof that the person who completes is the one who began
│   ├── AnotherBrowser      the link is in use in another browser
│   ├── AccountMismatch     a reconnect returned with another NinjaOne account
│   ├── NotActive           the connection was disconnected
│   ├── NotApproved         the connection waits for its approval
│   ├── NotPending          there is nothing to approve
│   ├── OriginUnverified    the request bypassed the firewall
│   ├── CallRefused         the operator's policy does not allow this call of NinjaOne
│   ├── TooLarge            a body, or an answer of NinjaOne's, is too large to forward
│   └── TooManyRequests     slow down; says for how long
├── CustomerMustAct         the customer: connect again
│   ├── NeedsReauth         NinjaOne no longer accepts the refresh token; says why
│   ├── AccessDenied        the person chose "Deny access"
│   ├── CodeRefused         NinjaOne did not accept the authorization code
│   └── ConsentLost         the tokens that NinjaOne issued for the code could not be stored
├── ClientAppError          whoever registered the client app at NinjaOne: the customer for their own, else the operator
│   ├── UnknownClient       no such client app on that host
│   ├── WrongClientSecret   the client secret is wrong
│   ├── GrantNotTicked      the app lacks the grant type, or is not of platform Web
│   ├── InvalidScope        the app lacks a requested scope
│   ├── InsufficientScope   NinjaOne granted fewer scopes than requested
│   └── NoRefreshToken      the app lacks the Refresh token grant
├── Retryable               nobody: wait
│   ├── ProviderDown        NinjaOne can't be reached, or asks to come back later
│   ├── OutcomeUnknown      the request was sent and no usable answer came back
│   ├── CallUnanswered      NinjaOne gave no answer to a forwarded call
│   ├── NotJson             NinjaOne answered with a page instead of JSON
│   ├── NoTokenYet          the stored access token has expired, and its refresh has not finished
│   ├── ConnectionPaused    … and no refresh is attempted before a time that the error names
│   ├── Busy                another call is at work on the same thing, or the time of this one is up
│   └── AwsUnavailable      AWS does not answer, or refuses for now
├── AwsError                either way in which a call to AWS ends badly: AwsUnavailable, or AwsRefused below
└── ServerFault             the operator
    ├── OperatorError       only the operator can fix it; waiting does not help
    │   ├── Misconfigured   a setting, a secret or a client app is missing or wrong
    │   └── AwsRefused      AWS refuses what the functions need
    ├── UnexpectedAnswer    NinjaOne answered outside RFC 6749 and outside docs/understand/ninjaone.md
    ├── SealBroken          a sealed value does not open
    ├── UntrustedHost       a row names a host that is not NinjaOne's
    └── InternalError       a bug

Messages are constants and identifiers: nothing that NinjaOne, a browser or another library wrote.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a request: the field, as a path, and a sentence that says what to change."""

    field: str
    message: str


class BrokerError(Exception):
    """A failure whose text may be shown and logged.

    Attributes:
        retry_after: seconds to wait before asking again
        return_to: the key of the return address of the session concerned; empty if none is known
    """

    detail = "Something went wrong."
    retry_after: int | None = None
    return_to = ""

    def __init__(self, detail: str | None = None, *, retry_after: int | None = None) -> None:
        self.detail = detail or type(self).detail
        self.retry_after = retry_after if retry_after is not None else type(self).retry_after
        super().__init__(self.detail)

    @classmethod
    def slug(cls) -> str:
        """Return the stable name of this error for machines, such as ``code-refused``."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()


class CallerError(BrokerError):
    """The caller must change the request."""


class CustomerMustAct(BrokerError):
    """The customer must connect again."""


class ClientAppError(BrokerError):
    """Whoever registered the client app must act.

    Args:
        customer_app: whether the customer registered it, so that the operator need not be alarmed
    """

    def __init__(self, *, customer_app: bool) -> None:
        self.customer_app = customer_app
        super().__init__()


class Retryable(BrokerError):
    """Nobody has to act: wait and retry."""

    retry_after = 5


class AwsError(BrokerError):
    """A call to AWS was not done, or it was done and its answer was lost.

    Whoever holds tokens or a consent catches this, not one of its two kinds: both are tried again until the deadline,
    and then the tokens are spilled. The kind decides what is logged, counted and answered, and nothing else.
    """


class ServerFault(BrokerError):
    """The operator must act."""


class OperatorError(ServerFault):
    """Only the operator can fix it; waiting does not help."""


class InvalidRequest(CallerError):
    """The request breaks the contract.

    Attributes:
        faults: everything that is wrong with it
    """

    detail = "The request has faults; each says what to change."

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__()


class ReturnNotListed(CallerError):
    """The return key is not on the operator's list."""

    detail = "return_to must be one of the keys that the operator listed in the parameter ReturnUrls."


class UnknownSession(CallerError):
    """No such connect session in this tenant: unknown, foreign and deleted look alike."""

    detail = "There is no such connect session in this tenant. Open a new one."


class UnknownConnection(CallerError):
    """No such connection in this tenant: unknown, foreign and deleted look alike."""

    detail = "There is no such connection in this tenant."


class SessionSpent(CallerError):
    """The connect session has already been used: each makes one connection."""

    detail = "This connect session has already been used. Open a new one."


class AwaitingCompletion(CallerError):
    """The person has already agreed; the product has to complete the session."""

    detail = "The person has already agreed at NinjaOne. Complete the session."


class SessionExpired(CallerError):
    """The session, the flow at NinjaOne or the authorization code has expired."""

    detail = "This connect session has expired. Open a new one, and complete it as soon as the person is back."


class NotAuthorized(CallerError):
    """The person has not come back from NinjaOne yet."""

    detail = "The person has not agreed at NinjaOne yet. Complete the session when they return with a ticket."


class BindingMismatch(CallerError):
    """There is no proof that the person who completes is the one who began."""

    detail = (
        "end_user_id, ticket and binding_verifier must be those of the person who opened this connect session. "
        "No token was requested. Let the person start again from your product."
    )


class AnotherBrowser(CallerError):
    """The link is in use in another browser."""

    detail = "This link is in use in another browser."


class AccountMismatch(CallerError):
    """A reconnect returned with another NinjaOne account."""

    detail = (
        "The NinjaOne account has no organization in common with the one this connection was made with. "
        "The connection was left unchanged. Connect again: with the right account, or with confirm_account_change."
    )


class NotActive(CallerError):
    """The connection was disconnected."""

    detail = "This connection is disconnected. Open a connect session to make a new one."


class NotApproved(CallerError):
    """The connection waits for its approval."""

    detail = "This connection waits for its approval. Check the NinjaOne account that it shows, then approve it."


class NotPending(CallerError):
    """There is nothing to approve."""

    detail = "This connection is not waiting for an approval."


class OriginUnverified(CallerError):
    """The request bypassed the firewall."""

    detail = "This address answers only requests that come through the operator's CloudFront distribution."


class CallRefused(CallerError):
    """The operator's policy does not allow this call of NinjaOne.

    Attributes:
        allowed: the rules that hold for this caller, as the operator wrote them
    """

    detail = "No rule of the operator's parameter ProxyPolicy allows this caller to make this call."

    def __init__(self, *allowed: str) -> None:
        super().__init__(f"{type(self).detail} Allowed are: {'; '.join(allowed)}." if allowed else None)


class TooLarge(CallerError):
    """A body, or an answer of NinjaOne's, is too large to forward."""

    detail = (
        "More than 4 MB can't be passed on. Ask for smaller pages, or for an access token, and call NinjaOne directly."
    )


class TooManyRequests(CallerError):
    """The caller sends too many requests."""

    detail = "Too many requests. Wait before the next one."
    retry_after = 60


class NeedsReauth(CustomerMustAct):
    """NinjaOne no longer accepts the refresh token.

    Args:
        reason: the value of a ``model.Reason``
    """

    detail = "NinjaOne no longer accepts this connection. Ask the customer to reconnect; the connection keeps its id."

    def __init__(self, reason: str, connection: str) -> None:
        self.reason = reason
        self.connection = connection
        super().__init__()


class AccessDenied(CustomerMustAct):
    """The person chose "Deny access"."""

    detail = "The person did not agree at NinjaOne. Nothing was connected. Open a new connect session to try again."


class CodeRefused(CustomerMustAct):
    """NinjaOne did not accept the authorization code."""

    detail = "NinjaOne did not accept the authorization code: it lives about a minute. Let the person start again."


class ConsentLost(CustomerMustAct):
    """The function was killed after sending the code and before the tokens were stored: no client can prevent that."""

    detail = (
        "The authorization code was sent, and what NinjaOne gave for it could not be kept. Let the person start again."
    )


class UnknownClient(ClientAppError):
    """No such client app on that host."""

    detail = (
        "NinjaOne knows no client app with this client id on this host. Check the region and the client id; "
        "an app exists only on the host where it was registered."
    )


class WrongClientSecret(ClientAppError):
    """The client secret is wrong."""

    detail = "NinjaOne refused the client secret. Enter the secret of this client app again, or generate a new one."


class GrantNotTicked(ClientAppError):
    """The app lacks the grant type, or is not of platform Web."""

    detail = (
        "The client app may not do this. In NinjaOne, its platform must be Web and both boxes "
        "Authorization code and Refresh token must be ticked."
    )


class InvalidScope(ClientAppError):
    """The app lacks a requested scope."""

    detail = "The client app lacks a scope that was requested. Tick the scope in NinjaOne, or request fewer scopes."


class InsufficientScope(ClientAppError):
    """NinjaOne granted fewer scopes than requested."""

    detail = "NinjaOne granted fewer scopes than were requested. Tick them in the client app, or request fewer scopes."


class NoRefreshToken(ClientAppError):
    """The app lacks the Refresh token grant."""

    detail = "NinjaOne gave no refresh token. Tick the Refresh token box of the client app, then connect again."


class ProviderDown(Retryable):
    """NinjaOne can't be reached, or asks to come back later."""

    detail = "NinjaOne can't be reached or is busy. Nothing is lost."
    retry_after = 30


class OutcomeUnknown(Retryable):
    """The request was sent and no usable answer came back."""

    detail = "NinjaOne gave no usable answer. Nothing was stored; let the person start again."


class CallUnanswered(Retryable):
    """NinjaOne gave no answer to a forwarded call, or one that broke off."""

    detail = (
        "NinjaOne gave no complete answer in time. A call that only reads can be repeated; after any other, check "
        "first whether NinjaOne carried it out."
    )


class NotJson(Retryable):
    """NinjaOne, or a proxy in front of it, answered with a page instead of JSON.

    Args:
        status: the HTTP status of that answer
    """

    def __init__(self, status: int = 200) -> None:
        super().__init__(
            f"NinjaOne answered {status} with a page instead of JSON. A call that only reads can be repeated; after "
            "any other, check first whether NinjaOne carried it out."
        )


class NoTokenYet(Retryable):
    """The stored access token has expired, and its refresh has not finished. The wait is short: callers keep asking."""

    detail = "The access token has expired and its refresh has not finished yet."
    retry_after = 2


class ConnectionPaused(Retryable):
    """The stored access token has expired, and no refresh is attempted before ``until``.

    Args:
        held_by: what holds the connection: the value of a ``flows.pause.HeldBy``
        cause: why, by its name in ``ninjaone.Outcome.code``
        until: Unix seconds; None while an open breaker tries one connection a minute
    """

    detail = "The access token has expired, and no refresh is attempted right now."
    retry_after = 60

    def __init__(
        self,
        detail: str | None = None,
        *,
        held_by: str = "connection",
        cause: str = "",
        until: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.held_by, self.cause, self.until = held_by, cause, until
        super().__init__(detail, retry_after=retry_after)


class Busy(Retryable):
    """Another call is at work on the same thing, or the time of this one is up. AWS has no part in it."""

    detail = "This can't be done right now."


class AwsUnavailable(Retryable, AwsError):
    """AWS does not answer, or refuses for now: it throttles, or is out of order."""

    detail = "AWS does not answer, or refuses for now."


class Misconfigured(OperatorError):
    """A setting, a secret or a client app is missing or wrong."""

    detail = "The operator's configuration is incomplete."


class AwsRefused(OperatorError, AwsError):
    """AWS refuses what the functions need, and will go on refusing until the operator changes something.

    Args:
        service, operation, code: what was refused and why, by AWS's names
    """

    detail = (
        "AWS refuses a call that this needs, and waiting does not help. "
        "The log event aws.refused tells the operator which call and why."
    )

    def __init__(self, service: str = "", operation: str = "", code: str = "") -> None:
        self.service, self.operation, self.code = service, operation, code
        super().__init__()


class UnexpectedAnswer(ServerFault):
    """NinjaOne answered outside RFC 6749 and outside docs/understand/ninjaone.md."""

    detail = "NinjaOne answered in a way that this version does not know."


class SealBroken(ServerFault):
    """A sealed value does not open: it was moved, changed, or sealed under another key."""

    detail = "A sealed value does not open."


class UntrustedHost(ServerFault):
    """A row names a host that is not NinjaOne's, or is no longer allowed: no token is sent there."""

    detail = "The host of this connection is not NinjaOne's, or is not allowed any more."


class InternalError(ServerFault):
    """A bug."""

    detail = "Something unexpected went wrong. The log has it under the request id."
