// A multi-run: its candidates side by side, how they compare, and the answer with where it comes from.

import { api, inOrganization } from "./api.js";
import { fill, h, icon } from "./elements.js";
import { LIVE, capital, clock, count, duration, firstLine, place, word } from "./format.js";
import { describe } from "./log.js";
import { markdown } from "./markdown.js";
import { allowedActions, may } from "./role.js";
import { follow } from "./stream.js";
import { ask, attempt, button, empty, field, heading, loaded, pullRequests, remaining, sideEffects, since, skeleton, status, tabs, ticking, toast } from "./widgets.js";

const OPEN = new Set(["queued", "launching", "running", "judging", "synthesizing"]);
const LOOK = 2000;
const LAST_LINES = 7;
const EXCERPT = 1200;
const MOST_COLUMNS = 4;
const SOURCES = { synthesis: "Joined from the usable answers", selected: "The best answer", base: "The best answer, with what is worth taking over from the others", only_candidate: "The only usable answer", fallback: "The best answer, because the synthesis failed", picked: "Picked by a person" };

export async function show({ main, signal, titled, address, parameters: [id], query }) {
  fill(main, skeleton(10));
  const here = `multi-runs/${encodeURIComponent(id)}`;
  const path = inOrganization(here);
  let multiRun = await api.get(path, undefined, signal);
  if (signal.aborted) return;
  titled(firstLine(multiRun.prompt));

  const tab = query.get("tab") ?? (OPEN.has(multiRun.status) || !multiRun.answer ? "candidates" : "answer");
  const sentence = h("p.sentence", { role: "status" });
  const actions = h("div.actions");
  const connection = h("span.connection", { role: "status" });
  const navigation = h("div");
  const counts = h("span.muted");
  const content = h("div.content");
  const panes = new Map();
  const grid = h("div.candidates-grid");
  grid.style.setProperty("--most", Math.min(MOST_COLUMNS, multiRun.requested));

  fill(main, heading(firstLine(multiRun.prompt), { back: [h("a", { href: address("runs") }, "Runs"), " / Multi-run"], acts: actions, below: sentence }), navigation, content);
  draw();

  const views = {
    candidates: () => fill(content, h("div.log-bar", counts, h("span.spacer"), connection), grid),
    compare: () => loaded(content, async () => comparison(await api.get(`${path}/compare`, undefined, signal), multiRun, address), signal),
    answer: () => loaded(content, () => answer(multiRun, path, signal, address), signal),
    prompt: () => fill(content, h("pre.prompt", multiRun.prompt)),
  };
  await (views[tab] ?? views.candidates)();

  // --- live: one connection for the group, and short reads of what its candidates did ---

  let timer = 0;
  const look = async () => {
    clearTimeout(timer);
    try {
      const before = multiRun.status;
      if (!document.hidden) multiRun = await api.get(path, undefined, signal);
      draw();
      if (before !== multiRun.status && !OPEN.has(multiRun.status)) {
        if (tab === "answer" || tab === "compare") await views[tab]();
        else if (multiRun.answer && !query.get("tab")) toast("The answer is here.");
      }
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.status === undefined) console.error(error);
    }
    if (!signal.aborted && (OPEN.has(multiRun.status) || multiRun.candidates.some((each) => LIVE.has(each.status)))) timer = setTimeout(look, LOOK);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  if (OPEN.has(multiRun.status)) timer = setTimeout(look, LOOK);
  follow(here, {
    signal,
    onEvent: () => { clearTimeout(timer); timer = setTimeout(look, 100); },
    onState: (state, until) => fill(connection, {
      connecting: () => ["Connecting …"],
      live: () => [h("span.dot"), "Live"],
      waiting: () => [icon("offline"), "Reconnecting in ", remaining(until), ". Nothing is lost."],
      ended: () => [],
    }[state]()),
    onProblem: (error) => fill(connection, icon("failed"), error.message),
  });

  // --- drawing ---

  function draw() {
    fill(sentence, status(multiRun.status, multiRun.reason), h("span.doing", doing(multiRun)));
    fill(actions, buttons());
    fill(counts, countsOf(multiRun));
    fill(navigation, tabs("Parts of the multi-run", [
      ["candidates", "Candidates", address(`${here}?tab=candidates`), multiRun.requested],
      ["compare", "Compare", address(`${here}?tab=compare`)],
      ["answer", "Answer", address(`${here}?tab=answer`)],
      ["prompt", "Prompt", address(`${here}?tab=prompt`)],
    ], tab));
    if (!["compare", "answer", "prompt"].includes(tab)) drawPanes();
  }

  function drawPanes() {
    for (const candidate of multiRun.candidates) pane(`c${candidate.index}`, `Candidate ${candidate.index + 1}`, candidate, candidate.index);
    for (const judge of multiRun.judging?.judges ?? []) pane(`j${judge.number}`, `Judge ${judge.number}`, judge, null);
    if (multiRun.synthesis) pane("synthesis", multiRun.strategy === "select" ? "Selection" : "Synthesis", multiRun.synthesis, null);
  }

  function pane(key, name, run, index) {
    let known = panes.get(key);
    if (!known) {
      known = { lines: h("ol.lines"), head: h("header"), foot: h("footer"), count: -1, state: "" };
      known.element = h(`article.candidate${key === "synthesis" ? ".joined" : ""}`, { data: { entry: "" }, tabindex: "-1", "aria-label": name }, known.head, known.lines, known.foot);
      panes.set(key, known);
      grid.append(known.element);
    }
    const rank = index === null ? null : rankOf(multiRun, index);
    const picked = multiRun.pick && multiRun.pick.candidate === index && index !== null;
    const chosen = multiRun.answer && index !== null && multiRun.answer.candidate === index;
    const state = JSON.stringify([run, rank, picked, chosen, multiRun.allowed_actions]);
    if (state !== known.state) {
      known.state = state;
      known.element.classList.toggle("chosen", Boolean(picked || chosen));
      known.element.classList.toggle("live", LIVE.has(run.status));
      const there = run.agent_run_id ?? run.key ? `runs/${encodeURIComponent(run.agent_run_id ?? run.key)}` : null;
      const shown = index === null ? name : numbered(index);
      fill(known.head, h("h2.name", there ? h("a", { href: address(there) }, shown) : shown,
        picked ? h("span.tag", "Picked") : chosen && h("span.tag", "Answer"), rank && h("span.tag", { title: rank.reasons.join(" ") }, `Rank ${rank.rank}`)),
      status(run.status, run.status_reason),
      h("p.about", run.model && h("span", run.model), run.agent_type && run.agent_type !== "codegen" && h("span", run.agent_type), run.queue && h("span", `Place ${place(run.queue)} in the queue, begins about ${clock(run.queue.expected_at)}`),
        run.log_count > 0 && h("span", count(run.log_count, "entry", "entries")), run.health && run.health !== "ok" && h("span.health", run.health_detail),
        run.usable === false && h("span.health", run.reason ?? "Not usable"), run.problem && h("span.health", run.problem)),
      rank?.reasons.length > 0 && h("p.why", rank.reasons[0]));
      fill(known.foot, run.ranking ? verdict(run) : run.result && h("div.excerpt", { tabindex: "0", role: "group", "aria-label": `Answer of ${name.toLowerCase()}` }, markdown(run.result.slice(0, EXCERPT))), h("div.actions", run.result && there && h("a", { href: address(`${key === "synthesis" ? here : there}?tab=answer`) }, "Whole answer"), pullRequests(run.pull_requests), index !== null && pickButton(run, index, picked)));
    }
    if (run.agent_run_id && run.log_count !== known.count) {
      known.count = run.log_count;
      lines(run.agent_run_id, known.lines);
    }
  }

  async function lines(runId, list) {
    const page = await api.get(inOrganization(`agent/run/${runId}/events`), { before: "latest", limit: 16 }, signal).catch(() => null);
    if (!page) return;
    const entries = page.items.filter((each) => each.type === "run.log" && each.data.log && !["USER_MESSAGE", "FINAL_ANSWER"].includes(each.data.log.message_type)).slice(-LAST_LINES);
    fill(list, entries.map(({ data: { log } }) => {
      const { symbol, name, input, said, failed } = describe(log);
      return h(`li${failed ? ".failed" : ""}`, icon(symbol, failed ? "failed" : symbol), h("b", name), " ", h("span", input || said));
    }));
  }

  function pickButton(run, index, picked) {
    const allowed = allowedActions(multiRun).find((each) => each.action === "pick");
    if (!allowed || picked || !run.result) return null;
    return button("Pick", () => pick(index, allowed), { kind: "small", symbol: "trophy" });
  }

  async function pick(index, allowed) {
    const losers = multiRun.candidates.filter((each) => each.index !== index).flatMap((each) => each.pull_requests ?? []);
    const answered = await ask({
      title: `Pick candidate ${index + 1}?`,
      confirm: "Pick",
      content: [h("p", "Its answer becomes the answer of this multi-run. You can change that later."),
        sideEffects(allowed),
        losers.length > 0 && h("label.check", h("input", { type: "checkbox", name: "close" }), losers.length === 1 ? "Close the pull request of the other" : `Close the ${losers.length} pull requests of the others`),
        field("Reason", h("input", { name: "reason", maxlength: "200" }))],
      act: (form) => api.post(`${path}/pick`, { candidate: index, reason: form.get("reason") || null, close_losers: form.get("close") === "on", replaces: multiRun.pick?.candidate ?? null }),
    });
    if (!answered) return;
    const failed = (answered.losers ?? []).filter((each) => each.closed === false || each.error);
    toast(failed.length ? `Picked. ${count(failed.length, "pull request")} could not be closed.` : "Picked.");
    await look();
  }

  function buttons() {
    // Label, kind, what it does, and what to say when it is done.
    const names = {
      cancel: ["Cancel", "danger"],
      pause: ["Pause", "", "Launch nothing more until it is resumed", "Paused."],
      resume: ["Resume", "", "Launch what waits", "Resumed."],
      retry: ["Retry", "", "Run the candidates without a usable answer again", "The candidates run again."],
      resynthesize: ["Join again", "", "Make the answer anew from the candidates' answers", "The answer is made anew."],
      unpick: ["Undo the pick", "", "Return to the answer before the pick"],
    };
    return allowedActions(multiRun).filter((each) => names[each.action]).map((allowed) => {
      const [label, kind, title, done] = names[allowed.action];
      return button(label, async () => {
        if (allowed.action === "cancel") {
          const bans = allowed.means === "pr_ban" || allowed.side_effects?.some((each) => /ban/.test(each.code));
          const answered = await ask({
            title: "Cancel this multi-run?", kind: "danger", confirm: "Cancel the multi-run", dismiss: "Keep it",
            content: [h("p", "Candidates that wait are never started. Those at work are stopped as far as possible."), sideEffects(allowed), bans && h("label.check", h("input", { type: "checkbox", name: "ban" }), "I accept these side effects"), field("Reason", h("input", { name: "reason", maxlength: "200" }))],
            act: (form) => api.post(`${path}/cancel`, { allow_pr_ban: form.get("ban") === "on", reason: form.get("reason") || null }),
          });
          if (answered) await look();
        } else if (allowed.action === "unpick") {
          if (await attempt(() => api.delete(`${path}/pick`), "The pick was undone.")) await look();
        } else if (await attempt(() => api.post(`${path}/${allowed.action}`), done)) await look();
      }, { kind, title });
    });
  }
}

