/** GET /ninjaone/{connection}/devices: a route handler for the App Router of Next.js. It runs on Node, not on the edge. */

import { createHmac, timingSafeEqual } from "node:crypto";

import { Connect, NeedsReauth, pages, Problem } from "ninjaone-connect";

export const runtime = "nodejs";

interface Device {
  readonly id: number;
  readonly systemName: string;
}

const TENANTS = new Map([["ana", "northwind"], ["ben", "southgate"]]); // who works for which of your customers
let made: Connect | undefined;

export async function GET(request: Request, { params }: { params: Promise<{ connection: string }> }): Promise<Response> {
  const tenant = tenantOf(request.headers.get("cookie") ?? "");
  if (!tenant) return Response.json({ detail: "Sign in first." }, { status: 401 });
  const { connection } = await params;
  try {
    const devices: Device[] = [];
    for await (const page of pages<Device>(connect().ninjaOne(tenant, connection), "/v2/devices", { maxWait: 5 })) {
      devices.push(...page);
    }
    return Response.json(devices.map(({ id, systemName }) => ({ id, systemName })));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return Response.json({ detail: error.detail, reconnect: error instanceof NeedsReauth }, { status: error.status });
  }
}

/** Made with the first request: `next build` loads this file without the settings of the deployment. */
function connect(): Connect {
  made ??= new Connect(setting("BACKEND_API_URL"));
  return made;
}

/** Your sign-in goes here. This one takes a cookie `user=NAME.SIGNATURE`, which only the holder of SECRET can sign. */
function tenantOf(cookies: string): string | undefined {
  const [, user = "", signature = ""] = /(?:^|; )user=(\w+)\.([\w-]+)(?:;|$)/.exec(cookies) ?? [];
  const right = Buffer.from(createHmac("sha256", setting("SECRET")).update(user).digest("base64url"));
  const given = Buffer.from(signature);
  return given.length === right.length && timingSafeEqual(given, right) ? TENANTS.get(user) : undefined;
}

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`Set ${name}.`);
  return value;
}
