// One run: what it does now, its log, its answer, and what can be done with it.

import { api, inOrganization } from "./api.js";
import { external, fill, h, icon } from "./elements.js";
import { LIVE, ago, count, duration, firstLine, moment, titleOf, word } from "./format.js";
import { ENDS, Log, asLines, asMarkdown, sizeOf } from "./log.js";
import { markdown } from "./markdown.js";
import { allowedActions, may } from "./role.js";
import { setStar } from "./runs.js";
import { follow } from "./stream.js";
import { ask, attempt, button, copy, download, empty, facts, field, heading, iconButton, problem, pullRequests, remaining, sideEffects, since, skeleton, star, status, tabs, ticking, toast } from "./widgets.js";

const PAGE = 100;
// Events that come together are followed by one request, so long after the last, in ms.
const SOON = 150;

export async function show({ main, signal, titled, address, parameters: [id], query }) {
  fill(main, skeleton(10));
  let card = await api.get(inOrganization(`run-cards/${encodeURIComponent(id)}`), undefined, signal);
  if (signal.aborted) return;
  titled(titleOf(card));
  const here = `runs/${encodeURIComponent(id)}`;
  const path = `agent/run/${card.id}`;

  const sentence = h("p.sentence", { role: "status" });
  const acts = h("div.actions");
  const actions = h("div.actions");
  const connection = h("span.connection", { role: "status" });
  const side = h("aside.side-panel", { "aria-label": "About this run" });
  const content = h("div.content");

  const tab = query.get("tab") ?? (query.get("entry") || LIVE.has(card.status) || !card.result ? "log" : "answer");
  const log = new Log({
    addressOf: (event) => address(`${here}?entry=${event}`),
    onFork: card.id && may("member") ? (checkpoint, data) => fork(checkpoint, data, address) : null,
    onChange: () => { describeNow(); bar.querySelector(".count").textContent = `${sizeOf(log)}${log.failures ? `, ${count(log.failures, "failure")}` : ""}`; },
  });

  // --- the head ---

  function describeNow() {
    const now = log.latest;
    const live = LIVE.has(card.status);
    fill(sentence, status(card.status, card.upstream_status), h("span.doing", doing(card, live, now)));
  }

  function draw() {
    describeNow();
    fill(acts, buttons(card, { changed: refresh }));
    fill(actions, card.id && star(card, async (on) => { await setStar(card.id, on); card.starred = on; }),
      iconButton("copy", "Copy as Markdown", () => attempt(async () => copy(asMarkdown(titleOf(card), await everything()), "The log"))),
      iconButton("download", "Download as JSON lines", () => attempt(async () => download(asLines(await everything()), `run-${card.id}.jsonl`, "application/jsonl"))));
    fill(side, panel(card, address));
  }

  async function refresh() {
    const next = await api.get(inOrganization(`run-cards/${encodeURIComponent(id)}`), undefined, signal);
    const ended = LIVE.has(card.status) && !LIVE.has(next.status);
    card = next;
    draw();
    if (ended) checkpoints.replaceChildren();
    if (card.id) drawHistory();
    followUp.hidden = !can(card, "follow_up");
    drawAnswer();
  }

  /** Refresh, and try again later if it fails. */
  async function refreshSurely(pause = 2000) {
    try {
      await refresh();
    } catch (error) {
      if (signal.aborted || error.name === "AbortError") return;
      if (error.status === undefined) console.error(error);
      setTimeout(() => signal.aborted || refreshSurely(Math.min(30000, pause * 2)), Math.max(pause, (error.retryAfter ?? 0) * 1000));
    }
  }

  async function everything() {
    const events = [];
    let after;
    do {
      const page = await api.get(inOrganization(`${path}/events`), { after, limit: PAGE }, signal);
      events.push(...page.items);
      after = page.has_more ? page.next_cursor : null;
    } while (after);
    return events;
  }

  // --- tabs ---

  const search = h("input", { type: "search", placeholder: "Search in the log", "aria-label": "Search in the log", on: { input: () => { found.textContent = search.value ? count(log.search(search.value), "line") : (log.search(""), ""); } } });
  const found = h("span.muted.found", { role: "status" });
  const failures = h("input", { type: "checkbox", data: { key: "f" }, on: { change: () => log.onlyFailures(failures.checked) } });
  const toEnd = button("To the end", () => { log.following = true; log.toEnd(); }, { kind: "pill", symbol: "down" });
  toEnd.hidden = true;
  const bar = h("div.log-bar", h("span.search", icon("search"), search), found, h("label.check", failures, "Only failures"), h("span.spacer"), h("span.muted.count", ""), connection);
  const older = h("div.older");
  const logView = h("section", { "aria-label": "Log" }, bar, older, log.element, h("div.end", toEnd));
  const answerView = h("section.answer", { "aria-label": "Answer" });
  const followUp = followUpForm(card, refresh);
  const checkpoints = h("div");

  function drawAnswer() {
    fill(answerView, (card.prompts ?? []).length > 1 && h("p.muted", `Turn ${card.turn} of ${count(card.turn, "turn")}`),
      h("h2.visually-hidden", "Answer"), card.result ? markdown(card.result) : empty(card.status, LIVE.has(card.status) ? "No answer yet" : "No answer",
        LIVE.has(card.status) ? "The answer appears here when the agent has finished." : card.status_reason ?? "The run ended without an answer."));
  }

  function tabsWith(open) {
    return tabs("Parts of the run", [["answer", "Answer", address(`${here}?tab=answer`)], ["log", "Log", address(`${here}?tab=log`)], ["prompt", "Prompt", address(`${here}?tab=prompt`)]], open);
  }

  drawAnswer();
  fill(content, tabsWith(tab),
    tab === "answer" ? answerView : tab === "prompt" ? prompts(card) : logView,
    tab !== "prompt" && followUp);

  async function drawHistory() {
    let items;
    let lineage;
    try {
      ({ items } = await api.get(inOrganization(`${path}/checkpoints`), { limit: 50 }, signal));
      if (items.length) lineage = await api.get(inOrganization(`checkpoints/${items[0].id}/lineage`), undefined, signal);
    } catch (error) {
      if (!signal.aborted) fill(checkpoints, h("h2", "Checkpoints"), problem(error, drawHistory));
      return;
    }
    if (signal.aborted || !items.length) return;
    fill(checkpoints, h("h2", "Checkpoints"), h("ol.checkpoints", items.map((each) => h("li", icon("flag"),
      h("div", h("p", word(each.reason), " ", h("span.muted", `turn ${each.turn}`)), h("p.muted", { title: each.summary }, firstLine(each.summary))),
      may("member") && button("Fork", () => fork(each.id, each, address), { kind: "small", symbol: "fork" })))),
    tree(lineage, card, address));
  }

  fill(main, heading(titleOf(card), { back: [h("a", { href: address("runs") }, "Runs"), card.multi_run_id && [" / ", h("a", { href: address(`multi-runs/${encodeURIComponent(card.multi_run_id)}`) }, "Multi-run")], ` / ${card.id ?? "waiting"}`], acts, actions, below: sentence }),
    h("div.columns", content, h("div", side, checkpoints)));
  draw();
  if (card.id) drawHistory();

  // --- the log ---

  if (!card.id) {
    fill(older, empty("queued", "In the launch queue", "Codegen accepts ten new runs a minute. This one starts by itself when it is next."));
    const timer = setInterval(async () => {
      const next = await api.get(inOrganization(`run-cards/${encodeURIComponent(id)}`), undefined, signal).catch(() => null);
      if (next?.id) location.replace(address(`runs/${next.id}`));
      else if (next) { card = next; draw(); }
    }, 3000);
    signal.addEventListener("abort", () => clearInterval(timer));
    return;
  }

  const wanted = query.get("entry");
  fill(older, skeleton(8));
  let first;
  try {
    first = await api.get(inOrganization(`${path}/events`), { before: "latest", limit: PAGE }, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(older, problem(error, () => location.reload()));
    return;
  }
  log.prepend(first.items);
  // The run may have ended between the two reads.
  if (first.run.status !== card.status) refreshSurely();
  let earliest = first.items[0]?.id;
  let more = first.has_more;

  let loading = false;
  // After a failure nothing is loaded until the person asks for it: each try would fail at once.
  let halted = false;
  async function loadOlder() {
    if (loading || halted || !more) return;
    loading = true;
    try {
      const page = await api.get(inOrganization(`${path}/events`), { before: earliest, limit: PAGE }, signal);
      earliest = page.items[0]?.id ?? earliest;
      more = page.has_more && page.items.length > 0;
      log.prepend(page.items, markOlder);
      if (log.needle) log.search(log.needle);
    } catch (error) {
      if (error.name === "AbortError") return;
      halted = true;
      fill(older, problem(error, resume));
    } finally {
      loading = false;
    }
  }
  async function resume() {
    halted = false;
    markOlder();
    await loadOlder();
    lookAbove();
  }
  const above = new IntersectionObserver(async ([entry]) => {
    if (!entry.isIntersecting) return;
    await loadOlder();
    lookAbove();
  }, { rootMargin: "800px 0px 0px 0px" });
  /** Observing anew asks whether there is room for more. */
  function lookAbove() {
    above.unobserve(older);
    if (more && !halted && !signal.aborted) above.observe(older);
  }
  function markOlder() {
    fill(older, more ? h("p.muted", "Loading earlier entries …") : first.expired ? h("p.muted", `${count(first.expired, "earlier event")} are no longer stored.`) : null);
  }
  markOlder();

  if (tab === "log") {
    while (wanted && more && !halted && !signal.aborted && !document.getElementById(`entry-${wanted.split("-")[1]}`)) await loadOlder();
    const target = wanted && document.getElementById(`entry-${wanted.split("-")[1]}`);
    if (target) {
      target.classList.add("target");
      log.unfold(target, true);
      target.scrollIntoView({ block: "center" });
    } else if (LIVE.has(card.status)) log.toEnd();
    log.following = !target && LIVE.has(card.status);
    requestAnimationFrame(lookAbove);
    signal.addEventListener("abort", () => above.disconnect());
    addEventListener("scroll", () => {
      log.following = log.isAtEnd();
      toEnd.hidden = log.following || !LIVE.has(card.status);
      if (log.following && LIVE.has(card.status)) log.element.setAttribute("role", "log");
      else log.element.removeAttribute("role");
    }, { signal, passive: true });
  }

  // --- live ---

  let refreshing = 0;
  let recording = 0;
  follow(path, {
    after: first.next_cursor === "0-0" ? null : first.next_cursor,
    signal,
    isBehind: () => log.isBehind,
    onEvent: (event) => {
      log.add([event]);
      if (event.type === "checkpoint.created") {
        clearTimeout(recording);
        recording = setTimeout(drawHistory, SOON);
      }
      if (event.type.startsWith("run.") && event.type !== "run.log" && event.type !== "run.log_updated") {
        // The event itself says how a turn ended. The rest of the card follows.
        if (ENDS.has(event.type)) {
          card = { ...card, status: event.data.status, status_reason: event.data.reason };
          draw();
        }
        clearTimeout(refreshing);
        refreshing = setTimeout(refreshSurely, SOON);
      }
    },
    onSnapshot: (run) => {
      if (run.status !== card.status) refreshSurely();
      card = { ...card, health: run.health, health_detail: run.health_detail, allowed_actions: run.allowed_actions };
      draw();
    },
    onState: (state, until) => fill(connection, {
      connecting: () => ["Connecting …"],
      live: () => [h("span.dot"), "Live"],
      waiting: () => [icon("offline"), "Reconnecting in ", remaining(until), ". Nothing is lost."],
      ended: () => [],
    }[state]()),
    onProblem: (error) => fill(connection, icon("failed"), error.message),
  });
}

/** What the run does, in one sentence. */
function doing(card, live, now) {
  if (card.paused_scope) return "Paused: nothing more is sent to it. Work that has begun continues.";
  if (card.health && card.health !== "ok" && live) return card.health_detail;
  if (card.status === "queued") return "Waits for its launch.";
  if (card.status === "paused") return "Codegen has paused it. A follow-up may continue it.";
  if (live) return [now ? now.doing : "At work", " · ", ticking(card.created_at)];
  const took = card.duration_seconds !== null && card.duration_seconds !== undefined ? ` after ${duration(card.duration_seconds)}` : "";
  return [card.status_reason ?? `${card.status === "completed" ? "Finished" : "Ended"}${took}`, ", ", since(card.updated_at ?? card.created_at)];
}

function can(card, action) {
  return allowedActions(card).some((each) => each.action === action);
}

/** The actions that the API allows now. A side effect is named before it happens. */
export function buttons(card, { changed }) {
  const path = inOrganization(`agent/run/${card.id ?? card.key}`);
  const act = {
    cancel: (allowed) => ask({
      title: "Cancel this run?",
      kind: "danger",
      confirm: "Cancel the run", dismiss: "Keep it",
      content: [h("p", allowed.means === "pr_ban"
        ? "Codegen has no cancel. The only way to stop the agent is to ban it from its pull request."
        : "The run is stopped as far as this deployment can."),
      sideEffects(allowed), allowed.means === "pr_ban" && h("label.check", h("input", { type: "checkbox", name: "ban" }), "I accept these side effects"),
      field("Reason", h("input", { name: "reason", maxlength: "200" }))],
      act: (form) => api.post(`${path}/cancel`, { allow_pr_ban: form.get("ban") === "on", reason: form.get("reason") || null }),
    }),
    pause: (allowed) => ask({
      title: "Pause this run?", confirm: "Pause", content: [h("p", "A pause holds back what would be sent next. An agent at work continues."), sideEffects(allowed)],
      act: () => api.post(`${path}/pause`),
    }),
    resume: async () => (await attempt(() => api.post(`${path}/resume`), "Resumed.")) || null,
  };
  return allowedActions(card).filter((each) => act[each.action]).map((allowed) => button(word(allowed.action), async () => {
    const answer = await act[allowed.action](allowed);
    if (answer) {
      if (answer.detail) toast(answer.detail);
      attempt(changed);
    }
  }, { kind: allowed.action === "cancel" ? "danger" : "" }));
}

function followUpForm(card, changed) {
  const text = h("textarea", { rows: 2, name: "prompt", "aria-label": "Follow-up", placeholder: "Send a follow-up prompt", required: true });
  const send = h("button.button.primary", { type: "submit" }, "Send");
  const form = h("form.follow-up", {
    hidden: !can(card, "follow_up"),
    on: {
      submit: async (event) => {
        event.preventDefault();
        send.disabled = true;
        const sent = await attempt(() => api.post(inOrganization(`agent/run/${card.id}/resume`), { prompt: text.value }), "Sent. The agent continues.");
        send.disabled = false;
        if (sent) {
          text.value = "";
          dispatchEvent(new HashChangeEvent("hashchange"));
        }
      },
    },
  }, text, send);
  text.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) form.requestSubmit(); });
  return form;
}