function countsOf(multiRun) {
  const { counts } = multiRun;
  return `${counts.finished} of ${counts.requested} finished, ${counts.usable} usable, ${multiRun.quorum} needed`;
}

/** The rank of a candidate. Where nothing was compared, the API ranks by number, which says nothing. */
function rankOf({ judging }, index) {
  const ranking = judging?.ranking ?? [];
  return judging?.by_judges || ranking.some((each) => each.reasons.length) ? ranking.find((each) => each.candidate === index) : null;
}

/** How many candidates are at work and how many wait. */
function atWork({ candidates }) {
  const waiting = candidates.filter((each) => each.status === "queued").length;
  const working = candidates.filter((each) => LIVE.has(each.status)).length - waiting;
  return [working > 0 && `${count(working, "candidate")} at work`, waiting > 0 && `${waiting} in the queue`].filter(Boolean).join(", ") || "Looks at the answers";
}

function doing(multiRun) {
  if (multiRun.paused_scope) return "Paused: nothing more is launched until it is resumed.";
  // Each candidate says why it gave no usable answer, so the list of reasons stays in the tooltip.
  if (multiRun.reason?.startsWith("Usable candidates:")) return `Too few usable answers: ${multiRun.counts.usable} of ${multiRun.quorum} needed.`;
  if (multiRun.reason) return multiRun.reason;
  const steps = { judging: "Judges rank the usable answers", synthesizing: "A further run joins the usable answers" };
  if (OPEN.has(multiRun.status)) return [steps[multiRun.status] ?? atWork(multiRun), " · ", ticking(multiRun.created_at)];
  return [multiRun.answer ? SOURCES[multiRun.answer.source] ?? word(multiRun.answer.source) : "No answer", ", ", since(multiRun.finished_at)];
}

