/**
 * Drives the client through rows of (operation, status, content type, body) and prints what came of each.
 *
 * Standard input: a JSON array of rows. Standard output: a JSON array of `{value: [names]}` or `{error: class name}`.
 */

import { text } from "node:stream/consumers";

import { Connect, ConnectError } from "../src/index.ts";

interface Row {
  readonly operation: string;
  readonly status: number;
  readonly content_type: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

const CALLS: Record<string, (connect: Connect) => Promise<object>> = {
  session: (connect) => connect.openSession("t", { end_user_id: "u", tenant_name: "T", return_to: "main" }),
  complete: (connect) => connect.complete("t", "ses_1", { end_user_id: "u", ticket: "k", binding_verifier: "v" }),
  connections: async (connect) => {
    const page = await connect.connections("t").next();
    return page.done ? {} : page.value;
  },
  connection: (connect) => connect.connection("t", "con_1"),
  disconnect: (connect) => connect.disconnect("t", "con_1"),
  token: (connect) => connect.token("t", "con_1"),
  proxy: async (connect) => ({ status: (await connect.ninjaOne("t", "con_1")("/v2/devices")).status }),
  approve: (connect) => connect.approve("t", "con_1"),
};

async function outcome(row: Row): Promise<object> {
  const headers = { ...row.headers, "content-type": row.content_type, date: new Date().toUTCString() };
  const answer = async () => new Response(JSON.stringify(row.body), { status: row.status, headers });
  const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
  const connect = new Connect("https://broker.example", { region: "eu-west-1", credentials, maxWait: 0, fetch: answer });
  const call = CALLS[row.operation];
  if (!call) return { error: `no method for ${row.operation}` };
  try {
    return { value: Object.keys(await call(connect)).sort() };
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    return { error: error.name, message: error.message };
  }
}

const rows = JSON.parse(await text(process.stdin)) as Row[];
process.stdout.write(JSON.stringify(await Promise.all(rows.map(outcome))));