function prompts(card) {
  const told = card.prompts?.length ? card.prompts : card.prompt ? [{ text: card.prompt, turn: 1, sent_at: card.created_at }] : [];
  if (!told.length) return empty("person", "The prompt is not known", "This run was started elsewhere, and Codegen does not return prompts.");
  return h("section.prompts", { "aria-label": "Prompt" }, told.map((each) => h("article", h("p.muted", `Turn ${each.turn} · `, since(each.sent_at), each.sent_by && ` · ${each.sent_by}`), h("pre.prompt", each.text))));
}

function panel(card, address) {
  return facts([
    ["Run", card.id ?? card.key],
    ["Repository", card.repo_name],
    ["Branch", card.branch_name && h("code", card.branch_name)],
    ["Pull requests", card.pull_requests?.length > 0 && pullRequests(card.pull_requests)],
    ["Model", card.model],
    ["Agent", card.metadata?.agent_id && h("a", { href: address(`agents/${encodeURIComponent(card.metadata.agent_id)}`) }, card.metadata.agent_id)],
    ["Source", card.source_type && word(card.source_type)],
    ["Started", card.created_at && h("time", { datetime: card.created_at, title: ago(card.created_at) }, moment(card.created_at))],
    ["Duration", LIVE.has(card.status) ? card.created_at && ticking(card.created_at) : card.duration_seconds !== null && duration(card.duration_seconds)],
    ["Turn", card.turn > 1 && card.turn],
    ["Health", card.health && card.health !== "ok" && [word(card.health), ". ", card.health_detail]],
    ["At Codegen", card.web_url && external(card.web_url, "Open")],
  ]);
}

