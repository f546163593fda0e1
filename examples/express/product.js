/** A product in Express whose users connect NinjaOne; no token of theirs reaches it. Your sign-in sets the session's user. */

import cookieSession from "cookie-session";
import express from "express";
import { Connect, NeedsReauth, newVerifier, pages, Problem } from "ninjaone-connect";

const { BACKEND_API_URL, RETURN_TO = "main", SECRET } = process.env;
const TENANTS = new Map([["ana", "northwind"], ["ben", "southgate"]]); // who works for which of your customers
const connect = new Connect(BACKEND_API_URL);

export const app = express();
app.use(cookieSession({ name: "product", secret: SECRET, sameSite: "lax" }));

app.use("/ninjaone", (request, response, next) => {
  response.locals.user = request.session.user;
  response.locals.tenant = TENANTS.get(request.session.user);
  if (response.locals.tenant) next();
  else response.status(401).json({ detail: "Sign in first." });
});

app.param("connection", (_, response, next, id) => {
  response.locals.connection = id;
  next();
});

app.post("/ninjaone/connect", async (request, response) => {
  const { user, tenant } = response.locals;
  const { connection } = request.query; // to reconnect that one
  const { verifier, challenge } = newVerifier();
  const opened = await connect.openSession(tenant, {
    end_user_id: user,
    tenant_name: tenant,
    return_to: RETURN_TO,
    binding_challenge: challenge,
    ...(connection && { connection_id: connection }),
  });
  request.session[opened.session_id] = verifier;
  response.redirect(303, opened.connect_url);
});

app.get("/ninjaone/return", async (request, response) => {
  const { user, tenant } = response.locals;
  const { connect_session: id, ticket, error } = request.query;
  if (!id) return response.redirect(303, "/"); // the button of a page that could not say which
  const verifier = request.session[id];
  if (error || !verifier) return response.status(400).json({ detail: error ?? "This connection was not begun here." });
  const made = await connect.complete(tenant, id, { end_user_id: user, ticket, binding_verifier: verifier });
  delete request.session[id]; // not before: a call that failed is made again by loading this page again
  response.redirect(303, `/ninjaone/${made.connection_id}`);
});

app.get("/ninjaone/:connection", async (_, response) => {
  response.json(await list(response.locals, "/v2/organizations"));
});

app.get("/ninjaone/:connection/devices", async (_, response) => {
  response.json(await list(response.locals, "/v2/devices"));
});

app.post("/ninjaone/:connection/disconnect", async (_, response) => {
  const { tenant, connection } = response.locals;
  const { revoked } = await connect.disconnect(tenant, connection);
  response.json({ revoked });
});

app.use((error, _, response, next) => {
  if (!(error instanceof Problem)) return next(error);
  const again = error instanceof NeedsReauth && `/ninjaone/connect?connection=${response.locals.connection}`;
  response.status(error.status).json({ detail: error.detail, ...(again && { reconnect: again }) });
});

/** Read a list of NinjaOne's to its end, through the broker. */
async function list({ tenant, connection }, path) {
  const rows = [];
  for await (const page of pages(connect.ninjaOne(tenant, connection), path, { maxWait: 5 })) rows.push(...page);
  return rows;
}
