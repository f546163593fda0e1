/** One call of the API: sent, judged, and sent again only where that is safe. */

import {
  ClockSkew,
  ConnectError,
  Forbidden,
  NoAnswer,
  NotReached,
  NotTheBroker,
  Retryable,
  TooLarge,
  TooManyRequests,
  problem,
} from "./errors.ts";
import type { Signer } from "./signing.ts";
import { isTlsFailure, whyUnreached } from "./environment.ts";

/** What to send, and whether sending it twice does what sending it once does. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly repeatable: boolean;
}

const MOST_TRIES = 20;
const FIRST_WAIT = 0.2;
const LONGEST_WAIT = 5;
/** API Gateway stops waiting after 30 seconds, and answers so. */
const TIMEOUT_MS = 35_000;
/** Seconds; AWS refuses signatures that are off by more than 300. */
const LARGEST_SKEW = 240;
/** What Node says when a connection was never made, so that nothing was sent. */
const NEVER_SENT = new Set([
  "ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT",
]);

/** The tries of one call, within `maxWait` seconds of waiting between them. */
export class Attempts {
  #call: Call;
  #signer: Signer;
  #fetch: typeof fetch;
  #waitLeft: number;

  constructor(call: Call, signer: Signer, fetcher: typeof fetch, maxWait: number) {
    this.#call = call;
    this.#signer = signer;
    this.#fetch = fetcher;
    this.#waitLeft = maxWait;
  }

  async run<T>(): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return (await this.#once()) as T;
      } catch (error) {
        const wait = this.#waitAfter(error, tried);
        if (wait === undefined || wait > this.#waitLeft || tried >= MOST_TRIES) throw error;
        this.#waitLeft -= wait;
        await new Promise((resolve) => setTimeout(resolve, wait * 1000));
      }
    }
  }

  /** Say how many seconds to wait before the call may be sent again; undefined where it may not. */
  #waitAfter(error: unknown, tried: number): number | undefined {
    if (!this.#call.repeatable && !(error instanceof NotReached)) return undefined;
    if (error instanceof NotReached && !error.mayPass) return undefined;
    const mayPass = [Retryable, TooManyRequests, NotReached, NoAnswer].some((kind) => error instanceof kind);
    if (!mayPass) return undefined;
    const named = error instanceof Retryable || error instanceof TooManyRequests ? error.retryAfter : undefined;
    const spread = 0.5 + Math.random(); // keeps callers apart; nothing secret
    return named ?? Math.min(FIRST_WAIT * 2 ** (tried - 1), LONGEST_WAIT) * spread;
  }

  async #once(): Promise<unknown> {
    const body = this.#call.body === undefined ? undefined : JSON.stringify(this.#call.body);
    const request = await this.#signer.sign(this.#call.method, this.#call.path, body);
    let response: Response;
    let text: string;
    try {
      response = await this.#fetch(request, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      text = await response.text();
    } catch (error) {
      throw this.unanswered(error);
    }
    return this.read(response, text);
  }

  /** Read an answer, or throw what it says. */
  read(response: Response, text: string): unknown {
    const body = jsonObject(text);
    if (response.headers.get("content-type")?.startsWith("application/problem+json")) {
      throw problem(response.status, body ?? {});
    }
    if (!response.ok) throw this.#ofGateway(response);
    if (body === undefined) throw this.#notTheBroker(response.status);
    return body;
  }

  /** Say what it means that there is no answer: what never left is told apart from what may have been carried out. */
  unanswered(error: unknown): ConnectError {
    const { code, isSent } = outcomeOf(error);
    if (isSent) return this.#unanswered(code);
    const reason = `${this.#signer.apiUrl} can't be reached: ${whyUnreached(code)} Nothing was sent.`;
    return new NotReached(reason, !isTlsFailure(code));
  }

  #unanswered(code: string): ConnectError {
    const url = this.#signer.apiUrl;
    const advice = this.#call.repeatable ? "It is safe to ask again." : "Look whether it was carried out.";
    return new NoAnswer(`${url} gave no answer (${code}). ${advice}`);
  }

  /** Read an answer that API Gateway gave by itself. */
  #ofGateway(response: Response): ConnectError {
    const { status } = response;
    if (status === 403) return this.#forbidden(response);
    if (status === 413) {
      return new TooLarge(status, { detail: "AWS takes no request of that size: 4 MB, or less where JSON escapes much." });
    }
    if (status === 429) return new TooManyRequests(status, { detail: "Too many requests to the broker's API. Slow down." });
    return status >= 500 ? this.#unanswered(`status ${status}`) : this.#notTheBroker(status);
  }

  #forbidden(response: Response): ConnectError {
    const theirs = Date.parse(response.headers.get("date") ?? "");
    const ahead = Number.isNaN(theirs) ? 0 : Math.round((Date.now() - theirs) / 1000);
    if (Math.abs(ahead) > LARGEST_SKEW) {
      const way = ahead > 0 ? "ahead" : "behind";
      return new ClockSkew(`This machine's clock is ${Math.abs(ahead)} seconds ${way}; AWS allows 300. Set it by NTP.`);
    }
    return new Forbidden(
      "AWS refused the call. Either the identity behind your credentials lacks execute-api:Invoke on this route, or " +
        `the API is not in ${this.#signer.region}, or the credentials ended. \`aws sts get-caller-identity\` shows who you are.`,
    );
  }

  #notTheBroker(status: number): NotTheBroker {
    return new NotTheBroker(
      `${this.#signer.apiUrl} answered ${status}, but not as the broker does. ` +
        "Is it the address that the stack's output BackendApiUrl shows?",
    );
  }
}

/** Read the code of a failure, and whether something may have been sent. */
function outcomeOf(error: unknown): { code: string; isSent: boolean } {
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    const { code, syscall } = each as { code?: unknown; syscall?: unknown };
    // If a host has several addresses, Node reports their failures together: none of them was reached.
    const isUnconnected = syscall === "connect" || each instanceof AggregateError;
    if (typeof code === "string") return { code, isSent: !(isUnconnected || NEVER_SENT.has(code) || isTlsFailure(code)) };
    if (each.name === "TimeoutError") return { code: "timeout", isSent: true };
  }
  return { code: "network error", isSent: true };
}

function jsonObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
