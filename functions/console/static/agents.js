// Agents, their versions, and what changed between two.

import { api, inOrganization } from "./api.js";
import { readChoices, readRepositoryNames } from "./choices.js";
import { fill, h, icon } from "./elements.js";
import { word } from "./format.js";
import { readPeople } from "./people.js";
import { may } from "./role.js";
import { ask, button, choice, empty, facts, field, heading, loaded, since, toast } from "./widgets.js";

// The fields that a version has, and what the console calls them.
const FIELDS = {
  name: "Name", description: "Description", system_prompt: "Instructions", model: "Model", repo_id: "Repository", tags: "Tags",
  type: "Type", configuration: "Configuration",
};

export async function show({ main, signal, titled, address, parameters: [id], query }) {
  if (id) return one({ main, signal, titled, address, id, query });
  titled("Agents");
  const body = h("div.body");
  fill(main, heading("Agents", { acts: [button("New agent", () => edit(null, address), { kind: "primary", symbol: "plus" })] }), body);
  await loaded(body, async () => {
    const { items } = await api.get(inOrganization("agents"), { limit: 100 }, signal);
    if (!items.length) return empty("agent", "No agents yet", "An agent is a set of instructions with a model and a repository, which you can use again and again.", may("member") && button("Create one", () => edit(null, address), { kind: "primary" }));
    return h("ul.cards-list", { role: "list" }, items.map((each) => h("li.card", { data: { entry: "" } },
      h("h2", h("a", { href: address(`agents/${encodeURIComponent(each.id)}`) }, each.name)), h("p.muted", each.description ?? "No description"),
      h("p.about", h("span", `Version ${each.version}`), h("span", since(each.updated_at)), each.tags.map((tag) => h("span.tag", tag))))));
  }, signal);
}

async function one({ main, signal, titled, address, id, query }) {
  const path = inOrganization(`agents/${encodeURIComponent(id)}`);
  await loaded(main, async () => {
    const [agent, versions, people, repositories] = await Promise.all([
      api.get(path, undefined, signal), api.get(`${path}/versions`, { limit: 50 }, signal), readPeople(signal), readRepositoryNames(signal)]);
    titled(agent.name);
    const known = versions.items;
    const newest = known[0]?.version ?? agent.version;
    const to = Number(query.get("to")) || newest;
    const from = Number(query.get("from")) || Math.max(1, to - 1);
    const numbers = known.map((each) => [String(each.version), `Version ${each.version}`]);
    const go = (a, b) => (location.hash = address(`agents/${encodeURIComponent(id)}?from=${a}&to=${b}`));
    const older = choice("from", numbers, String(from), (value) => go(value, to));
    const newer = choice("to", numbers, String(to), (value) => go(from, value));
    older.setAttribute("aria-label", "Earlier version");
    newer.setAttribute("aria-label", "Later version");
    const find = (number) => {
      const version = known.find((each) => each.version === number);
      return version && { ...version, repo_id: version.repo_id && repositories(version.repo_id) };
    };
    return [
      heading(agent.name, {
        back: [h("a", { href: address("agents") }, "Agents"), ` / ${agent.id}`],
        acts: [h("a.button", { href: address(`chat?agent=${encodeURIComponent(id)}`) }, icon("chat"), "Chat"), h("a.button", { href: address(`new?agent=${encodeURIComponent(id)}`) }, icon("plus"), "Run"), button("Edit", () => edit(agent, address), { symbol: "edit" }), button("Delete", () => remove(agent, address), { kind: "danger" })],
        below: agent.description && h("p.muted", agent.description),
      }),
      h("div.columns", h("div.content", h("h2", "Instructions"), h("pre.prompt", agent.system_prompt ?? "None"),
        known.length > 1 && h("section", { "aria-label": "Changes" }, h("div.row.changes", h("h2", "Changes"), h("span.muted", "from"), older, h("span.muted", "to"), newer), difference(find(from), find(to)))),
      h("div", facts([["Version", agent.version], ["Model", agent.model ?? "Default"], ["Repository", agent.repo_id && repositories(agent.repo_id)], ["Tags", agent.tags.length > 0 && agent.tags.map((tag) => h("span.tag", tag))], ["Type", word(agent.type)], ["Created", since(agent.created_at)], ["By", agent.created_by && people(agent.created_by)], ["Changed", since(agent.updated_at)]]),
        h("h2", "Versions"), h("ol.versions", known.map((each) => h("li", h("a", { href: address(`agents/${encodeURIComponent(id)}?from=${Math.max(1, each.version - 1)}&to=${each.version}`) }, `Version ${each.version}`), h("span.muted", since(each.updated_at), " · ", people(each.updated_by))))))),
    ];
  }, signal);
}