/** The answer. Each part shows of whose answers it contains the words. */
async function answer(multiRun, path, signal, address) {
  if (!multiRun.answer) {
    return empty(multiRun.status, OPEN.has(multiRun.status) ? "No answer yet" : "No answer", OPEN.has(multiRun.status)
      ? "It appears here when the candidates have finished." : multiRun.reason ?? "The candidates' answers are side by side under Candidates.");
  }
  const told = [h("h2.visually-hidden", "Answer"), h("p.stands", multiRun.answer.stands_for || SOURCES[multiRun.answer.source]), multiRun.pick?.reason && h("p.muted", `Reason: ${multiRun.pick.reason}`), multiRun.answer.reason && h("p.muted", multiRun.answer.reason)];
  const { grafts = [], follow_up: followUp } = multiRun.answer;
  const provenance = multiRun.answer.provenance ?? (await api.get(`${path}/compare`, undefined, signal).catch(() => ({ provenance: null }))).provenance;
  if (grafts.length) {
    told.push(h("section.grafts", { "aria-label": "Worth taking over" }, h("h3", "Worth taking over"), h("ul", grafts.map((each) => h("li", h("span.chip", { data: { candidate: each.candidate % 8 }, title: `From candidate ${each.candidate + 1}` }, each.candidate + 1), " ", each.what))),
      followUp?.outcome ? h("p.muted", followUp.problem ?? `The follow-up with it: ${word(followUp.outcome).toLowerCase()}.`) : followUp && may("member") && button("Send it to the agent as a follow-up", async () => {
        const run = multiRun.candidates[multiRun.answer.candidate]?.agent_run_id ?? followUp.run;
        if (await attempt(() => api.post(inOrganization(`agent/run/${run}/resume`), { prompt: followUp.prompt }), "Sent. The agent continues.")) location.hash = address(`runs/${encodeURIComponent(run)}?tab=log`);
      }, { symbol: "fork" })));
  }
  if (!provenance || provenance.truncated || !provenance.blocks.length || multiRun.answer.source !== "synthesis") {
    return h("section.answer", { "aria-label": "Answer" }, told, markdown(multiRun.answer.text), h("div.actions", pullRequests(multiRun.answer.pull_requests)));
  }
  const chips = (block) => block.sources.length
    ? block.sources.map(({ candidate, score }) => h("a.chip", { href: address(`runs/${encodeURIComponent(multiRun.candidates[candidate]?.agent_run_id ?? "")}`), data: { candidate: candidate % 8 }, title: `Candidate ${candidate + 1}: ${Math.round(score * 100)} % of the words` }, candidate + 1))
    : block.kind !== "heading" && h("span.chip.novel", { title: "In no candidate's answer" }, "new");
  const parts = provenance.blocks.map((block) => h("div.block", h("div.chips", chips(block)), markdown(restored(block))));
  const legend = provenance.left_out.map((each) => {
    const toggle = h("button.button.small", { type: "button", "aria-pressed": "false", title: "Show what the answer took from it", on: {
      click: () => {
        const on = toggle.getAttribute("aria-pressed") === "false";
        for (const other of legend) other.setAttribute("aria-pressed", String(on && other === toggle));
        parts.forEach((part, at) => part.classList.toggle("others", on && !provenance.blocks[at].sources.some(({ candidate }) => candidate === each.candidate)));
      },
    } }, numbered(each.candidate), h("span.muted", share(each)));
    return toggle;
  });
  return h("section.answer", { "aria-label": "Answer" }, told,
    h("p.muted.legend", "The numbers say whose words a part contains. It is measured, not claimed."),
    h("div.actions.legend", { role: "group", "aria-label": "Taken from" }, legend),
    h("div.blocks", parts),
    provenance.left_out.some((each) => each.texts.length) && [h("h2", "Not taken"), provenance.left_out.filter((each) => each.texts.length).map((each) => h("details.left-out",
      h("summary", icon("chevron"), numbered(each.candidate), h("span.muted", count(each.texts.length, "part"))), h("ul", each.texts.map((text) => h("li", firstLine(text))))))]);
}

