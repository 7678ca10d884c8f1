// The list of runs: as cards or as a dense table, live, with filters in the address.

import { api, inOrganization } from "./api.js";
import { countRuns } from "./badges.js";
import { readRepositories } from "./choices.js";
import { fill, h, icon, nameOf, refocus } from "./elements.js";
import { LIVE, count, duration, place, titleOf, word } from "./format.js";
import { may } from "./role.js";
import { sharing } from "./sharing.js";
import { attempt, button, choice, empty, heading, iconButton, problem, pullRequests, since, skeleton, star, status, ticking } from "./widgets.js";

const SIZE = 25;
const WHILE_LIVE = 4000;
const WHILE_QUIET = 15000;
const STATUSES = ["queued", "running", "paused", "completed", "incomplete", "failed", "cancelled", "timed_out"];
const SOURCES = ["API", "SLACK", "GITHUB", "GITHUB_CHECK_SUITE", "LINEAR", "CHAT", "JIRA", "CLICKUP", "MONDAY", "LOCAL"];
const FILTERS = ["q", "status", "repo", "source_type", "starred"];

export async function show({ main, signal, titled, address, query }) {
  titled("Runs");
  let pages = 1;
  let rows = new Map();
  let held = null;
  let timer = 0;
  let asked = 0;
  let question = new AbortController();
  let ask = null;

  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const list = h(`ul.runs.${layout()}`, { role: "list" });
  // Names of the columns, for people who see them; each value has its own name in the row.
  const columns = h("p.columns-head", { "aria-hidden": "true" }, ["Status", "Run", "Started", "Duration"].map((each) => h("span", each)));
  const fresh = h("div.fresh", { role: "status" });
  const rest = h("div.rest");
  const body = h("div.body", skeleton(8));

  // --- filters ---

  const search = h("input", { type: "search", name: "q", placeholder: "Search prompts and results", "aria-label": "Search", value: filters.q, on: { input: () => later(() => narrow("q", search.value)) } });
  const repo = h("input", { name: "repo", placeholder: "Repository", "aria-label": "Repository", value: filters.repo, list: "repositories", on: { input: () => later(() => narrow("repo", repo.value)) } });
  const bar = h("div.filters", { role: "search" },
    h("span.search", icon("search"), search),
    named("Status", choice("status", [["", "Any status"], ...STATUSES.map((each) => [each, word(each)])], filters.status, (value) => narrow("status", value))),
    repo, h("datalist", { id: "repositories" }),
    named("Source", choice("source_type", [["", "Any source"], ...SOURCES.map((each) => [each, word(each)])], filters.source_type, (value) => narrow("source_type", value))),
    h("label.check", h("input", { type: "checkbox", checked: filters.starred === "true", on: { change: (event) => narrow("starred", event.target.checked ? "true" : "") } }), "Starred"),
    h("span.layouts", { role: "group", "aria-label": "Layout" }, layoutButton("table", "runs", "Table"), layoutButton("cards", "cards", "Cards")));

  function named(label, control) {
    control.setAttribute("aria-label", label);
    return control;
  }

  function layoutButton(name, symbol, label) {
    const element = iconButton(symbol, label, () => {
      localStorage.setItem("runs", name);
      list.className = `runs ${name}`;
      for (const each of bar.querySelectorAll(".layouts button")) each.setAttribute("aria-pressed", String(each === element));
    }, { "aria-pressed": String(layout() === name) });
    return element;
  }

  let waiting = 0;
  function later(act) {
    clearTimeout(waiting);
    waiting = setTimeout(act, 250);
  }

  function narrow(name, value) {
    filters[name] = value;
    const given = new URLSearchParams(Object.entries(filters).filter(([, each]) => each));
    history.replaceState(null, "", `${address("runs")}${given.size ? `?${given}` : ""}`);
    pages = 1;
    held = null;
    rows = new Map();
    ask = null;
    fill(body, skeleton(8));
    read();
  }

  // --- the list ---

  /** Load the list. When it is only due, another window that shows the same list may load it for this one. */
  async function read(whenDue = false) {
    clearTimeout(timer);
    const number = ++asked;
    try {
      ask ??= await shared();
      const answers = await ask(() => Promise.all(Array.from({ length: pages }, (_, page) =>
        api.get(inOrganization("run-cards"), { ...filters, page: page + 1, limit: SIZE }, signal))), { whenDue });
      if (signal.aborted || number !== asked) return;
      if (answers) take(answers);
      else plan(WHILE_LIVE);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted || number !== asked) return;
      if (error.status === undefined) console.error(error);
      if (rows.size) fill(fresh, h("p.notice", icon("offline"), `${error.message} Shown is the list as it was.`));
      else fill(body, problem(error, () => read()));
      plan(Math.max(WHILE_QUIET, (error.retryAfter ?? 0) * 1000));
    }
  }

  function shared() {
    question.abort();
    question = new AbortController();
    const list = JSON.stringify([inOrganization("run-cards"), filters, pages]);
    return sharing(list, take, AbortSignal.any([signal, question.signal]));
  }

  function take(answers) {
    clearTimeout(timer);
    const seen = new Set();
    const cards = answers.flatMap((answer) => answer.items).filter((card) => !seen.has(keyOf(card)) && seen.add(keyOf(card)));
    if (!Object.values(filters).some(Boolean)) countRuns(cards, answers.at(-1).has_more);
    offer(cards, answers.at(-1));
    plan(cards.some((card) => LIVE.has(card.status)) ? WHILE_LIVE : WHILE_QUIET);
  }

  function plan(milliseconds) {
    timer = setTimeout(() => (document.hidden ? plan(1000) : read(true)), milliseconds);
  }

  /** Show the cards; new ones wait behind a button if the person is reading further down. */
  function offer(cards, answer) {
    const first = !rows.size;
    const added = cards.filter((card) => !rows.has(keyOf(card)));
    const reading = scrollY > 80 || list.contains(document.activeElement);
    if (!first && pages === 1 && added.length && reading) {
      held = [cards, answer];
      fill(fresh, button(`${count(added.length, "new run")}`, () => { const [all, last] = held; fill(fresh); scrollTo(0, 0); draw(all, last); }, { kind: "pill" }));
      draw(cards.filter((card) => rows.has(keyOf(card))), answer);
      return;
    }
    fill(fresh);
    draw(cards, answer);
  }

  function draw(cards, answer) {
    if (!cards.length) {
      rows = new Map();
      const filtered = Object.values(filters).some(Boolean);
      fill(body, filtered
        ? empty("search", "No run matches", "Change the filters, or remove them.", button("Remove all filters", () => { location.hash = address("runs"); location.reload(); }))
        : empty("runs", "No runs yet", "A run is one job of an agent: you give it a prompt, it works, and you watch. With several candidates, agents do the same job side by side, and you get one answer.",
          may("member") && h("a.button.primary", { href: address("new") }, icon("plus"), "Start a run"),
          may("member") && h("a.button", { href: address("new?candidates=3") }, icon("fan"), "Start three candidates")));
      return;
    }
    const kept = new Map();
    const elements = cards.map((card) => {
      const key = keyOf(card);
      const state = JSON.stringify(card);
      const known = rows.get(key);
      const row = known?.state === state ? known : { state, element: item(card, known?.element) };
      kept.set(key, row);
      return row.element;
    });
    rows = kept;
    const focused = list.contains(document.activeElement) && document.activeElement;
    const within = focused && focused.closest("[data-key]")?.dataset.key;
    arrange(list, elements);
    if (focused && !focused.isConnected && rows.has(within)) refocus(rows.get(within).element, nameOf(focused));
    fill(rest, h("p.muted", answer.total_exact ? count(answer.total, "run") : `${answer.total} runs or more`,
      answer.truncated && ", as far as the search reached"),
    answer.has_more && button("Show more", () => { pages += 1; ask = null; read(); }));
    if (!list.isConnected) fill(body, columns, list, rest);
  }

  function item(card, before) {
    const unfolded = before?.querySelector("details.candidates[open]");
    const live = LIVE.has(card.status) && card.status !== "paused";
    const target = card.multi_run ? `multi-runs/${encodeURIComponent(card.multi_run.id)}` : `runs/${encodeURIComponent(card.id ?? card.key)}`;
    const link = h("a.title", { href: address(target) }, card.multi_run && h("span.tag", `${card.multi_run.requested} candidates`), titleOf(card));
    const row = h("li.run", { data: { entry: "", key: keyOf(card) } },
      status(card.status, card.status_reason ?? card.upstream_status),
      h("div.what", link, h("p.about",
        card.repo_name && h("span", icon("branch"), card.repo_name),
        card.source_type && h("span", word(card.source_type)),
        card.model && h("span", card.model),
        card.health && !["ok"].includes(card.health) && h(`span.health.health-${card.health}`, { title: card.health_detail }, word(card.health)),
        card.paused_scope && h("span", "Queue paused"))),
      h("div.prs", pullRequests(card.pull_requests)),
      h("span.age", since(card.created_at)),
      h("span.took", { title: "Duration" }, live && card.created_at ? ticking(card.created_at) : card.duration_seconds !== null ? duration(card.duration_seconds) : ""),
      card.id ? star(card, (on) => setStar(card.id, on)) : h("span"),
      card.multi_run && candidates(card, Boolean(unfolded), address));
    return row;
  }

  addEventListener("visibilitychange", () => { if (!document.hidden) read(); }, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));

  fill(main, heading("Runs", { acts: [h("a.button.primary", { href: address("new") }, icon("plus"), "New run")] }), bar, fresh, body);
  await read();
  readRepositories(signal).then((repositories) => fill(bar.querySelector("datalist"), repositories.map((each) => h("option", { value: each.name }))));
}

