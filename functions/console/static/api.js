// The store: who is signed in, and every request to the API.

// The console's files are two levels below the API: /console/{version}/api.js.
export const base = new URL("../../", import.meta.url);

/** Who is signed in, where. Kept until the tab is closed. */
export const session = {
  token: sessionStorage.getItem("token"),
  user: null,
  organizations: [],

  get organization() {
    return Number(sessionStorage.getItem("organization")) || this.organizations[0]?.id || null;
  },

  set organization(id) {
    sessionStorage.setItem("organization", id);
  },

  begin(token) {
    this.token = token;
    sessionStorage.setItem("token", token);
  },

  end() {
    this.token = this.user = null;
    this.organizations = [];
    sessionStorage.clear();
  },
};

/** What the API answered instead of what was asked for. */
export class Problem extends Error {
  constructor(status, fields = {}) {
    const faults = Array.isArray(fields.detail) ? fields.detail : [];
    super(faults.length ? faults.map((each) => `${each.loc?.slice(1).join(".")}: ${each.msg}`).join("; ") : fields.detail ?? fields.message ?? `The API answered with status ${status}.`);
    this.status = status;
    this.code = fields.code ?? "unknown";
    this.title = fields.title ?? "Error";
    this.remedy = fields.remedy ?? "";
    this.requestId = fields.request_id ?? "";
    this.retryAfter = fields.retry_after ?? null;
  }
}

/** The request did not reach the API, or its answer did not come back. */
export class Offline extends Problem {
  constructor() {
    super(0, { title: "No connection", detail: "The API cannot be reached.", code: "offline",
      remedy: "Check your connection, then try again." });
  }
}

/** The path of something in the current organization. */
export function inOrganization(path) {
  return `v1/organizations/${session.organization}/${path}`;
}

/** Send a request with the token, and return the response. Throws Problem and Offline. */
export async function send(method, path, { query, body, headers = {}, signal } = {}) {
  const url = new URL(path.replace(/^\//, ""), base);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  const sent = { Authorization: `Bearer ${session.token}`, ...headers };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  if (method === "POST" && path !== "console/markdown") sent["Idempotency-Key"] = crypto.randomUUID();
  let response;
  try {
    response = await fetch(url, { method, headers: sent, signal, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit", referrerPolicy: "no-referrer" });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Offline();
  }
  if (response.ok) return response;
  const fields = await response.json().catch(() => ({}));
  const problem = new Problem(response.status, { ...fields, retry_after: Number(response.headers.get("Retry-After")) || null });
  if (response.status === 401) signedOut.dispatchEvent(new CustomEvent("refused", { detail: problem }));
  throw problem;
}

/** Tells when the API refuses the token. */
export const signedOut = new EventTarget();

async function read(response) {
  return response.status === 204 ? null : response.json();
}

export const api = {
  get: async (path, query, signal) => read(await send("GET", path, { query, signal })),
  post: async (path, body = {}, query) => read(await send("POST", path, { body, query })),
  patch: async (path, body) => read(await send("PATCH", path, { body })),
  put: async (path, body) => read(await send("PUT", path, { body })),
  delete: async (path, query) => read(await send("DELETE", path, { query })),
};

/** Read who is signed in, and in which organizations. */
export async function identify() {
  const [user, organizations] = await Promise.all([
    api.get("v1/users/me").catch((error) => { if (error.status === 401 || error.status === 0) throw error; return null; }),
    api.get("v1/organizations", { limit: 100 }),
  ]);
  session.user = user;
  session.organizations = organizations.items;
}

// The limits of console/markdown, for one request.
const MOST_TEXTS = 200;
const MOST_CHARACTERS = 200_000;

const trees = new Map();
let waiting = [];

/** Read Markdown as a tree of elements, once per text. All texts of a view go in one request, within its limits. */
export function markdownTree(text) {
  if (!trees.has(text)) {
    if (trees.size > 300) trees.clear();
    const tree = new Promise((resolve, reject) => {
      if (!waiting.length) setTimeout(readMarkdown);
      waiting.push({ text, resolve, reject });
    });
    tree.catch(() => trees.delete(text));
    trees.set(text, tree);
  }
  return trees.get(text);
}

function readMarkdown() {
  const parts = [];
  let room = 0;
  for (const each of waiting) {
    // `length` is at least the number of characters, which the API counts.
    if (!parts.length || each.text.length > room || parts.at(-1)?.length === MOST_TEXTS) {
      parts.push([]);
      room = MOST_CHARACTERS;
    }
    parts.at(-1).push(each);
    room -= each.text.length;
  }
  waiting = [];
  for (const part of parts) {
    send("POST", "console/markdown", { body: { texts: part.map((each) => each.text) } })
      .then((response) => response.json())
      .then((answer) => part.forEach((each, index) => each.resolve(answer.trees[index])))
      .catch((error) => part.forEach((each) => each.reject(error)));
  }
}