/** The name of a candidate, with its number in its colour. */
function numbered(index) {
  return h("span", "Candidate ", h("span.chip", { data: { candidate: index % 8 } }, index + 1));
}

/** What a judge decided: the candidates from the best on, with its reasons. */
function verdict({ ranking, reasons, none_acceptable: none }) {
  return [none && h("p.health", "No answer is acceptable."), h("ol.verdict", ranking.map((index) => h("li", numbered(index), reasons[index] && h("p.muted", reasons[index]))))];
}

/** How many parts of a candidate's answer the answer contains. */
function share({ taken, blocks }) {
  return `${taken} of ${count(blocks, "part")} taken`;
}

/** A part of the answer as Markdown of its kind. */
function restored({ kind, text }) {
  if (kind === "heading" && !/^#/.test(text)) return `### ${text}`;
  if (kind === "list_item" && !/^\s*([-*+]|\d+[.)])\s/.test(text)) return `- ${text}`;
  if (kind === "code" && !/^```/.test(text)) return `\`\`\`\n${text}\n\`\`\``;
  return text;
}

function comparison(found, multiRun, address) {
  const all = found.candidates;
  const taken = (each) => found.provenance?.left_out.find((part) => part.candidate === each.index);
  const isAnswer = (each) => each.index === (multiRun.pick?.candidate ?? multiRun.answer?.candidate);
  const evidence = (read) => (each) => (each.evidence ? read(each.evidence) : null);
  const rows = [
    ["Status", (each) => status(each.status, each.reason)],
    ["Usable", (each) => each.usable === null ? null : each.usable ? "Yes" : h("span.health", each.reason ?? "No")],
    ["Rank", (each) => rankOf(multiRun, each.index) && each.rank && [h("b", each.rank), (each.rank_reasons ?? []).map((reason) => h("p.muted", reason))]],
    ["Model", (each) => each.model],
    ["Duration", evidence((e) => duration(e.duration_seconds))],
    ["Steps", evidence((e) => e.steps)],
    ["Tools", evidence((e) => e.tools.slice(0, 6).map((tool) => h("p", h("code", tool.name), ` × ${tool.calls}`)))],
    ["Files changed", evidence((e) => { const files = e.files.filter((file) => file.access === "changed"); return files.length ? files.slice(0, 8).map((file) => h("p", h("code", file.path))) : null; })],
    ["Tests", evidence((e) => e.tests_outcome && [status(e.tests_outcome), e.changed_after_tests && h("p.muted", "Then changed again")])],
    ["Checks", evidence((e) => e.checks.map((check) => h("p", `${check.name}: ${check.conclusion}`)))],
    ["Errors", evidence((e) => e.errors.length ? [h("span.bad", count(e.errors.length, "error")), h("p.muted", firstLine(e.errors[0].text))] : "None")],
    ["Pull requests", evidence((e) => pullRequests(e.pull_requests))],
    ["Open ends", evidence((e) => e.open_ends.length ? e.open_ends.slice(0, 4).map((end) => h("p", firstLine(end.text))) : null)],
    ["Taken into the answer", (each) => multiRun.answer?.source === "synthesis" && taken(each)?.blocks > 0 && share(taken(each))],
    ["Answer", (each) => each.answer_characters !== null && each.answer_characters !== undefined && count(each.answer_characters, "character")],
  ].map(([name, read]) => [name, all.map(read)]).filter(([, cells]) => cells.some((cell) => cell !== null && cell !== undefined && cell !== false && cell !== "" && !(Array.isArray(cell) && !cell.length)));
  return [
    found.agreement && h("p.stands", capital(found.agreement.summary), h("span.muted", ", by their words")),
    h("div.scrolls", { tabindex: "0", role: "group", "aria-label": "Comparison" }, h("table.compare",
      h("thead", h("tr", h("th", { scope: "col" }, h("span.visually-hidden", "Property")), all.map((each) => h("th", { scope: "col" }, each.agent_run_id ? h("a", { href: address(`runs/${each.agent_run_id}`) }, numbered(each.index)) : numbered(each.index), isAnswer(each) && h("span.tag", multiRun.pick ? "Picked" : "Answer"))))),
      h("tbody", rows.map(([name, cells]) => h("tr", h("th", { scope: "row" }, name), cells.map((cell) => h("td", cell ?? h("span.muted", "–")))))))),
    found.files.changed_by_all.length > 0 && h("p.stands", "All changed: ", found.files.changed_by_all.map((file, at) => [at > 0 && ", ", h("code", file)])),
  ];
}
