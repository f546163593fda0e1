/**
 * NinjaOne through the broker: a `fetch` whose requests are signed for AWS, and which never holds a token.
 *
 * What NinjaOne answers is marked by the broker; everything else is the broker's or API Gateway's own, and is thrown.
 */

import { Attempts } from "./attempts.ts";
import { NotTheBroker, WrongHost } from "./errors.ts";
import type { NinjaOneFetch } from "./ninjaone.ts";
import type { Signer } from "./signing.ts";

const MARK = "x-ninjaone-connect";
const NO_ROUTE =
  "The broker's API has no route for calls to NinjaOne. Its operator has to deploy with Proxy=on; or the path holds a `?` that " +
  "was encoded.";
/** API Gateway stops waiting after 30 seconds, and answers so. */
const TIMEOUT_MS = 35_000;

/** Make a `fetch` for paths such as `/v2/devices`, which stand below `base` at the broker. */
export function throughBroker(signer: Signer, base: string, fetcher: typeof fetch): NinjaOneFetch {
  return async (target, init = {}) => {
    const path = pathOf(target);
    const method = (init.method ?? "GET").toUpperCase();
    const attempts = new Attempts({ method, path, repeatable: method === "GET" }, signer, fetcher, 0);
    checkBelow(signer.apiUrl + base, path);
    const request = await signer.signed(new Request(signer.apiUrl + base + path, { ...init, method, redirect: "manual" }));
    let response: Response;
    try {
      response = await fetcher(request, { signal: init.signal ?? AbortSignal.timeout(TIMEOUT_MS) });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw attempts.unanswered(error);
    }
    if (response.headers.get(MARK) === "passed") return response;
    const text = await response.text();
    if (response.status === 404 && response.headers.get("content-type") === "application/json") throw new NotTheBroker(NO_ROUTE);
    attempts.read(response, text);
    throw new NotTheBroker(`${signer.apiUrl} answered ${response.status}, but not as the broker does.`);
  };
}

/** Refuse dot segments that lead out of the connection: the request would be signed for another one. Source: RFC 3986 §5.2.4. */
function checkBelow(home: string, path: string): void {
  if (!new URL(home + path).pathname.startsWith(`${new URL(home).pathname}/`)) {
    throw new WrongHost("The path leads out of this connection: give one such as /v2/devices, without dot segments.");
  }
}

function pathOf(target: string | URL | Request): string {
  if (typeof target === "string" && /^\/(?!\/)/.test(target)) return target;
  throw new WrongHost("Through the broker, give a path such as /v2/devices: it adds the connection's NinjaOne host itself.");
}
