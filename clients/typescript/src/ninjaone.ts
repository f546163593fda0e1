/**
 * A `fetch` that carries a connection's access token to NinjaOne.
 *
 *     no token, or one that ends soon   one call of the broker, however many requests wait for it
 *     NinjaOne answers 401              one call for a newer token; the request is sent once more if there is one
 *     … and there is none               the 401 goes to the caller, and for a minute no 401 asks again
 */

import type { Connect, Token } from "./connect.ts";
import { WrongHost } from "./errors.ts";

/** Seconds before its end at which a token is not used any more: clocks differ, and requests take their time. */
const MARGIN = 60;
/** Seconds for which a token that ends within the margin is still shared, so that not every request asks anew. */
const SHARED = 5;
/** Seconds before its end at which even such a token is not used. */
const SKEW = 10;
/** Milliseconds; the broker does not ask NinjaOne for one connection more often. */
const ASKED_MS = 60_000;
const MOST_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** The token in use, and the call for the next one that is under way. */
export class TokenCache {
  #fetchToken: (refusedVersion: number) => Promise<Token>;
  #token: Token | undefined;
  #good = { since: 0, until: 0 };
  #pending: Promise<Token> | undefined;
  #refused = { token: "", since: 0, until: 0 };

  constructor(fetchToken: (refusedVersion: number) => Promise<Token>) {
    this.#fetchToken = fetchToken;
  }

  /** Return the token to use. `refused` is one that NinjaOne answered with 401; getting it back means none is newer. */
  async get(refused?: Token): Promise<Token> {
    const now = Date.now();
    if (refused && this.#refused.token === refused.access_token && isWithin(now, this.#refused)) return refused;
    if (this.#token && isWithin(now, this.#good) && this.#token.access_token !== refused?.access_token) return this.#token;
    this.#pending ??= this.#renew(refused, now).finally(() => (this.#pending = undefined));
    return this.#pending;
  }

  async #renew(refused: Token | undefined, askedAt: number): Promise<Token> {
    const token = await this.#fetchToken(refused?.version ?? 0);
    const lasts = Math.max(token.expires_in - MARGIN, Math.min(SHARED, token.expires_in - SKEW));
    this.#token = token;
    this.#good = { since: askedAt, until: askedAt + lasts * 1000 };
    if (token.access_token === refused?.access_token) {
      this.#refused = { token: token.access_token, since: askedAt, until: askedAt + ASKED_MS };
    }
    return token;
  }
}

/** Say whether a moment is in a span; one before its beginning is not, for the clock was set back since. */
function isWithin(now: number, { since, until }: { since: number; until: number }): boolean {
  return since <= now && now < until;
}

/** What `ninjaOne` gives: `fetch` with a path such as `/v2/devices`, or with an address of the connection's own host. */
export type NinjaOneFetch = (target: string | URL | Request, init?: RequestInit) => Promise<Response>;

export interface NinjaOneOptions {
  /** In place of the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/**
 * Make a `fetch` for one connection: paths are appended to its NinjaOne address, and the token goes nowhere else,
 * redirects included. A body that can't be sent twice (a stream) is not sent again after a 401.
 */
export function ninjaOne(connect: Connect, tenant: string, connectionId: string, options: NinjaOneOptions = {}): NinjaOneFetch {
  const cache = new TokenCache((refusedVersion) => connect.token(tenant, connectionId, { refusedVersion }));
  const send = options.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request));

  return async (target, init) => {
    const token = await cache.get();
    const base = token.api_base_url;
    const request = toRequest(target, base, init);
    const again = isRepeatable(target, init) ? request.clone() : undefined;
    const response = await follow(send, request, token, base);
    if (response.status !== 401 || !again) return response;
    const newer = await cache.get(token);
    if (newer.access_token === token.access_token) return response;
    await response.body?.cancel();
    return follow(send, again, newer, base);
  };
}

function isRepeatable(target: string | URL | Request, init: RequestInit | undefined): boolean {
  return !(init?.body instanceof ReadableStream) && !(target instanceof Request && target.body);
}

function toRequest(target: string | URL | Request, base: string, init: RequestInit | undefined): Request {
  const options = { ...init, redirect: "manual" } as const;
  if (target instanceof Request) return new Request(target, options);
  return new Request(typeof target === "string" && target.startsWith("/") ? base + target : target, options);
}

/** Send with the token, and follow redirects that stay on the connection's host. */
async function follow(send: typeof fetch, first: Request, token: Token, base: string): Promise<Response> {
  let request = first;
  for (let left = MOST_REDIRECTS; ; left -= 1) {
    checkHost(request.url, base);
    request.headers.set("authorization", `Bearer ${token.access_token}`);
    const response = await send(request);
    const location = response.headers.get("location");
    if (!REDIRECTS.has(response.status) || !location || left === 0 || !["GET", "HEAD"].includes(request.method)) return response;
    await response.body?.cancel();
    request = new Request(new URL(location, request.url), { method: request.method, headers: request.headers, redirect: "manual" });
  }
}

/** Refuse a host that is not the connection's. Throws `WrongHost`. */
function checkHost(url: string, base: string): void {
  const home = new URL(base).origin;
  const there = new URL(url).origin;
  if (there !== home) throw new WrongHost(`This connection's NinjaOne is ${home}, and the request goes to ${there}.`);
}
