// The audit trail of the organization: who did what, newest first. For admins.

import { api, inOrganization } from "./api.js";
import { fill, h, icon } from "./elements.js";
import { moment, word } from "./format.js";
import { readPeople } from "./people.js";
import { attempt, button, empty, field, loaded, table } from "./widgets.js";

const PAGE = 100;
const MARKS = { succeeded: "completed", refused: "incomplete", failed: "failed", attempted: "unknown" };
const FILTERS = [["act", "Act", "run.cancel"], ["actor", "Actor", "user:42"], ["target", "Target", "100005"]];

/** The acts, with filters. `codegen-runs audit verify` checks the chain of their entries. */
export async function audit({ signal }) {
  const list = h("div.audit", await acts({}, signal));
  const draw = (filters) => loaded(list, () => acts(filters, signal), signal);
  const form = h("form.acts-filters.lead", { on: { submit: (event) => { event.preventDefault(); draw(Object.fromEntries([...new FormData(form)].filter(([, value]) => value.trim()))); } } },
    FILTERS.map(([name, label, placeholder]) => field(label, h("input", { name, placeholder, maxlength: "500", autocomplete: "off" }))),
    h("button.button", { type: "submit" }, "Filter"));
  return [h("p.muted", "Each entry has the hash of the one before it. ", h("code", "codegen-runs audit verify"), " checks that none was changed."), form, list];
}

async function acts(filters, signal) {
  const rows = [];
  const concluded = new Set();
  const place = h("div");
  let cursor;
  const more = async () => {
    const [page, people] = await Promise.all([api.get(inOrganization("audit"), { ...filters, limit: PAGE, cursor }, signal), readPeople(signal)]);
    for (const entry of page.items) {
      // The outcome of an act stands for it; its attempt is shown only without one.
      if (entry.outcome === "attempted" && concluded.has(entry.sequence)) continue;
      concluded.add(entry.attempt);
      rows.push(row(entry, people));
    }
    cursor = page.has_more ? page.next_cursor : null;
    fill(place, rows.length ? table(["Act", "Target", "Actor", "Outcome", "Time"], rows) : empty("search", "No such acts", cursor ? "There are none among the newest entries." : "Nothing was recorded."),
      cursor && button("Show older ones", () => attempt(more)));
  };
  await more();
  return place;
}

/** An act as people say it: "api_token.create" is "API token: create". */
function named(act) {
  return word(act.replaceAll("_", " ").replace(".", ": ")).replace(/^Api /, "API ");
}

/** The details of an act, each as a name and a value. */
function told(details) {
  return Object.entries(details).map(([name, value]) => `${name.replaceAll("_", " ")}: ${inWords(value)}`).join(", ");
}

function inWords(value) {
  if (Array.isArray(value)) return value.map(inWords).join(" ");
  if (value && typeof value === "object") return `(${told(value)})`;
  return value === true ? "yes" : value === false ? "no" : value ?? "none";
}

function row({ act, target, details, actor, token_id: token, outcome, status, code, at, sequence }, people) {
  return [
    [h("b", { title: act }, named(act)), h("p.muted", told(details))],
    target ? h("code", target) : h("span.muted", "–"),
    [h("span.name", people(actor)), people(actor) !== actor && h("p.muted", h("code", actor)), token && h("p.muted", h("code", token))],
    [h(`span.status.status-${MARKS[outcome]}`, icon(MARKS[outcome]), h("span.word", outcome === "attempted" ? "No outcome" : word(outcome))), code && h("p.muted", `${word(code)} (${status})`)],
    h("time", { datetime: at, title: `Entry ${sequence}` }, moment(at)),
  ];
}