function candidates(card, open, address) {
  const inside = h("ul.runs.table.nested", { role: "list" });
  const details = h("details.candidates", {
    open,
    on: {
      toggle: () => details.open && attempt(async () => {
        const multiRun = await api.get(inOrganization(`multi-runs/${encodeURIComponent(card.multi_run.id)}`));
        fill(inside, multiRun.candidates.map((each) => h("li.run", status(each.status, each.status_reason),
          h("div.what", h("a.title", { href: address(`runs/${encodeURIComponent(each.agent_run_id ?? each.key)}`) }, `Candidate ${each.index + 1}`),
            h("p.about", each.model && h("span", each.model), each.queue && h("span", `Place ${place(each.queue)} in the queue`), each.reason && h("span", each.reason))),
          h("div.prs", pullRequests(each.pull_requests)), h("span.age", count(each.log_count, "entry", "entries")))));
      }),
    },
  }, h("summary", icon("chevron"), "Candidates"), inside);
  return details;
}

/** Star or unstar a run. */
export async function setStar(id, on) {
  if (on) await api.post(inOrganization("starred-runs"), { agent_run_id: id, starred: true });
  else await api.delete(inOrganization(`starred-runs/${id}`));
}

function keyOf(card) {
  return String(card.key ?? card.id);
}

function layout() {
  return localStorage.getItem("runs") === "cards" ? "cards" : "table";
}

/** Make the children of a list these elements, in this order, and move only what must move: the focus stays. */
function arrange(list, elements) {
  elements.forEach((element, index) => {
    const there = list.children[index];
    if (there !== element) list.insertBefore(element, there ?? null);
  });
  while (list.children.length > elements.length) list.lastChild.remove();
}
