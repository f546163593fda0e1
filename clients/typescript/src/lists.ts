/**
 * NinjaOne's lists, read to their end: all of it, or a `ListIncomplete`; never a short list that looks whole.
 *
 * There are seven ways to the next page (the broker's docs/understand/ninjaone.md §12). None of them says reliably which
 * page is the last, so the next one is asked for until it is empty.
 */

import { setTimeout as sleep } from "node:timers/promises";

import { ConnectError, CursorExpired, CursorRepeats, ListIncomplete, NoAnswer, NotJson, Retryable, TooManyRequests } from "./errors.ts";
import type { NinjaOneFetch } from "./ninjaone.ts";

export type Family = "after" | "anchor" | "activities" | "cursor" | "cursor-name" | "board" | "whole";
export type Params = Readonly<Record<string, string | number | boolean>>;
/** One row of a list, as NinjaOne gives it. */
export type Row = Record<string, unknown>;

export interface PagesOptions {
  /** Filters that NinjaOne is asked for, such as `{ df: "org = 1" }`. */
  readonly params?: Params;
  /** How the list is continued; only needed for a path that this module does not know. */
  readonly family?: Family;
  /** Rows to ask for, 100 by default; NinjaOne may give fewer. */
  readonly pageSize?: number;
  /** Seconds that the whole list may spend waiting before pages are asked for again; 60 by default. */
  readonly maxWait?: number;
}

/** One page. `mark` differs from page to page: twice the same means that NinjaOne repeats itself. */
interface Page {
  readonly rows: readonly Row[];
  /** What asks for the next page; undefined on the last one. */
  readonly following: Params | undefined;
  readonly mark: string | undefined;
  /** The offset of the cursor, where the family has one. */
  readonly offset?: number;
}

/** The outcome of requesting a page: an answer with its text, or why there is none. */
type Answer =
  | { readonly response: Response; readonly text: string }
  | { readonly lost: string; readonly status?: number; readonly retryAfter?: number | undefined };

const PAGE_SIZE = 100;
const MAX_WAIT = 60;
const FIRST_WAIT = 0.5;
const LONGEST_WAIT = 15;
const TIMEOUT_MS = 60_000;
const MAY_PASS = new Set([429, 502, 503]);
const CURSOR_GONE = new Set([400, 404, 410]);

const PATHS: readonly (readonly [RegExp, Family])[] = [
  [/^(devices|organizations|locations)$/, "after"],
  [/^(queries\/[^/]+|backup\/jobs)$/, "cursor"],
  [/^activities$/, "activities"],
  [/^custom-fields$/, "cursor-name"],
  [/^ticketing\/trigger\/board\/[^/]+\/run$/, "board"],
  [/^ticketing\/ticket\/[^/]+\/log-entry$/, "anchor"],
  [/^(alerts|users|groups|policies)$/, "whole"],
];

/** The answer has another shape than the family's, or says where to go on in a way that can't be followed. */
class NoPage extends Error {}
/** `JSON.parse` rounds such a number, and the list would go on behind rows that were never given. */
const INEXACT = "a number that JavaScript can't hold exactly (use the Python client)";

const READERS: Readonly<Record<Family, (body: unknown) => Page>> = {
  after: (body) => byLastId(body, "after"),
  anchor: (body) => byLastId(body, "anchorId"),
  activities: (body) => byPosition(member(body, "activities"), "olderThan", member(body, "lastActivityId")),
  board: (body) => byPosition(member(body, "data"), "lastCursorId", member(member(body, "metadata"), "lastCursorId")),
  cursor: readCursor,
  "cursor-name": readCursorName,
  whole: (body) => ({ rows: rowsOf(body), following: undefined, mark: undefined }),
};

function byLastId(body: unknown, name: string): Page {
  const rows = rowsOf(body);
  return byPosition(rows, name, rows.length ? member(rows[rows.length - 1], "id") : 0);
}

function byPosition(list: unknown, name: string, last: unknown): Page {
  const rows = rowsOf(list);
  if (typeof last !== "number" && typeof last !== "string") throw new NoPage();
  if (typeof last === "number" && !Number.isSafeInteger(last)) throw new NoPage(INEXACT);
  return { rows, following: rows.length ? { [name]: last } : undefined, mark: String(last) };
}

