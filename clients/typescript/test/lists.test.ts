import assert from "node:assert/strict";
import { test } from "node:test";

import { CursorRepeats, ListIncomplete, NeedsReauth, ninjaOne, pages } from "../src/index.ts";
import { type Answer, client, listen, refused, token } from "../testing/server.ts";

async function account(...answers: Answer[]) {
  const home = await listen(...answers);
  const broker = await listen(token("t1", { api_base_url: home.url }));
  return { home, send: ninjaOne(client(broker.url), "t", "con_1") };
}

async function all(list: AsyncIterable<readonly unknown[]>): Promise<unknown[]> {
  const found = [];
  for await (const page of list) found.push(...page);
  return found;
}

/** A page of twenty rows of a report. */
function report(number: number, offset: number): Answer {
  const results = Array.from({ length: 20 }, (_, row) => ({ deviceId: number * 20 + row }));
  return { body: { results, cursor: { name: "c", offset } } };
}

test("pages are asked for with the filters, the size and the last id, until one is empty", async () => {
  const { home, send } = await account({ body: [{ id: 1 }, { id: 7 }] }, { body: [{ id: 9 }] }, { body: [] });
  assert.deepEqual(await all(pages(send, "/v2/devices", { params: { df: "org = 1" }, pageSize: 2 })), [{ id: 1 }, { id: 7 }, { id: 9 }]);
  assert.deepEqual(home.asked.map((each) => each.url), [
    "/v2/devices?df=org+%3D+1&pageSize=2",
    "/v2/devices?df=org+%3D+1&pageSize=2&after=7",
    "/v2/devices?df=org+%3D+1&pageSize=2&after=9",
  ]);
});

test("a path of an unknown family asks for its name", async () => {
  const { home, send } = await account({ body: [] });
  await assert.rejects(all(pages(send, "/v2/something-new")), /family: "after"/);
  assert.deepEqual(await all(pages(send, "/v2/something-new", { family: "whole" })), []);
  assert.equal(home.asked.length, 1);
});

test("an error of the broker reaches the caller as it is, and is no reason to wait", async () => {
  const broker = await listen(refused(409, "needs-reauth"));
  await assert.rejects(all(pages(ninjaOne(client(broker.url), "t", "c"), "/v2/devices")), NeedsReauth);
  assert.equal(broker.asked.length, 1);
});

test("an offset may count from the beginning of a page or its end, and shows whether a page was lost", async () => {
  for (const [first, next, whole] of [[0, 20, true], [20, 40, true], [0, 40, false], [20, 60, false], [7, 27, false]] as const) {
    const { send } = await account(report(0, first), { status: 502 }, report(1, next), { body: { results: [] } });
    const found = all(pages(send, "/v2/queries/software"));
    if (whole) assert.equal((await found).length, 40);
    else await assert.rejects(found, /may have lost a page/);
  }
});

test("a list that does not move on is told", async () => {
  for (const [path, body] of [
    ["/v2/devices", [{ id: 1 }]],
    ["/v2/activities", { lastActivityId: 1, activities: [{ id: 1 }] }],
    ["/v2/ticketing/trigger/board/1/run", { data: [{ id: 1 }], metadata: { lastCursorId: 1 } }],
  ] as const) {
    const { home, send } = await account({ body });
    await assert.rejects(all(pages(send, path)), CursorRepeats);
    assert.equal(home.asked.length, 2);
  }
});

test("a number that JavaScript rounds ends the list with an error, and leaves out no rows", async () => {
  for (const [path, body] of [
    ["/v2/devices", '[{"id": 9007199254740995}]'],
    ["/v2/ticketing/ticket/1/log-entry", '[{"id": 1}, {"id": 9007199254740993}]'],
    ["/v2/activities", '{"lastActivityId": 1e300, "activities": [{"id": 1}]}'],
    ["/v2/ticketing/trigger/board/1/run", '{"data": [{"id": 1}], "metadata": {"lastCursorId": 9007199254740993}}'],
  ] as const) {
    const { home, send } = await account({ body });
    await assert.rejects(all(pages(send, path)), (error) => error instanceof ListIncomplete && /JavaScript can't hold/.test(error.message));
    assert.equal(home.asked.length, 1);
  }
});

test("a list that is not there yet, or not all of it, is an error", async () => {
  for (const status of [201, 202, 206]) {
    const { send } = await account({ status, body: [] });
    await assert.rejects(all(pages(send, "/v2/alerts")), new RegExp(`answered ${status} with something that is no page`));
  }
});

test("a page of another shape is an error", async () => {
  const shapes = [
    ["/v2/devices", { error: "x" }], ["/v2/devices", [{ name: "no id" }]], ["/v2/devices", "<html>"],
    ["/v2/queries/software", []], ["/v2/queries/software", {}], ["/v2/queries/software", null],
    ["/v2/activities", { activities: [{ id: 1 }] }], ["/v2/custom-fields", { results: [{ id: 1 }] }],
    ["/v2/ticketing/trigger/board/1/run", { data: [] }],
  ] as const;
  for (const [path, body] of shapes) {
    const { send } = await account({ body: body === null ? "null" : body });
    await assert.rejects(all(pages(send, path)), (error) => error instanceof ListIncomplete && /no page of this list/.test(error.message));
  }
});
