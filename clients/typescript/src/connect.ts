/** The broker's API for backends. */

import { createHash, randomBytes } from "node:crypto";

import type { components } from "./api.ts";
import { Attempts, type Call } from "./attempts.ts";
import type { NinjaOneFetch } from "./ninjaone.ts";
import { throughBroker } from "./proxy.ts";
import { type CredentialSource, Signer } from "./signing.ts";

type Schemas = components["schemas"];
export type SessionRequest = Schemas["SessionRequest"];
export type ConnectSession = Schemas["ConnectSession"];
export type CompleteRequest = Schemas["CompleteRequest"];
export type Connection = Schemas["Connection"];
export type Disconnected = Schemas["Disconnected"];
export type Token = Schemas["Token"];
export type Status = Connection["status"];
type Page = Schemas["Connections"];

export interface ConnectOptions {
  /** The AWS region of the API; needed where its address does not show it. */
  readonly region?: string;
  /** In place of the credentials of AWS's default chain. */
  readonly credentials?: CredentialSource;
  /** Seconds that one call may spend waiting between tries; 20 by default. What may not be sent twice is sent once. */
  readonly maxWait?: number;
  /** In place of the global `fetch`. */
  readonly fetch?: typeof fetch;
}

/** A secret that stays in the person's session, and the challenge made from it. Source: RFC 7636 §4.1, §4.2. */
export interface Verifier {
  readonly verifier: string;
  readonly challenge: string;
}

/** Draw a verifier: keep it in the person's session, and open the connect session with its challenge. */
export function newVerifier(): Verifier {
  const verifier = randomBytes(32).toString("base64url");
  return { verifier, challenge: createHash("sha256").update(verifier).digest("base64url") };
}

const MAX_WAIT = 20;
const PAGE_SIZE = 100;
/** The statuses of connections that a token can be had for. */
const USABLE: readonly Status[] = ["active", "paused"];
const MIN_TTL = 300;

/**
 * The broker's API. One object serves a whole process.
 *
 * Times are Unix seconds. Every method rejects with a `ConnectError`.
 */
export class Connect {
  #signer: Signer;
  #maxWait: number;
  #fetch: typeof fetch;

  /** `apiUrl` is the stack's output BackendApiUrl. */
  constructor(apiUrl: string, options: ConnectOptions = {}) {
    this.#signer = new Signer(apiUrl, options.region, options.credentials);
    this.#maxWait = options.maxWait ?? MAX_WAIT;
    this.#fetch = options.fetch ?? ((...request) => fetch(...request));
  }

  /** Open a connect session for a signed-in person; send them to its `connect_url`. */
  openSession(tenant: string, request: SessionRequest): Promise<ConnectSession> {
    return this.#run({ method: "POST", path: path(tenant, "connect-sessions"), body: request, repeatable: false });
  }

  /** Make the connection, once the person is back. Repeated after a lost answer: the broker answers the same again. */
  complete(tenant: string, sessionId: string, request: CompleteRequest): Promise<Connection> {
    const target = path(tenant, "connect-sessions", sessionId, "complete");
    return this.#run({ method: "POST", path: target, body: request, repeatable: true });
  }

  /**
   * Go through a tenant's connections, asking for pages as they are needed. By default those that a token can be had for;
   * `status` names another, several, or `"any"`.
   */
  async *connections(
    tenant: string,
    { pageSize = PAGE_SIZE, status = USABLE }: { pageSize?: number; status?: Status | "any" | readonly Status[] } = {},
  ): AsyncGenerator<Connection, void, undefined> {
    const wanted: readonly string[] = typeof status === "string" ? [status] : status;
    let cursor: string | null | undefined;
    do {
      const query = new URLSearchParams({ limit: String(pageSize), ...(cursor ? { cursor } : {}) });
      const page: Page = await this.#run({ method: "GET", path: `${path(tenant, "connections")}?${query}`, repeatable: true });
      yield* page.connections.filter((each) => status === "any" || wanted.includes(each.status));
      cursor = page.cursor;
    } while (cursor);
  }

  /** Get one connection. */
  connection(tenant: string, connectionId: string): Promise<Connection> {
    return this.#run({ method: "GET", path: path(tenant, "connections", connectionId), repeatable: true });
  }

  /**
   * Get an access token that lasts `minTtl` seconds where NinjaOne lets it. Rejects with `NeedsReauth` among others.
   * `refusedVersion` is the `version` of a token that NinjaOne refused with 401; another one is then asked for.
   */
  token(tenant: string, connectionId: string, { minTtl = MIN_TTL, refusedVersion = 0 } = {}): Promise<Token> {
    const target = path(tenant, "connections", connectionId, "token");
    const body = { min_ttl: minTtl, refused_version: refusedVersion };
    return this.#run({ method: "POST", path: target, body, repeatable: true });
  }

  /**
   * Make a `fetch` that calls NinjaOne through the broker: `ninjaOne("/v2/devices")`. The access token stays in AWS; the
   * operator decides which calls pass, and bodies are bounded to 4 MB. NinjaOne's answers come as they are; it rejects with
   * what the broker says itself, such as `CallRefused`, `TooLarge` or `NeedsReauth`.
   */
  ninjaOne(tenant: string, connectionId: string): NinjaOneFetch {
    return throughBroker(this.#signer, path(tenant, "connections", connectionId, "ninjaone"), this.#fetch);
  }

  /** Let a connection be used that was made with binding approval. */
  approve(tenant: string, connectionId: string): Promise<Connection> {
    return this.#run({ method: "POST", path: path(tenant, "connections", connectionId, "approve"), repeatable: false });
  }

  /** End a connection: its tokens are deleted at the broker and revoked at NinjaOne. */
  disconnect(tenant: string, connectionId: string): Promise<Disconnected> {
    return this.#run({ method: "DELETE", path: path(tenant, "connections", connectionId), repeatable: false });
  }

  #run<T>(call: Call): Promise<T> {
    return new Attempts(call, this.#signer, this.#fetch, this.#maxWait).run<T>();
  }
}

/** Write a path. A name that would lead to another path, or that is no text, is refused. Source: RFC 3986 §5.2.4. */
function path(...names: string[]): string {
  if (names.some((name) => ["", ".", ".."].includes(name) || /\p{Cs}/u.test(name))) {
    throw new TypeError("The tenant and the other ids must not be empty, `.` or `..`, and must not hold half a character.");
  }
  return `/v1/tenants/${names.map(encodeURIComponent).join("/")}`;
}
