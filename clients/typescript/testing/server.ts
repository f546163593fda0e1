/** An HTTP server on loopback that answers from a list, and remembers what it was asked. */

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";

import { Connect, type ConnectOptions } from "../src/index.ts";

export interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
  /** Close the connection without an answer. */
  readonly hangUp?: boolean;
}

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface Listening {
  readonly url: string;
  readonly asked: Asked[];
}

/** Answer the n-th request with the n-th answer, and every later one with the last. */
export async function listen(...answers: Answer[]): Promise<Listening> {
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answer = answers[Math.min(asked.length, answers.length - 1)] ?? {};
    asked.push({
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    });
    if (answer.hangUp) {
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
    response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body ?? {}));
  });
  const url = await started(server);
  return { url, asked };
}

async function started(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** An address at which nothing listens any more. */
export async function closed(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

/** A client with the example keys of AWS's documentation, which open nothing. */
export function client(url: string, options: ConnectOptions = {}): Connect {
  const credentials = { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
  return new Connect(url, { region: "eu-west-1", credentials, ...options });
}

/** An answer as the broker gives it when it refuses. */
export function refused(status: number, slug: string, more: Record<string, unknown> = {}): Answer {
  const body = { type: `urn:ninjaone-connect:problem:${slug}`, title: slug, status, detail: "What to do.", request_id: "r-1", ...more };
  return { status, headers: { "content-type": "application/problem+json" }, body };
}

export function token(name: string, more: Record<string, unknown> = {}): Answer {
  const expires_at = Math.floor(Date.now() / 1000) + 3600;
  return {
    body: { access_token: name, token_type: "Bearer", expires_at, expires_in: 3600, api_base_url: "https://eu.ninjarmm.com", version: 1, ...more },
  };
}
