import assert from "node:assert/strict";
import { test } from "node:test";

import * as api from "../src/index.ts";
import { client, closed, listen, refused, token } from "../testing/server.ts";

const SESSION = { session_id: "ses_x", connect_url: "https://connect.example/connect/ses_x", expires_at: 1 };

test("a request is signed for execute-api in the region, and carries its body as JSON", async () => {
  const { url, asked } = await listen({ status: 201, body: SESSION });
  const opened = await client(url).openSession("a tenant", { end_user_id: "7", tenant_name: "A", return_to: "main" });
  assert.deepEqual(opened, SESSION);
  const [request] = asked;
  assert.equal(request?.url, "/v1/tenants/a%20tenant/connect-sessions");
  assert.deepEqual(JSON.parse(request?.body ?? ""), { end_user_id: "7", tenant_name: "A", return_to: "main" });
  assert.match(request?.headers.authorization ?? "", /^AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE\/\d{8}\/eu-west-1\/execute-api\/aws4_request, /);
});

test("the region comes from the address, and a wrong one is refused", async () => {
  assert.doesNotThrow(() => new api.Connect("https://abc.execute-api.eu-west-1.amazonaws.com/"));
  assert.throws(
    () => new api.Connect("https://abc.execute-api.eu-west-1.amazonaws.com", { region: "us-east-1" }),
    api.WrongRegion,
  );
  for (const address of ["http://broker.example", "broker.example", "", "ftp://127.0.0.1"]) {
    assert.throws(() => new api.Connect(address, { region: "eu-west-1" }), /https address/);
  }
});

test("without usable credentials nothing is sent, and the provider's text is not passed on", async () => {
  const { url, asked } = await listen({});
  const failing = client(url, { credentials: async () => Promise.reject(new Error("quotes a secret")) });
  await assert.rejects(failing.connection("t", "c"), (error) => {
    assert.ok(error instanceof api.NoCredentials);
    assert.doesNotMatch(error.message, /secret$/);
    return true;
  });
  assert.equal(asked.length, 0);
});

test("the connections that a token can be had for come by default, others where their status is named", async () => {
  const statuses = ["active", "paused", "needs_reauth", "disconnected", "pending_approval"];
  const all = { connections: statuses.map((status) => ({ connection_id: status, status })), cursor: null };
  const { url } = await listen(...Array.from({ length: 4 }, () => ({ body: all })));
  const broker = client(url);
  const found = async (status?: "any" | "paused" | readonly ("needs_reauth" | "disconnected")[]) => {
    const ids = [];
    for await (const each of broker.connections("t", status ? { status } : {})) ids.push(each.connection_id);
    return ids;
  };
  assert.deepEqual(await found(), ["active", "paused"]);
  assert.deepEqual(await found("any"), statuses);
  assert.deepEqual(await found("paused"), ["paused"]);
  assert.deepEqual(await found(["needs_reauth", "disconnected"]), ["needs_reauth", "disconnected"]);
});

test("every connection comes, page after page", async () => {
  const { url, asked } = await listen(
    { body: { connections: [{ connection_id: "con_1" }], cursor: "next one" } },
    { body: { connections: [{ connection_id: "con_2" }], cursor: null } },
  );
  const found = [];
  for await (const each of client(url).connections("t", { pageSize: 1, status: "any" })) found.push(each.connection_id);
  assert.deepEqual(found, ["con_1", "con_2"]);
  assert.deepEqual(asked.map((each) => each.url), [
    "/v1/tenants/t/connections?limit=1",
    "/v1/tenants/t/connections?limit=1&cursor=next+one",
  ]);
});

test("a problem is an error of its own class, which says what to do and where to look", async () => {
  const { url } = await listen(refused(400, "invalid-request", { faults: [{ field: "label", message: "Too long." }] }));
  await assert.rejects(client(url).connection("t", "c"), (error) => {
    assert.ok(error instanceof api.InvalidRequest && error instanceof api.CallerError && error instanceof api.Problem);
    assert.equal(error.name, "InvalidRequest");
    assert.equal(error.message, "What to do. label: Too long. [r-1]");
    assert.deepEqual(error.faults, [{ field: "label", message: "Too long." }]);
    return true;
  });
});

