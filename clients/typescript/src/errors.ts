/**
 * All errors, grouped by who must act.
 *
 *     ConnectError
 *     ├── Problem               the broker answered, and said no: one class for each problem `type`
 *     │   ├── CallerError           the caller asked for something that can't be done
 *     │   ├── CustomerMustAct       the customer has to connect again
 *     │   ├── ClientAppError        whoever registered the client app at NinjaOne has to change it
 *     │   ├── Retryable             nobody: wait `retryAfter` seconds
 *     │   └── ServerFault           the operator of the broker
 *     ├── NotSent               the request never left: credentials, settings, network
 *     ├── Rejected              API Gateway did not let the request in
 *     ├── NoAnswer              the request went out, and no usable answer came back
 *     └── ListIncomplete        a list of NinjaOne's could not be read to its end
 *
 * A message says what to do. It never holds a token or the text of another library.
 */

export const PROBLEM_PREFIX = "urn:ninjaone-connect:problem:";

/** One thing that is wrong with a request: the field, and a sentence that says what to change. */
export interface Fault {
  readonly field: string;
  readonly message: string;
}

/** The base class: why a call has no result. */
export class ConnectError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** The members of a problem details object (RFC 9457) as this client reads them. */
export interface ProblemDetails {
  readonly type?: unknown;
  readonly title?: unknown;
  readonly detail?: unknown;
  readonly request_id?: unknown;
  readonly retry_after?: unknown;
  readonly faults?: unknown;
  readonly reason?: unknown;
  readonly held_by?: unknown;
  readonly cause?: unknown;
  readonly until?: unknown;
}

/** The broker answered with problem details. A `type` newer than this package is of this very class. */
export class Problem extends ConnectError {
  readonly status: number;
  /** What happened, for machines: a URN. */
  readonly type: string;
  /** What happened and what to do, for people. */
  readonly detail: string;
  /** What to look for in the broker's log. */
  readonly requestId: string;
  /** Seconds to wait before it is worth asking again. */
  readonly retryAfter: number | undefined;
  /** What is wrong with the request, field by field. */
  readonly faults: readonly Fault[];
  /** Why the connection needs its customer, where that is what happened. */
  readonly reason: string | undefined;

  constructor(status: number, body: ProblemDetails) {
    const faults = readFaults(body.faults);
    super(sentence(status, body, faults));
    this.status = status;
    this.type = text(body.type);
    this.detail = text(body.detail);
    this.requestId = text(body.request_id);
    this.retryAfter = typeof body.retry_after === "number" ? body.retry_after : undefined;
    this.faults = faults;
    this.reason = typeof body.reason === "string" ? body.reason : undefined;
  }
}

/** The caller asked for something that can't be done; the message says what to change. */
export class CallerError extends Problem {}
/** The customer has to connect again. */
export class CustomerMustAct extends Problem {}
/** Whoever registered the client app at NinjaOne has to change it: the customer for their own app, else the operator. */
export class ClientAppError extends Problem {}
/** Nobody has to act: wait `retryAfter` seconds, then ask again. */
export class Retryable extends Problem {}
/** The operator of the broker has to act. */
export class ServerFault extends Problem {}
/** Only the operator can fix it; waiting does not help. */
export class OperatorError extends ServerFault {}


/** The request breaks the contract; `faults` says where. */
export class InvalidRequest extends CallerError {}
/** `return_to` is not one of the keys that the operator listed. */
export class ReturnNotListed extends CallerError {}
/** There is no such connect session in this tenant: unknown, foreign and deleted look alike. */
export class UnknownSession extends CallerError {}
/** There is no such connection in this tenant: unknown, foreign and deleted look alike. */
export class UnknownConnection extends CallerError {}
/** The connect session has already been used: each makes one connection. */
export class SessionSpent extends CallerError {}
/** The person has already agreed; complete the session. */
export class AwaitingCompletion extends CallerError {}
/** The session, the flow at NinjaOne or the authorization code has expired. */
export class SessionExpired extends CallerError {}
/** The person has not come back from NinjaOne yet. */
export class NotAuthorized extends CallerError {}
/** There is no proof that the person who returned is the one who started. No token was requested. */
export class BindingMismatch extends CallerError {}
/** The link is in use in another browser. */
export class AnotherBrowser extends CallerError {}
/** A reconnect returned with another NinjaOne account. The connection was left unchanged. */
export class AccountMismatch extends CallerError {}
/** The connection was disconnected. */
export class NotActive extends CallerError {}
/** The connection waits for its approval. */
export class NotApproved extends CallerError {}
/** There is nothing to approve. */
export class NotPending extends CallerError {}
/** The request bypassed the operator's firewall; only people's browsers meet this. */
export class OriginUnverified extends CallerError {}
/** The operator's parameter ProxyPolicy does not allow this call of NinjaOne; the message names what it allows. */
export class CallRefused extends CallerError {}
/** More than 4 MB can't go through the broker: ask for smaller pages, or call NinjaOne with a token. */
export class TooLarge extends CallerError {}
/** Too many requests; wait `retryAfter` seconds. */
export class TooManyRequests extends CallerError {}

