/** What a process finds around it and did not make: AWS variables, proxies, authorities. Each fault names its variable. */

import { NoCredentials, WrongRegion } from "./errors.ts";
import type { Credentials } from "./signing.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const REGION = /^[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}$/;
/** What a key or a session token of AWS is made of. A quotation mark was meant for the program that read the file. */
const PRINTABLE = /^[!#-&(-~]*$/;
/** What Node says when TLS did not come to be, so that nothing was sent. Trying again changes nothing. */
const DISTRUST = new Set([
  "CERT_CHAIN_TOO_LONG", "CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID", "CERT_REJECTED", "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE", "CERT_UNTRUSTED", "DEPTH_ZERO_SELF_SIGNED_CERT", "ERR_TLS_CERT_ALTNAME_INVALID",
  "HOSTNAME_MISMATCH", "INVALID_CA", "INVALID_PURPOSE", "PATH_LENGTH_EXCEEDED", "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);
/** What Node says when something answers that does not speak this TLS, such as a proxy's page. */
const NO_TLS = new Set([
  "EPROTO", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
  "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "ERR_SSL_TLSV1_UNRECOGNIZED_NAME", "ERR_SSL_UNSUPPORTED_PROTOCOL",
  "ERR_SSL_WRONG_VERSION_NUMBER",
]);
/** Say whether a connection came to nothing over TLS. */
export function isTlsFailure(code: string): boolean {
  return DISTRUST.has(code) || NO_TLS.has(code);
}

const PROXIES = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/** See that a region can be one. Throws `WrongRegion`. */
export function checkRegion(name: string, region: string): string {
  if (REGION.test(region)) return region;
  throw new WrongRegion(`${name} must be an AWS region such as eu-west-1, without spaces and quotation marks. Correct it.`);
}

/** Return the region that AWS's variables name; empty if they name none. Throws `WrongRegion`. */
export function regionAround(environment: Environment = process.env): string {
  const name = ["AWS_REGION", "AWS_DEFAULT_REGION"].find((each) => environment[each]);
  return name ? checkRegion(name, environment[name] ?? "") : "";
}

/** Check that credentials fit into a header; otherwise `fetch` would quote them in its error. Throws `NoCredentials`. */
export function checkCredentials({ accessKeyId, secretAccessKey, sessionToken = "" }: Credentials): void {
  const named = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken };
  for (const [name, value] of Object.entries(named)) {
    if (PRINTABLE.test(value)) continue;
    throw new NoCredentials(
      `${name} holds a space, a line break, a quotation mark or another character that none has. Set it again without.`,
    );
  }
}

/** Say why no connection came to be. */
export function whyUnreached(code: string, environment: Environment = process.env): string {
  if (DISTRUST.has(code)) return `the certificate that it shows is not trusted (${code}). ${authorities(environment)}`;
  const what = NO_TLS.has(code) ? "what answers there does not speak TLS as it should" : "no connection came to be";
  return `${what} (${code}).${unusedProxy(environment)}`;
}

function authorities(environment: Environment): string {
  if (environment["NODE_EXTRA_CA_CERTS"]) {
    return "NODE_EXTRA_CA_CERTS is set: see that its file can be read, and holds the authority that signed it.";
  }
  return (
    "Where your network intercepts TLS, name its authority's file in NODE_EXTRA_CA_CERTS before Node starts; " +
    "AWS_CA_BUNDLE and REQUESTS_CA_BUNDLE are not read by Node."
  );
}

/** Node's `fetch` passes by the proxies that other programs use, unless it is told to heed them. */
function unusedProxy(environment: Environment): string {
  const name = PROXIES.find((each) => environment[each]);
  if (!name || environment["NODE_USE_ENV_PROXY"] === "1") return "";
  return ` ${name} is set, and Node's fetch does not use it: set NODE_USE_ENV_PROXY=1 (from Node 22.21 on), or give a fetch that does.`;
}