/** Ask how to continue, and start a run from a checkpoint. */
export async function fork(checkpoint, data, address) {
  const answer = await ask({
    title: "Fork from this checkpoint",
    confirm: "Start the run",
    content: [h("p", "A new run starts with the conversation until this point. The files of its sandbox are not restored."),
      data.summary && h("blockquote", firstLine(data.summary)),
      field("Instead of the last prompt", h("textarea", { name: "modified_query", rows: 3, placeholder: "Leave empty to send the same prompt again" })),
      field("Further instructions", h("textarea", { name: "system_prompt", rows: 2 })),
      field("Model", h("input", { name: "model", placeholder: "As before" }))],
    act: (form) => api.post(inOrganization(`checkpoints/${encodeURIComponent(checkpoint)}/fork`), {
      modifications: Object.fromEntries(["modified_query", "system_prompt", "model"].map((name) => [name, form.get(name)?.trim() || null])),
    }),
  });
  if (answer) {
    toast(answer.detail ?? "The run was started.");
    location.hash = address(`runs/${encodeURIComponent(answer.agent_run_id ?? answer.key)}`);
  }
}

/** Which runs this one came from, and which came from it. */
function tree(lineage, card, address) {
  if (!lineage.ancestors.length && !lineage.descendants.length) return null;
  const run = (id, label) => h("a", { href: address(`runs/${encodeURIComponent(id)}`) }, label ?? `Run ${id}`);
  return h("div", h("h2", "Lineage"), h("ul.lineage",
    lineage.ancestors.map((each) => h("li", { data: { depth: each.depth } }, icon("fork"), run(each.agent_run_id), h("span.muted", ` ${each.action}`))),
    h("li.self", icon("runs"), `Run ${card.id}`),
    lineage.descendants.map((each) => h("li.child", icon("fork"), each.child ? run(each.child) : "A run", h("span.muted", ` ${each.action}`)))));
}