/** NinjaOne refuses the refresh token: open a connect session with `connection_id`, and the connection keeps its id. */
export class NeedsReauth extends CustomerMustAct {}
/** The person chose "Deny access". */
export class AccessDenied extends CustomerMustAct {}
/** NinjaOne did not accept the authorization code, which lives about a minute. */
export class CodeRefused extends CustomerMustAct {}
/** The tokens that NinjaOne issued for the code could not be stored: let the person start again. */
export class ConsentLost extends CustomerMustAct {}

/** There is no such client app on that NinjaOne host. */
export class UnknownClient extends ClientAppError {}
/** The client secret is wrong. */
export class WrongClientSecret extends ClientAppError {}
/** The app lacks the grant type, or is not of platform Web. */
export class GrantNotTicked extends ClientAppError {}
/** The app lacks a requested scope. */
export class InvalidScope extends ClientAppError {}
/** NinjaOne granted fewer scopes than requested. */
export class InsufficientScope extends ClientAppError {}
/** The app lacks the Refresh token grant. */
export class NoRefreshToken extends ClientAppError {}

/** NinjaOne can't be reached, or asks to come back later. */
export class ProviderDown extends Retryable {}
/** NinjaOne gave no usable answer. Nothing was stored; let the person start again. */
export class OutcomeUnknown extends Retryable {}
/** NinjaOne gave no answer to a call through the broker; unless it was a GET, it may have been carried out. */
export class CallUnanswered extends Retryable {}
/** NinjaOne answered a call through the broker with a page instead of JSON. */
export class NotJson extends Retryable {}
/** The access token has expired, and its refresh has not finished yet. */
export class NoTokenYet extends Retryable {}
/**
 * The access token has expired, and no refresh is attempted before `until`; `heldBy` and `cause` say what holds the
 * connection: its own last failure, NinjaOne's refusal of the client app that the customer registered (`customer_app`), or
 * the circuit breaker of its client app or host.
 */
export class ConnectionPaused extends Retryable {
  readonly heldBy: string;
  override readonly cause: string;
  /** Unix seconds; undefined while an open breaker tries one connection a minute. */
  readonly until: number | undefined;

  constructor(status: number, body: ProblemDetails) {
    super(status, body);
    this.heldBy = text(body.held_by);
    this.cause = text(body.cause);
    this.until = typeof body.until === "number" ? body.until : undefined;
  }
}
/** Another call is at work on the same thing. */
export class Busy extends Retryable {}
/** AWS does not answer the broker, or refuses for now. */
export class AwsUnavailable extends Retryable {}

/** A setting, a secret or a client app of the broker is missing or wrong. */
export class Misconfigured extends OperatorError {}
/** AWS refuses a call of the broker for a reason that waiting does not change: a missing right, a disabled key. */
export class AwsRefused extends OperatorError {}
/** NinjaOne answered in a way the broker does not know. */
export class UnexpectedAnswer extends ServerFault {}
/** A sealed value does not open. */
export class SealBroken extends ServerFault {}
/** The host of the connection is not NinjaOne's, or is not allowed any more. */
export class UntrustedHost extends ServerFault {}
/** A bug in the broker. */
export class InternalError extends ServerFault {}

/** The request never left; it may be made again. */
export class NotSent extends ConnectError {}
/** The AWS credential chain holds no credentials that can be used. */
export class NoCredentials extends NotSent {}
/** The AWS region of the API is not known. */
export class WrongRegion extends NotSent {}
/** An access token was about to go to a host that is not the connection's. */
export class WrongHost extends NotSent {}
/** Nothing answers at the address of the API. */
export class NotReached extends NotSent {
  /** Whether trying again may help; a certificate that is not trusted stays so. */
  readonly mayPass: boolean;

