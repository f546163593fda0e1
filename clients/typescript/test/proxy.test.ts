import assert from "node:assert/strict";
import { test } from "node:test";

import * as api from "../src/index.ts";
import { type Answer, client, closed, listen, refused } from "../testing/server.ts";

const PASSED = { "x-ninjaone-connect": "passed" };

function passed(body: unknown, status = 200): Answer {
  return { status, body, headers: PASSED };
}

test("a request goes below the connection, signed, with its body and headers", async () => {
  const { url, asked } = await listen(passed({ id: 7 }));
  const send = client(url).ninjaOne("nord/wind", "con_1");
  const answer = await send("/v2/tickets?a=b%20c", { method: "post", body: "{}", headers: { "if-match": '"7"' } });
  assert.deepEqual(await answer.json(), { id: 7 });
  const [request] = asked;
  assert.equal(request?.url, "/v1/tenants/nord%2Fwind/connections/con_1/ninjaone/v2/tickets?a=b%20c");
  assert.deepEqual([request?.method, request?.body, request?.headers["if-match"]], ["POST", "{}", '"7"']);
  assert.match(String(request?.headers.authorization), /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE\//);
});

test("what NinjaOne answers comes as it is", async () => {
  for (const status of [200, 401, 403, 404, 429, 503]) {
    const { url, asked } = await listen(passed({ a: 1 }, status));
    assert.equal((await client(url).ninjaOne("t", "c")("/v2/devices")).status, status);
    assert.equal(asked.length, 1);
  }
});

test("what the broker answers itself is thrown, and nothing is sent twice", async () => {
  const own: [Answer, new (...given: never[]) => Error][] = [
    [refused(403, "call-refused"), api.CallRefused], [refused(409, "needs-reauth"), api.NeedsReauth],
    [refused(413, "too-large"), api.TooLarge], [{ status: 413, body: { message: "Request Entity Too Large" } }, api.TooLarge],
    [refused(502, "not-json"), api.NotJson],
    [refused(504, "call-unanswered"), api.CallUnanswered], [{ status: 503, body: { message: "x" } }, api.NoAnswer],
    [{ status: 404, body: { message: "Not Found" } }, api.NotTheBroker], [{ body: [] }, api.NotTheBroker], [{ body: {} }, api.NotTheBroker],
    [{ hangUp: true }, api.NoAnswer],
  ];
  for (const [answer, kind] of own) {
    const { url, asked } = await listen(answer);
    await assert.rejects(client(url).ninjaOne("t", "c")("/v2/devices"), kind);
    assert.equal(asked.length, 1);
  }
  await assert.rejects(client(await closed()).ninjaOne("t", "c")("/v2/devices"), api.NotReached);
});

test("a broker whose operator did not switch the proxy on is told as such", async () => {
  const { url } = await listen({ status: 404, headers: { "content-type": "application/json" }, body: { message: "Not Found" } });
  await assert.rejects(client(url).ninjaOne("t", "c")("/v2/devices"), /Proxy=on/);
});

test("only paths are taken, so nothing is signed for another host", async () => {
  const { url, asked } = await listen(passed([]));
  const send = client(url).ninjaOne("t", "c");
  for (const target of ["https://evil.example/v2/x", "//evil.example/v2/x", "v2/x", new URL(`${url}/v2/x`)]) {
    await assert.rejects(send(target), api.WrongHost);
  }
  assert.equal(asked.length, 0);
});

test("a path with dot segments is not signed for another connection", async () => {
  const { url, asked } = await listen(passed([]));
  const send = client(url).ninjaOne("t", "c");
  for (const target of ["/v2/../../d/ninjaone/v2/x", "/../../d/ninjaone/v2/x", "/v2/%2e%2e/%2E./x", "/..", "/..\\..\\d"]) {
    await assert.rejects(send(target), api.WrongHost);
  }
  assert.equal(asked.length, 0);
  assert.equal((await send("/v2/../v2/devices?x=/../..")).status, 200);
});

test("lists go through the broker, and wait for what passes", async () => {
  const soon = { retry_after: 0.01 };
  const { url, asked } = await listen(
    refused(503, "no-token-yet", soon), passed([{ id: 1 }]), refused(429, "too-many-requests", soon), passed([{ id: 2 }]), passed([]),
  );
  const found = [];
  for await (const page of api.pages(client(url).ninjaOne("t", "c"), "/v2/devices")) found.push(...page);
  assert.deepEqual(found, [{ id: 1 }, { id: 2 }]);
  assert.equal(asked.length, 5);

  const page = await listen(refused(502, "not-json", soon));
  await assert.rejects(api.pages(client(page.url).ninjaOne("t", "c"), "/v2/devices").next(), api.NotJson);
  assert.equal(page.asked.length, 1);
});