/** The cursor keeps its name while its offset moves; the last page may come without it. */
function readCursor(body: unknown): Page {
  const rows = rowsOf(member(body, "results"));
  const cursor = (body as Row)["cursor"];
  if (cursor === undefined || cursor === null) return { rows, following: undefined, mark: undefined };
  const [name, offset] = [member(cursor, "name"), member(cursor, "offset")];
  if (typeof name !== "string" || typeof offset !== "number") throw new NoPage();
  return { rows, following: rows.length ? { cursor: name } : undefined, mark: `${name} ${offset}`, offset };
}

/** Nothing but the rows tells one page from another. */
function readCursorName(body: unknown): Page {
  const rows = rowsOf(member(body, "results"));
  const name = member(body, "page");
  const following = rows.length && name ? { cursorName: String(name) } : undefined;
  return { rows, following, mark: JSON.stringify(rows) };
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) throw new NoPage();
  return (value as Row)[name];
}

function rowsOf(value: unknown): readonly Row[] {
  if (!Array.isArray(value)) throw new NoPage();
  return value as Row[];
}

/**
 * Give a list page by page, to its end: `for await (const page of pages(ninjaOne(…), "/v2/devices"))`.
 *
 * After 429, 502, 503 or a lost connection a GET is sent again, as late as `Retry-After` says; nothing else ever is.
 * Rejects with `ListIncomplete`, `CursorExpired`, `CursorRepeats` or what `send` rejects with.
 */
export async function* pages<T = Row>(
  send: NinjaOneFetch,
  path: string,
  options: PagesOptions = {},
): AsyncGenerator<readonly T[], void, undefined> {
  const reader = new ListReader(path, options);
  while (!reader.ended) {
    const found = reader.judge(await ask(send, ...reader.request()));
    if (typeof found === "number") await sleep(found * 1000);
    else if (found.length) yield found as readonly T[];
  }
}

