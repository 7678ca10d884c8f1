// Usage as plots; each has its numbers as a table.

import { api, inOrganization } from "./api.js";
import { budgetsSection } from "./budgets.js";
import { fill, h, icon, svg } from "./elements.js";
import { count, duration, instant, word } from "./format.js";
import { readPeople } from "./people.js";
import { choice, empty, heading, loaded } from "./widgets.js";

const PAGES = 5;
const DAY = 86400000;
const ORDER = ["completed", "incomplete", "failed", "timed_out", "cancelled", "running", "queued", "paused", "unknown"];

export async function show({ main, signal, titled, address, query }) {
  titled("Usage");
  const days = [7, 14, 30].includes(Number(query.get("days"))) ? Number(query.get("days")) : 14;
  const body = h("div.body");
  const span = choice("days", [["7", "7 days"], ["14", "14 days"], ["30", "30 days"]], String(days), (value) => (location.hash = address(`usage?days=${value}`)));
  span.setAttribute("aria-label", "Span of time");
  fill(main, heading("Usage", { actions: [span] }), body);
  const draw = () => loaded(body, async () => {
    const start = new Date(Date.now() - days * DAY).toISOString();
    const [usage, [cards, complete], people, budgets] = await Promise.all([api.get(inOrganization("usage"), { start_date: start }, signal), runsSince(start, signal),
      readPeople(signal), api.get(inOrganization("budgets"), undefined, signal)]);
    const limits = budgetsSection(budgets, draw);
    const person = (key) => (key === "unknown" ? "Started elsewhere" : people(key));
    if (!usage.runs.total) return [empty("usage", "Nothing to count yet", "The runs of the last days appear here."), limits];
    const took = cards.map((card) => card.duration_seconds).filter((seconds) => seconds !== null && seconds !== undefined).sort((a, b) => a - b);
    const ended = cards.filter((card) => ["completed", "failed", "timed_out", "incomplete"].includes(card.status));
    const share = ended.length ? Math.round((100 * ended.filter((card) => card.status === "completed").length) / ended.length) : null;
    return [
      h("dl.numbers", [["Runs", usage.runs.total.toLocaleString("en")], ["Completed", share === null ? "–" : `${share} %`], ["Median duration", took.length ? duration(took[Math.floor(took.length / 2)]) : "–"], ["Multi-runs", usage.multi_runs.total], ["Runs in multi-runs", usage.upstream_creations.of_multi_runs]].map(([term, value]) => h("div", h("dt", term), h("dd", value)))),
      limits,
      (!complete || !usage.complete) && h("p.muted", `The plots show the newest ${count(cards.length, "run")}.`),
      h("div.plots",
        plot("Runs per day by status", perDay(cards, days), true),
        plot("By status", sorted(usage.runs.by_status, word)),
        plot("By user", sorted(usage.runs.by_user, person)),
        plot("By repository", sorted(tally(cards, (card) => card.repo_name ?? "None"))),
        plot("By source", sorted(usage.runs.by_source, word)),
        plot("Duration of runs", durations(took)),
        usage.multi_runs.winners?.length > 0 && plot("Selected candidates by model", usage.multi_runs.winners.map((each) => [each.model ?? "Default", each.selected]))),
    ];
  }, signal);
  await draw();
}

async function runsSince(start, signal) {
  const cards = [];
  for (let page = 1; page <= PAGES; page += 1) {
    const answer = await api.get(inOrganization("run-cards"), { page, limit: 100, children: true, created_after: start }, signal);
    cards.push(...answer.items);
    if (!answer.has_more) return [cards, true];
  }
  return [cards, false];
}

function tally(items, keyOf) {
  const counts = {};
  for (const item of items) counts[keyOf(item)] = (counts[keyOf(item)] ?? 0) + 1;
  return counts;
}

function sorted(counts, name = (each) => each) {
  return Object.entries(counts).sort((a, b) => b[1] - a[1]).slice(0, 12).map(([key, number]) => [name(key), number]);
}

/** For each day, its label and the number of runs by status. */
function perDay(cards, days) {
  const dayOf = (time) => new Date(time).toLocaleDateString("en-CA");
  return Array.from({ length: days }, (_, at) => {
    const time = Date.now() - (days - 1 - at) * DAY;
    const there = cards.filter((card) => dayOf(instant(card.created_at)) === dayOf(time));
    return [new Date(time).toLocaleDateString("en", { day: "numeric", month: "short" }), there.length, tally(there, (card) => card.status)];
  });
}

function durations(took) {
  const bounds = [[10, "under 10 s"], [60, "10 s – 1 m"], [300, "1 – 5 m"], [1800, "5 – 30 m"], [7200, "30 m – 2 h"], [Infinity, "over 2 h"]];
  let low = 0;
  return bounds.map(([high, label]) => {
    const number = took.filter((seconds) => seconds >= low && seconds < high).length;
    low = high;
    return [label, number];
  });
}

function plot(title, rows, stacked = false) {
  const most = Math.max(1, ...rows.map(([, number]) => number));
  const drawn = stacked ? columns(rows, most) : h("div.bars", { "aria-hidden": "true" }, rows.map(([label, number]) => {
    const part = h("span.fill");
    part.style.width = `${(100 * number) / most}%`;
    return h("div.bar", h("span.label", { title: label }, label), h("span.track", part), h("span.value-of", number.toLocaleString("en")));
  }));
  const statuses = stacked ? ORDER.filter((name) => rows.some(([, , by]) => by[name])) : [];
  return h(`figure.plot${stacked ? ".wide" : ""}`, h("figcaption", title), rows.length ? drawn : h("p.muted", "Nothing yet"),
    stacked && h("p.key-of", statuses.map((name) => h("span", h(`i.swatch.fill-${name}`), word(name)))),
    h("details", h("summary", icon("chevron"), "Show as a table"), h("div.scrolls", { tabindex: "0", role: "group", "aria-label": `${title}, numbers` }, h("table",
      h("thead", h("tr", h("th", { scope: "col" }, stacked ? "Day" : "What"), h("th", { scope: "col" }, "Runs"), statuses.map((name) => h("th", { scope: "col" }, word(name))))),
      h("tbody", rows.map(([label, number, by]) => h("tr", h("th", { scope: "row" }, label), h("td", number), statuses.map((name) => h("td", by[name] ?? 0)))))))));
}

function columns(rows, most) {
  const [width, height, gap] = [100 / rows.length, 40, 0.22];
  const top = Math.max(1, most);
  const bars = rows.flatMap(([label, , by], at) => {
    let y = height;
    return ORDER.filter((name) => by[name]).map((name) => {
      const tall = (by[name] / top) * (height - 2);
      y -= tall;
      return svg("rect", { x: at * width + (width * gap) / 2, y, width: width * (1 - gap), height: Math.max(0.2, tall - 0.25), class: `fill-${name}`, rx: 0.4 }, svg("title", {}, `${label}: ${by[name]} ${word(name).toLowerCase()}`));
    });
  });
  const every = Math.ceil(rows.length / 8);
  return h("div.columns-plot", { "aria-hidden": "true" }, h("span.top-value", top), svg("svg", { viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none" }, svg("line", { x1: 0, x2: 100, y1: height, y2: height, class: "axis" }), bars),
    h("div.axis-labels", rows.map(([label], at) => h(`span${(at / every) % 2 ? ".spare" : ""}`, at % every === 0 ? label : ""))));
}
