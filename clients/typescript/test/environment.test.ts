import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";

import * as api from "../src/index.ts";
import { client, closed, listen, token } from "../testing/server.ts";

const API = "https://api.broker.example";
const REQUEST = { end_user_id: "7", tenant_name: "A", return_to: "main" };
const KEYS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "canary" };

/** Set variables of the environment until the callback is through; undefined takes one away. */
async function within<T>(variables: Record<string, string | undefined>, run: () => T | Promise<T>): Promise<T> {
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  const set = (values: Record<string, string | undefined>) => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  set(variables);
  try {
    return await run();
  } finally {
    set(before);
  }
}

/** A `fetch` that fails as Node's does, and counts how often it was tried. */
function failing(cause: Error): { fetch: typeof fetch; tries: () => number } {
  let tried = 0;
  const fetcher = async () => {
    tried += 1;
    throw new TypeError("fetch failed", { cause });
  };
  return { fetch: fetcher, tries: () => tried };
}

function coded(code: string, syscall?: string): Error {
  return Object.assign(new Error("text of another library"), { code, syscall });
}

test("keys that no header takes are named, and neither sent nor shown", async () => {
  const { url, asked } = await listen({});
  for (const end of ["\r", "\r\n", " ", "\u00a0", "\u200b", '"']) {
    for (const [field, name] of [["accessKeyId", "AWS_ACCESS_KEY_ID"], ["secretAccessKey", "AWS_SECRET_ACCESS_KEY"], ["sessionToken", "AWS_SESSION_TOKEN"]]) {
      const credentials = { ...KEYS, [field ?? ""]: `canary${end}` };
      await assert.rejects(client(url, { credentials }).connection("t", "c"), (error) => {
        assert.ok(error instanceof api.NoCredentials);
        assert.ok(error.message.startsWith(`${name} holds a space, a line break`));
        return !error.message.includes("canary");
      });
    }
  }
  assert.equal(asked.length, 0);
});

test("a region that is none is named at once", async () => {
  for (const region of ["eu-west-1\r", " eu-west-1", '"eu-west-1"', "EU-WEST-1", "Europe (Ireland)", "eu-west-1a", "eu_west_1"]) {
    const refused = (error: unknown) => error instanceof api.WrongRegion && /^(region|AWS_REGION) must be an AWS region/.test(error.message);
    await within({ AWS_REGION: region }, () => assert.throws(() => new api.Connect(API), refused));
    assert.throws(() => new api.Connect(API, { region }), refused);
  }
});

test("a region that is empty is passed over for the next", async () => {
  for (const region of ["eu-west-1", "us-gov-east-1", "eusc-de-east-1", "ap-southeast-12"]) {
    await within({ AWS_REGION: "", AWS_DEFAULT_REGION: region }, () => assert.ok(new api.Connect(API)));
  }
});

test("an address that no request can be made of is refused at once", () => {
  for (const address of ["https://user:canary@broker.example", "https://broker.example?stage=1", "https://broker.example/#x", "https://bro\nker.example"]) {
    assert.throws(
      () => new api.Connect(address, { region: "eu-west-1" }),
      (error) => error instanceof TypeError && /https address/.test(error.message) && !error.message.includes("canary"),
    );
  }
});

test("a certificate that is not trusted is told once, and what is not repeatable was not sent", async () => {
  for (const code of ["CERT_NOT_YET_VALID", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_GET_ISSUER_CERT", "ERR_TLS_CERT_ALTNAME_INVALID"]) {
    const { fetch, tries } = failing(coded(code));
    await assert.rejects(client(API, { fetch }).openSession("t", REQUEST), (error) => {
      assert.ok(error instanceof api.NotReached);
      return /is not trusted/.test(error.message) && /NODE_EXTRA_CA_CERTS/.test(error.message) && !/another library/.test(error.message);
    });
    assert.equal(tries(), 1);
  }
});

test("what does not speak TLS was sent nothing", async () => {
  const plain = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n"));
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  after(() => plain.close());
  const url = `https://127.0.0.1:${(plain.address() as AddressInfo).port}`;
  await assert.rejects(client(url).openSession("t", REQUEST), (error) => {
    return error instanceof api.NotReached && /does not speak TLS/.test(error.message);
  });
});

test("several addresses that are not reached are told as not reached", async () => {
  const several = Object.assign(new AggregateError([coded("ETIMEDOUT", "connect"), coded("ENETUNREACH", "connect")]), { code: "ETIMEDOUT" });
  for (const cause of [several, coded("ETIMEDOUT", "connect")]) {
    const { fetch } = failing(cause);
    await assert.rejects(client(API, { fetch, maxWait: 0 }).openSession("t", REQUEST), api.NotReached);
  }
  const silent = failing(coded("ETIMEDOUT", "read"));
  await assert.rejects(client(API, { fetch: silent.fetch, maxWait: 0 }).openSession("t", REQUEST), api.NoAnswer);
});

test("a proxy that Node passes by is named where nothing is reached", async () => {
  const nothing = await closed();
  const told = async (variables: Record<string, string | undefined>) => {
    const failed = await within(variables, () => client(nothing, { maxWait: 0 }).connection("t", "c").catch((error: unknown) => error));
    assert.ok(failed instanceof api.NotReached);
    return failed.message;
  };
  const proxied = { HTTPS_PROXY: "http://user:canary@proxy:3128", NODE_USE_ENV_PROXY: undefined };
  assert.match(await told(proxied), /HTTPS_PROXY is set, and Node's fetch does not use it: set NODE_USE_ENV_PROXY=1/);
  assert.doesNotMatch(await told(proxied), /canary/);
  assert.doesNotMatch(await told({ ...proxied, NODE_USE_ENV_PROXY: "1" }), /HTTPS_PROXY/);
});

test("a clock that is set back makes no token good for longer, and no refusal last", async (context) => {
  context.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-11-30T12:00:00Z") });
  const { url, asked } = await listen(token("t1"), token("t1"), token("t2"));
  const answers = [200, 401, 200];
  const ninja = api.ninjaOne(client(url), "t", "c", { fetch: async () => new Response("", { status: answers.shift() ?? 200 }) });
  await ninja("/v2/devices");
  assert.equal((await ninja("/v2/devices")).status, 401);
  assert.equal(asked.length, 2);
  context.mock.timers.setTime(Date.parse("2026-11-29T12:00:00Z"));
  assert.equal((await ninja("/v2/devices")).status, 200);
  assert.equal(asked.length, 3);
});
