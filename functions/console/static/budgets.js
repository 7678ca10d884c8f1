// Budgets: how many runs and follow-ups the organization and each caller may start, and what is used of them.

import { api, inOrganization } from "./api.js";
import { h } from "./elements.js";
import { moment } from "./format.js";
import { may } from "./role.js";
import { ask, button, field, toast } from "./widgets.js";

const NAMES = {
  runs_per_day: "Runs per day", runs_per_month: "Runs per month", follow_ups_per_day: "Follow-ups per day",
  concurrent_runs: "Runs at once", candidates_per_multi_run: "Candidates",
};
const SCOPES = [["organization", "Everyone together"], ["caller", "Each caller"]];

/** The section of the budgets, for the usage view. `again` draws the view anew. */
export function budgetsSection(budgets, again) {
  const used = SCOPES.map(([scope, label]) => [scope === "caller" ? "You" : label, budgets.used.filter((each) => each.scope === scope)]).filter(([, uses]) => uses.length);
  return h("section", { "aria-label": "Budgets" },
    h("div.row.lead", h("h2", "Budgets"), may("admin") && button("Set budgets", () => change(budgets, again))),
    used.length ? h("div.plots", used.map(([label, uses]) => h("figure.plot", h("figcaption", label), h("div.bars.of-limits", uses.map(bar)))))
      : h("p.muted", `No budget is set, so the number of runs is not limited here.${may("admin") ? "" : " An admin can set one."}`));
}

function bar({ budget, limit, used, resets_at: resets }) {
  const part = h(`span.fill${used >= limit && budget !== "candidates_per_multi_run" ? ".empty" : ""}`);
  part.style.width = `${limit ? Math.min(100, (100 * used) / limit) : 100}%`;
  return h("div.bar", h("span.label", { title: NAMES[budget] }, NAMES[budget] ?? budget), h("span.track", part),
    h("span.value-of", budget === "candidates_per_multi_run" ? `at most ${limit}` : `${used.toLocaleString("en")} of ${limit.toLocaleString("en")}`),
    resets && h("span.note-of", `begins again ${moment(resets)}`));
}

async function change(budgets, again) {
  const inputs = SCOPES.map(([scope, label]) => h("fieldset", h("legend", label), Object.entries(NAMES).map(([name, title]) =>
    field(title, h("input", { name: `${scope}.${name}`, type: "number", min: "0", value: budgets[scope][name] ?? "", placeholder: "No limit" })))));
  const limits = (form, scope) => Object.fromEntries(Object.keys(NAMES).map((name) => {
    const given = form.get(`${scope}.${name}`);
    return [name, given === "" ? null : Number(given)];
  }));
  const saved = await ask({
    title: "Budgets", wide: true, content: [h("p.muted", "An empty field is no limit. Days and months are in UTC."), h("div.fields", inputs)],
    act: (form) => api.put(inOrganization("budgets"), Object.fromEntries(SCOPES.map(([scope]) => [scope, limits(form, scope)]))),
  });
  if (saved) { toast("Saved."); again(); }
}