  constructor(message: string, mayPass = true) {
    super(message);
    this.mayPass = mayPass;
  }
}

/** Something in front of the broker refused; the broker was not asked. */
export class Rejected extends ConnectError {}
/** The clock of this machine is too far off for AWS to accept its signatures. */
export class ClockSkew extends Rejected {}
/** AWS does not accept the signature, or the identity behind it may not make this call. */
export class Forbidden extends Rejected {}
/** Something answered that is not the broker. */
export class NotTheBroker extends Rejected {}

/** The request went out and no usable answer came back: whether it was carried out is not known. */
export class NoAnswer extends ConnectError {}

/** A list of NinjaOne's could not be read to its end; what was read of it is not all. */
export class ListIncomplete extends ConnectError {
  /** The status of NinjaOne's answer, where there was one. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}
/** NinjaOne took a cursor back before the list was at its end; begin it anew. */
export class CursorExpired extends ListIncomplete {}
/** NinjaOne gave the same page again, so the list would never end. */
export class CursorRepeats extends ListIncomplete {}

type ProblemClass = new (status: number, body: ProblemDetails) => Problem;

/** The last part of a problem `type` → its class. */
export const PROBLEMS: Readonly<Record<string, ProblemClass>> = {
  "invalid-request": InvalidRequest,
  "return-not-listed": ReturnNotListed,
  "unknown-session": UnknownSession,
  "unknown-connection": UnknownConnection,
  "session-spent": SessionSpent,
  "awaiting-completion": AwaitingCompletion,
  "session-expired": SessionExpired,
  "not-authorized": NotAuthorized,
  "binding-mismatch": BindingMismatch,
  "another-browser": AnotherBrowser,
  "account-mismatch": AccountMismatch,
  "not-active": NotActive,
  "not-approved": NotApproved,
  "not-pending": NotPending,
  "origin-unverified": OriginUnverified,
  "call-refused": CallRefused,
  "too-large": TooLarge,
  "too-many-requests": TooManyRequests,
  "needs-reauth": NeedsReauth,
  "access-denied": AccessDenied,
  "code-refused": CodeRefused,
  "consent-lost": ConsentLost,
  "unknown-client": UnknownClient,
  "wrong-client-secret": WrongClientSecret,
  "grant-not-ticked": GrantNotTicked,
  "invalid-scope": InvalidScope,
  "insufficient-scope": InsufficientScope,
  "no-refresh-token": NoRefreshToken,
  "provider-down": ProviderDown,
  "outcome-unknown": OutcomeUnknown,
  "call-unanswered": CallUnanswered,
  "not-json": NotJson,
  "no-token-yet": NoTokenYet,
  "connection-paused": ConnectionPaused,
  "busy": Busy,
  "aws-unavailable": AwsUnavailable,
  "misconfigured": Misconfigured,
  "aws-refused": AwsRefused,
  "unexpected-answer": UnexpectedAnswer,
  "seal-broken": SealBroken,
  "untrusted-host": UntrustedHost,
  "internal-error": InternalError,
};

/** Make the error that problem details stand for. */
export function problem(status: number, body: ProblemDetails): Problem {
  const type = text(body.type);
  const slug = type.startsWith(PROBLEM_PREFIX) ? type.slice(PROBLEM_PREFIX.length) : "";
  const kind = Object.hasOwn(PROBLEMS, slug) ? PROBLEMS[slug] : undefined;
  return new (kind ?? Problem)(status, body);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function readFaults(value: unknown): readonly Fault[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((each: unknown) => {
    const { field, message } = (each ?? {}) as { field?: unknown; message?: unknown };
    return typeof field === "string" && typeof message === "string" ? [{ field, message }] : [];
  });
}

function sentence(status: number, body: ProblemDetails, faults: readonly Fault[]): string {
  const said = text(body.detail) || text(body.title) || `The broker answered ${status}.`;
  const details = faults.map((fault) => ` ${fault.field}: ${fault.message}`).join("");
  const reference = text(body.request_id);
  const seconds = typeof body.retry_after === "number" ? body.retry_after : 0;
  const wait = seconds > 0 ? ` Wait ${duration(seconds)} before the next try.` : "";
  return said + details + wait + (reference ? ` [${reference}]` : "");
}

/** Write how long to wait, rounded up. */
function duration(seconds: number): string {
  for (const [size, word] of [[3600, "hours"], [60, "minutes"]] as const) {
    if (seconds >= 2 * size) return `${Math.ceil(seconds / size)} ${word}`;
  }
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}
