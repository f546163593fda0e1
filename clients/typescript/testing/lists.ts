/**
 * Reads lists of an emulator and prints what came of each.
 *
 * Standard input: a JSON array of cases. Standard output: a JSON array of `{ids}`, or `{error, status}`.
 */

import { text } from "node:stream/consumers";

import { ConnectError, ListIncomplete, pages, type PagesOptions } from "../src/index.ts";

interface Case {
  readonly base: string;
  readonly bearer: string;
  readonly path: string;
  readonly options: PagesOptions;
}

async function outcome({ base, bearer, path, options }: Case): Promise<object> {
  const send = (target: string | URL | Request, init?: RequestInit) =>
    fetch(`${base}${String(target)}`, { ...init, headers: { ...init?.headers, authorization: bearer } });
  const ids: unknown[] = [];
  try {
    for await (const page of pages(send, path, options)) ids.push(...page.map((row) => row["id"] ?? row["deviceId"]));
    return { ids };
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    return { error: error.name, status: error instanceof ListIncomplete ? error.status : null, read: ids.length };
  }
}

const cases = JSON.parse(await text(process.stdin)) as Case[];
process.stdout.write(JSON.stringify(await Promise.all(cases.map(outcome))));