test("a problem of a newer broker is a Problem", async () => {
  for (const slug of ["something-new", "constructor", "__proto__"]) {
    const { url } = await listen(refused(409, slug));
    await assert.rejects(client(url).connection("t", "c"), (error) => {
      assert.equal((error as Error).constructor, api.Problem);
      return true;
    });
  }
});

test("what may pass is asked again within the time given, and not beyond it", async () => {
  const busy = refused(503, "busy", { retry_after: 0.01 });
  const passing = await listen(busy, busy, busy, busy, busy, busy, token("t1"));
  assert.equal((await client(passing.url).token("t", "c")).access_token, "t1");
  assert.equal(passing.asked.length, 7);

  const lasting = await listen(refused(503, "busy", { retry_after: 30 }));
  await assert.rejects(client(lasting.url).token("t", "c"), api.Busy);
  assert.equal(lasting.asked.length, 1);
});

test("what does not pass is not asked again", async () => {
  const { url, asked } = await listen(refused(409, "needs-reauth", { reason: "revoked" }));
  await assert.rejects(client(url).token("t", "c"), (error) => error instanceof api.NeedsReauth && error.reason === "revoked");
  assert.equal(asked.length, 1);
});

test("a lost answer is asked for again only where that is safe", async () => {
  const safe = await listen({ hangUp: true }, { body: { connection_id: "con_1" } });
  const request = { end_user_id: "7", ticket: "t", binding_verifier: "v" };
  assert.equal((await client(safe.url).complete("t", "ses_x", request)).connection_id, "con_1");

  const unsafe = await listen({ hangUp: true }, { status: 201, body: SESSION });
  await assert.rejects(client(unsafe.url).openSession("t", { end_user_id: "7", tenant_name: "A", return_to: "main" }), api.NoAnswer);
  assert.equal(unsafe.asked.length, 1);
});

test("nothing listens: the error says that nothing was sent", async () => {
  await assert.rejects(client(await closed(), { maxWait: 0 }).connection("t", "c"), api.NotReached);
});

test("answers of API Gateway itself", async () => {
  const clock = await listen({ status: 403, headers: { date: new Date(Date.now() - 600_000).toUTCString() }, body: { message: "Forbidden" } });
  await assert.rejects(client(clock.url).connection("t", "c"), (error) => error instanceof api.ClockSkew && /ahead/.test(error.message));

  const forbidden = await listen({ status: 403, headers: { date: new Date().toUTCString() }, body: { message: "Forbidden" } });
  await assert.rejects(client(forbidden.url).connection("t", "c"), api.Forbidden);

  for (const answer of [{ status: 404, body: "<html>" }, { status: 200, body: "<html>" }, { status: 200, body: "[]" }, { status: 302 }]) {
    const other = await listen(answer);
    await assert.rejects(client(other.url).connection("t", "c"), api.NotTheBroker);
  }

  const down = await listen({ status: 503, body: { message: "Service Unavailable" } });
  await assert.rejects(client(down.url, { maxWait: 0.1 }).connection("t", "c"), api.NoAnswer);
});

test("no name leads to another path", async () => {
  const { url, asked } = await listen({ body: {} });
  const connect = client(url);
  for (const name of ["", ".", ".."]) {
    assert.throws(() => connect.connection(name, "con_1"), TypeError);
    assert.throws(() => connect.token("t", name), TypeError);
    assert.throws(() => connect.ninjaOne(name, "con_1"), TypeError);
    await assert.rejects(connect.connections(name).next(), TypeError);
  }
  assert.equal(asked.length, 0);
});

test("a verifier and its challenge fit, and no two are alike", () => {
  const [one, other] = [api.newVerifier(), api.newVerifier()];
  assert.match(one.verifier, /^[A-Za-z0-9_-]{43}$/);
  assert.match(one.challenge, /^[A-Za-z0-9_-]{43}$/);
  assert.notEqual(one.verifier, other.verifier);
});
