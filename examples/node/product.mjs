// A product in Node whose users connect NinjaOne, written from openapi/api.yaml alone: no SDK, no packages.
// Settings: see local.env. Run it with: node product.mjs

import { createHash, createHmac, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { BACKEND_API_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN } = process.env;
const { RETURN_TO = "main", EXAMPLE_PORT = "8004" } = process.env;
const TENANTS = new Map([["ana", "northwind"], ["ben", "southgate"]]); // who works for which of your customers
const sessions = new Map(); // session cookie → {user, begun: connect session → verifier}

const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();

/** AWS Signature Version 4 for execute-api: the headers of one request. */
function signed(method, url, body) {
  const now = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const scope = `${now.slice(0, 8)}/${AWS_REGION}/execute-api/aws4_request`;
  const headers = { host: url.host, "x-amz-date": now };
  if (AWS_SESSION_TOKEN) headers["x-amz-security-token"] = AWS_SESSION_TOKEN;
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join("");
  const path = url.pathname.split("/").map(encodeURIComponent).join("/");
  const noQuery = ""; // none of these calls has one
  const canonical = [method, path, noQuery, lines, names.join(";"), sha256(body)].join("\n");
  const key = scope.split("/").reduce(hmac, `AWS4${AWS_SECRET_ACCESS_KEY}`);
  const signature = hmac(key, ["AWS4-HMAC-SHA256", now, scope, sha256(canonical)].join("\n")).toString("hex");
  const credential = `Credential=${AWS_ACCESS_KEY_ID}/${scope}, SignedHeaders=${names.join(";")}`;
  return { ...headers, authorization: `AWS4-HMAC-SHA256 ${credential}, Signature=${signature}` };
}

/** Call the broker; a refusal is thrown as its problem details. */
async function broker(method, path, wish) {
  const url = new URL(BACKEND_API_URL + path);
  const body = wish ? JSON.stringify(wish) : "";
  const headers = { ...signed(method, url, body), ...(wish && { "content-type": "application/json" }) };
  const answer = await fetch(url, { method, headers, ...(wish && { body }) });
  const said = await answer.json();
  if (!answer.ok) throw { status: answer.status, ...said };
  return said;
}

async function begin({ user, begun }, tenant, query) {
  const verifier = randomBytes(32).toString("base64url");
  const opened = await broker("POST", `/v1/tenants/${tenant}/connect-sessions`, {
    end_user_id: user,
    tenant_name: tenant,
    return_to: RETURN_TO,
    binding_challenge: createHash("sha256").update(verifier).digest("base64url"),
    ...(query.has("connection") && { connection_id: query.get("connection") }), // to reconnect that one
  });
  begun.set(opened.session_id, verifier);
  return { to: opened.connect_url };
}

async function comeBack({ user, begun }, tenant, query) {
  const id = query.get("connect_session");
  if (!id) return { to: "/" }; // the button of a page that could not say which
  const verifier = begun.get(id); // kept: whose answer was lost loads this page again
  if (query.has("error") || !verifier) throw { status: 400, detail: query.get("error") ?? "Not begun here." };
  const proof = { end_user_id: user, ticket: query.get("ticket") ?? "", binding_verifier: verifier };
  const made = await broker("POST", `/v1/tenants/${tenant}/connect-sessions/${id}/complete`, proof);
  return { to: `/ninjaone/${made.connection_id}` };
}

async function organizations(_, tenant, _query, connection) {
  const token = await broker("POST", `/v1/tenants/${tenant}/connections/${connection}/token`, {});
  const answer = await fetch(`${token.api_base_url}/v2/organizations`, { headers: { authorization: `Bearer ${token.access_token}` } });
  return { json: await answer.json() };
}

async function disconnect(_, tenant, _query, connection) {
  const { revoked } = await broker("DELETE", `/v1/tenants/${tenant}/connections/${connection}`);
  return { json: { revoked } };
}

/** Your own sign-in goes here. */
function signIn(user) {
  const cookie = randomBytes(16).toString("hex");
  sessions.set(cookie, { user, begun: new Map() });
  return { cookie, to: "/" };
}

async function route(request, url) {
  const [, first, second, third] = url.pathname.split("/");
  if (url.pathname === "/") return { html: readFileSync(new URL("../sites/home.html", import.meta.url)) };
  if (request.method === "POST" && first === "sign-in") return signIn(second);
  const session = sessions.get(/product=(\w+)/.exec(request.headers.cookie ?? "")?.[1]);
  const tenant = TENANTS.get(session?.user);
  if (!tenant) throw { status: 401, detail: "Sign in first." };
  const views = { "POST connect": begin, "GET return": comeBack, "GET": organizations, "POST disconnect": disconnect };
  const view = views[`${request.method} ${second}`] ?? views[`${request.method} ${third ?? ""}`.trim()];
  if (first !== "ninjaone" || !view) throw { status: 404, detail: "There is no such page." };
  return view(session, tenant, url.searchParams, second);
}

createServer(async (request, response) => {
  const answer = await route(request, new URL(request.url, "http://localhost")).catch(
    ({ status = 500, detail = "Something went wrong.", reconnect }) => ({
      status,
      json: { detail, reconnect: reconnect && `/ninjaone/connect?connection=${reconnect.connection_id}` },
    }),
  );
  if (answer.cookie) response.setHeader("set-cookie", `product=${answer.cookie}; HttpOnly; SameSite=Lax; Path=/`);
  if (answer.to) response.setHeader("location", answer.to);
  const kind = answer.html ? "text/html" : "application/json";
  response.writeHead(answer.status ?? (answer.to ? 303 : 200), { "content-type": `${kind}; charset=utf-8` });
  response.end(answer.html ?? JSON.stringify(answer.json ?? {}));
}).listen(Number(EXAMPLE_PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${EXAMPLE_PORT}`));
