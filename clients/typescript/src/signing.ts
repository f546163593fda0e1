/** Requests → signed requests: AWS Signature Version 4 (service `execute-api`), with credentials from AWS's own chain. */

import { AwsV4Signer } from "aws4fetch";

import { NoCredentials, WrongRegion } from "./errors.ts";
import { checkCredentials, checkRegion, regionAround } from "./environment.ts";

/** AWS credentials in the form of the AWS SDKs for JavaScript. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** Fixed credentials, or a function that returns the current ones, such as a provider of the AWS SDK. */
export type CredentialSource = Credentials | (() => Promise<Credentials>);

const SERVICE = "execute-api";
const ENDPOINT = /^[a-z0-9-]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?$/;
const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]"]);

/** Signs for one API in one AWS region. */
export class Signer {
  readonly apiUrl: string;
  readonly region: string;
  #credentials: () => Promise<Credentials>;

  constructor(apiUrl: string, region?: string, credentials?: CredentialSource) {
    this.apiUrl = checkedUrl(apiUrl);
    this.region = regionOf(new URL(this.apiUrl).hostname, region);
    this.#credentials = typeof credentials === "object" ? async () => credentials : (credentials ?? awsChain());
  }

  /** Make a signed request. Getting the credentials may take the network. Throws `NoCredentials`. */
  async sign(method: string, path: string, body?: string): Promise<Request> {
    const headers = { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) };
    return this.signed(new Request(this.apiUrl + path, { method, headers, redirect: "manual", ...(body === undefined ? {} : { body }) }));
  }

  /** Sign a request with its body, which is read whole. Throws `NoCredentials`. */
  async signed(request: Request): Promise<Request> {
    const { accessKeyId, secretAccessKey, sessionToken } = await this.#current();
    const { method, headers } = request;
    const body = request.body === null ? {} : { body: await request.arrayBuffer() };
    const { url, headers: signed } = await new AwsV4Signer({
      method,
      url: request.url,
      headers,
      ...body,
      accessKeyId,
      secretAccessKey,
      ...(sessionToken ? { sessionToken } : {}),
      service: SERVICE,
      region: this.region,
    }).sign();
    return new Request(url, { method, headers: signed, redirect: "manual", ...body });
  }

  async #current(): Promise<Credentials> {
    let found: Credentials | undefined;
    let failure = "";
    try {
      found = await this.#credentials();
    } catch (error) {
      failure = nameOf(error); // its text may quote anything, so it is not passed on
    }
    if (!found?.accessKeyId || !found.secretAccessKey) {
      throw new NoCredentials(
        `No usable AWS credentials were found${failure}: use a role, a profile (AWS_PROFILE; log in again if it needs it), or ` +
          "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. `aws sts get-caller-identity` shows what the chain finds.",
      );
    }
    checkCredentials(found);
    return found;
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error && /^\w{1,60}$/.test(error.name) ? ` (${error.name})` : "";
}

/** Accept https anywhere, and http on loopback only. */
function checkedUrl(apiUrl: string): string {
  const trimmed = apiUrl.trim();
  const url = URL.canParse(trimmed) ? new URL(trimmed) : undefined;
  const isLocal = url?.protocol === "http:" && LOOPBACK.has(url.hostname);
  const isPlain = url?.username === "" && url.password === "" && url.search === "" && url.hash === "" && !/\s/.test(trimmed);
  if (!isPlain || (url?.protocol !== "https:" && !isLocal)) {
    throw new TypeError("apiUrl must be the https address that the stack's output BackendApiUrl shows.");
  }
  return trimmed.replace(/\/+$/, "");
}

/** Find the region: the address of an API Gateway names it, a domain of your own doesn't. */
function regionOf(hostname: string, named: string | undefined): string {
  const shown = ENDPOINT.exec(hostname)?.[1];
  if (shown && named && named !== shown) {
    throw new WrongRegion(`The API is in ${shown}: leave region out, or give region: "${shown}".`);
  }
  const region = shown || (named ? checkRegion("region", named) : regionAround());
  if (!region) throw new WrongRegion("The address does not show its AWS region: give region, or set AWS_REGION.");
  return region;
}

/** AWS's default chain, loaded when it is first needed: a service that brings its own credentials never pays for it. */
function awsChain(): () => Promise<Credentials> {
  let provider: Promise<() => Promise<Credentials>> | undefined;
  return async () => {
    provider ??= import("@aws-sdk/credential-provider-node").then((chain) => chain.defaultProvider());
    return (await provider)();
  };
}