/** What differs between two versions, field by field. */
function difference(before, after) {
  if (!before || !after || before.version === after.version) return h("p.muted", "Choose two versions.");
  const changed = Object.keys(FIELDS).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  if (!changed.length) return h("p.muted", "Nothing changed.");
  return changed.map((name) => h("div.change", h("h3", FIELDS[name]), h("pre.diff", { tabindex: "0" }, lineDiff(asText(before[name]), asText(after[name])).map(([sign, text]) =>
    h(`span.line${sign === "+" ? ".added" : sign === "-" ? ".removed" : ""}`, h("span.sign", sign), text, "\n")))));
}

function asText(value) {
  return value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** The lines of two texts: kept (" "), removed ("-") and added ("+"), by their longest common subsequence. */
export function lineDiff(before, after) {
  const [a, b] = [before.split("\n"), after.split("\n")];
  if (a.length * b.length > 250_000) return [...a.map((line) => ["-", line]), ...b.map((line) => ["+", line])];
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) for (let j = b.length - 1; j >= 0; j -= 1) lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { lines.push([" ", a[i]]); i += 1; j += 1; }
    else if (i < a.length && (j === b.length || lengths[i + 1][j] >= lengths[i][j + 1])) { lines.push(["-", a[i]]); i += 1; }
    else { lines.push(["+", b[j]]); j += 1; }
  }
  return lines;
}

async function edit(agent, address) {
  const { repositories, models } = await readChoices();
  const input = (name, options = {}) => h("input", { name, value: agent?.[name] ?? "", ...options });
  const instructions = h("textarea", { name: "system_prompt", rows: 8 });
  instructions.value = agent?.system_prompt ?? "";
  const saved = await ask({
    title: agent ? `Edit ${agent.name}` : "New agent",
    confirm: agent ? "Save as a new version" : "Create",
    wide: true,
    content: [field("Name", input("name", { required: true, maxlength: "100" })), field("Description", input("description")), field("Instructions", instructions, "What the agent is told before each prompt"),
      h("div.fields",
        field("Repository", choice("repo_id", withOwn(agent?.repo_id, "None", repositories), String(agent?.repo_id ?? ""))),
        field("Model", choice("model", withOwn(agent?.model, "Default", models), agent?.model ?? "")),
        field("Tags", h("input", { name: "tags", value: (agent?.tags ?? []).join(", "), placeholder: "Separated by commas" })))],
    act: (form) => {
      const text = (name) => form.get(name)?.trim() || null;
      const body = { name: text("name"), description: text("description"), system_prompt: text("system_prompt"), model: text("model"), repo_id: Number(form.get("repo_id")) || null, tags: (text("tags") ?? "").split(",").map((each) => each.trim()).filter(Boolean) };
      return agent ? api.patch(inOrganization(`agents/${encodeURIComponent(agent.id)}`), { ...body, version: agent.version }) : api.post(inOrganization("agents"), body);
    },
  });
  if (!saved) return;
  toast("Saved.");
  const next = address(`agents/${encodeURIComponent(saved.id)}`);
  if (location.hash === next) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = next;
}

/** Options with a first one for none, and with the agent's own, which may be none of those that are offered now. */
function withOwn(own, none, options) {
  const values = options.flatMap(([value, inside]) => (Array.isArray(inside) ? inside.map(([each]) => each) : [value]));
  const more = own && !values.includes(String(own)) ? [[String(own), String(own)]] : [];
  return [["", none], ...more, ...options];
}

async function remove(agent, address) {
  const done = await ask({ title: `Delete ${agent.name}?`, kind: "danger", confirm: "Delete", content: h("p", "Its runs and conversations stay. It cannot be used any more."),
    act: async () => { await api.delete(inOrganization(`agents/${encodeURIComponent(agent.id)}`)); return true; } });
  if (done) location.hash = address("agents");
}