async function ask(send: NinjaOneFetch, target: string, init: RequestInit): Promise<Answer> {
  try {
    const response = await send(target, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    return { response, text: await response.text() };
  } catch (error) {
    if (error instanceof NotJson || !(error instanceof Error)) throw error;
    if (error instanceof Retryable || error instanceof TooManyRequests) {
      return { lost: error.name, status: error.status, retryAfter: error.retryAfter };
    }
    if (error instanceof NoAnswer) return { lost: error.name };
    if (error instanceof ConnectError) throw error;
    if (error instanceof TypeError || error.name === "TimeoutError") return { lost: "lost connection" };
    throw error;
  }
}

/** One list on its way to its end. */
class ListReader {
  ended = false;
  #path: string;
  #family: Family;
  #params: Params;
  #following: Params = {};
  #marks = new Set<string | undefined>();
  #rows = 0;
  /** Whether the offset counts the rows up to the end of a page; undefined where it counts something unknown. */
  #offsetIsEnd: boolean | undefined;
  #waitLeft: number;
  #nextWait = FIRST_WAIT;
  #inDoubt = false;

  constructor(path: string, options: PagesOptions) {
    this.#path = path;
    this.#family = options.family ?? familyOf(path);
    const size = this.#family === "whole" ? {} : { pageSize: options.pageSize ?? PAGE_SIZE };
    this.#params = { ...options.params, ...size };
    this.#waitLeft = options.maxWait ?? MAX_WAIT;
  }

  /** Say what to ask `fetch` for, to get the next page. */
  request(): [string, RequestInit] {
    const asked = { ...this.#params, ...this.#following };
    if (this.#family === "board") {
      return [this.#path, { method: "POST", body: JSON.stringify(asked), headers: { "content-type": "application/json" } }];
    }
    const pairs = Object.entries(asked).map(([name, value]) => [name, String(value)]);
    return [pairs.length ? `${this.#path}?${new URLSearchParams(pairs)}` : this.#path, {}];
  }

  /** Read the page; or say how many seconds to wait before asking for it again. Throws `ListIncomplete`. */
  judge(answer: Answer): readonly Row[] | number {
    if ("lost" in answer) return this.#again(answer.lost, answer.status, answer.retryAfter);
    const { response, text } = answer;
    const { status } = response;
    if (MAY_PASS.has(status)) return this.#again(`status ${status}`, status, retryAfter(response.headers.get("retry-after")));
    if (!response.ok) throw this.#refused(response.status, errorName(text));
    return this.#take(this.#read(response, text));
  }

  /** Say how long to wait. What is no GET is never sent twice, nor a page of a cursor that can't be checked. */
  #again(what: string, status?: number, named?: number): number {
    const lost = status !== 429; // NinjaOne may have given the page and moved its cursor on
    const wait = named === undefined ? this.#nextWait * (0.5 + Math.random() / 2) : Math.max(named, FIRST_WAIT);
    const unchecked = lost && this.#family === "cursor-name" && this.#marks.size > 0;
    if (this.#family === "board" || unchecked || wait > this.#waitLeft) {
      throw new ListIncomplete(this.#sentence(`gave no page (${what}); ask for the list again later`), status);
    }
    this.#waitLeft -= wait;
    this.#nextWait = Math.min(this.#nextWait * 2, LONGEST_WAIT);
    this.#inDoubt ||= lost;
    return wait;
  }

  #refused(status: number, name: string): ListIncomplete {
    if (this.#family.startsWith("cursor") && this.#marks.size && CURSOR_GONE.has(status)) {
      const advice = "the cursor has ended. Read on without long breaks, or ask for larger pages";
      return new CursorExpired(this.#sentence(`refused the next page (${status} ${name}): ${advice}`), status);
    }
    return new ListIncomplete(this.#sentence(`refused the page (${status} ${name})`), status);
  }

  #read(response: Response, text: string): Page {
    try {
      if (response.status !== 200) throw new NoPage(); // a 202 or a 206: the list is not there yet, or not all of it
      return READERS[this.#family](JSON.parse(text));
    } catch (error) {
      const kind = response.headers.get("content-type") ?? "no content type";
      const inexact = error instanceof NoPage && error.message;
      const what = `answered ${response.status} with ${inexact || `something that is no page of this list (${kind})`}`;
      throw new ListIncomplete(this.#sentence(what), response.status);
    }
  }

  #take(page: Page): readonly Row[] {
    if (page.rows.length && page.mark !== undefined && this.#marks.has(page.mark)) {
      throw new CursorRepeats(this.#sentence("gives the same page again and again"));
    }
    this.#checkOffset(page);
    this.#marks.add(page.mark);
    this.#rows += page.rows.length;
    this.#following = page.following ?? {};
    this.ended = page.following === undefined;
    this.#nextWait = FIRST_WAIT;
    this.#inDoubt = false;
    return page.rows;
  }

  /** After a lost answer, see by the cursor's offset that no page was lost with it. */
  #checkOffset(page: Page): void {
    if (this.#family !== "cursor") return;
    if (this.#marks.size === 0) {
      this.#offsetIsEnd = page.offset === page.rows.length ? true : page.offset === 0 ? false : undefined;
    } else if (this.#inDoubt && page.offset !== this.#expectedOffset(page)) {
      throw new ListIncomplete(this.#sentence("may have lost a page with an answer; ask for the list again"));
    }
  }

  #expectedOffset(page: Page): number {
    if (this.#offsetIsEnd === undefined) return -1;
    return this.#rows + (this.#offsetIsEnd ? page.rows.length : 0);
  }

  #sentence(what: string): string {
    return `NinjaOne ${what}. ${this.#rows} rows of ${this.#path} were read, and there may be more.`;
  }
}

function familyOf(path: string): Family {
  const name = path.replace(/^(\/api)?\/v2\//, "");
  const found = PATHS.find(([pattern]) => pattern.test(name));
  if (!found) throw new TypeError(`It is not known how ${path} is continued: name its family, such as { family: "after" }.`);
  return found[1];
}

/** Read which error NinjaOne names; its texts stay behind. */
function errorName(text: string): string {
  try {
    const { error, resultCode } = JSON.parse(text) as Row;
    return String(error ?? resultCode ?? "no name").slice(0, 60);
  } catch {
    return "no JSON";
  }
}

/** Read the seconds to wait, however a server writes them; a date begins with a letter. Source: RFC 9110 §10.2.3. */
function retryAfter(text: string | null): number | undefined {
  if (!text) return undefined;
  const seconds = /^\d+(?:\.\d+)?/.exec(text);
  if (seconds) return Number(seconds[0]);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max((date - Date.now()) / 1000, 0);
}
