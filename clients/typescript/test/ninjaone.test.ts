import assert from "node:assert/strict";
import { test } from "node:test";

import { ninjaOne, WrongHost } from "../src/index.ts";
import { type Answer, client, listen, refused, token } from "../testing/server.ts";

const DEVICES = [{ id: 1 }];

/** A broker that gives these tokens one after the other, and a NinjaOne that gives these answers. */
async function both(tokens: Answer[], answers: Answer[]) {
  const [broker, home] = [await listen(...tokens), await listen(...answers)];
  const at = tokens.map((each) => ({ ...each, body: { ...(each.body as object), api_base_url: home.url } }));
  const relocated = await listen(...at);
  return { broker: relocated, home, send: ninjaOne(client(relocated.url), "t", "con_1"), unused: broker };
}

test("requests carry the token, and many at once ask for it once", async () => {
  const { broker, home, send } = await both([token("t1")], [{ body: DEVICES }]);
  const answers = await Promise.all(Array.from({ length: 50 }, () => send("/v2/devices?pageSize=1")));
  assert.deepEqual(await answers[0]?.json(), DEVICES);
  assert.equal(broker.asked.length, 1);
  assert.equal(home.asked.length, 50);
  assert.ok(home.asked.every((each) => each.headers.authorization === "Bearer t1" && each.url === "/v2/devices?pageSize=1"));
});

test("a 401 fetches one newer token for all, and the request is sent once more", async () => {
  const { broker, home, send } = await both([token("t1"), token("t2")], [{ status: 401 }, { body: DEVICES }]);
  const answer = await send("/v2/devices", { method: "POST", body: "{}" });
  assert.equal(answer.status, 200);
  assert.deepEqual(home.asked.map((each) => [each.headers.authorization, each.body]), [["Bearer t1", "{}"], ["Bearer t2", "{}"]]);
  assert.equal(broker.asked.length, 2);
  assert.equal(JSON.parse(broker.asked[1]?.body ?? "").refused_version, 1);
});

test("when there is no newer token the 401 is the caller's, and the broker is left alone for a minute", async () => {
  const { broker, send } = await both([token("t1")], [{ status: 401 }]);
  assert.equal((await send("/v2/devices")).status, 401);
  for (let n = 0; n < 5; n += 1) assert.equal((await send("/v2/devices")).status, 401);
  assert.equal(broker.asked.length, 2);
});

test("a token in its last minute is shared for a few seconds", async () => {
  const { broker, send } = await both([token("t1", { expires_in: 30 })], [{ body: DEVICES }]);
  for (let n = 0; n < 5; n += 1) await send("/v2/devices");
  assert.equal(broker.asked.length, 1);
});

test("the token goes to no other host: by address, by scheme-relative path or by redirect", async () => {
  const elsewhere = await listen({ body: "stolen" });
  const { home, send } = await both([token("t1")], [{ status: 302, headers: { location: `${elsewhere.url}/` } }]);
  await assert.rejects(send(`${elsewhere.url}/v2/devices`), WrongHost);
  await assert.rejects(send("/v2/devices"), WrongHost);
  await assert.rejects(send(new Request(`${elsewhere.url}/v2/devices`)), WrongHost);
  assert.equal(elsewhere.asked.length, 0);
  assert.equal(home.asked.length, 1);
});

test("a redirect on the connection's own host is followed", async () => {
  const { home, send } = await both([token("t1")], [{ status: 302, headers: { location: "/v2/other" } }, { body: DEVICES }]);
  assert.equal((await send("/v2/devices")).status, 200);
  assert.deepEqual(home.asked.map((each) => each.url), ["/v2/devices", "/v2/other"]);
});

test("an emulator gets the token only where the broker says that it is NinjaOne", async () => {
  const emulator = await listen({ body: DEVICES });
  const beside = await listen(token("t1", { api_base_url: `${emulator.url}/eu.ninjarmm.com` }));
  await ninjaOne(client(beside.url), "t", "c")("/v2/devices");
  assert.equal(emulator.asked[0]?.url, "/eu.ninjarmm.com/v2/devices");
  const broker = await listen(token("t1"));
  await assert.rejects(ninjaOne(client(broker.url), "t", "c")(`${emulator.url}/v2/devices`), WrongHost);
});

test("a failure to get the token reaches every waiting request, and the next one asks anew", async () => {
  const home = await listen({ body: DEVICES });
  const broker = await listen(refused(409, "needs-reauth"), token("t1", { api_base_url: home.url }));
  const send = ninjaOne(client(broker.url), "t", "c");
  const first = await Promise.allSettled([send("/v2/devices"), send("/v2/devices")]);
  assert.deepEqual(first.map((each) => each.status), ["rejected", "rejected"]);
  assert.equal((await send("/v2/devices")).status, 200);
});
