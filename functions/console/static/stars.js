// The runs that the person has starred, with notes.

import { api, inOrganization } from "./api.js";
import { fill, h } from "./elements.js";
import { titleOf } from "./format.js";
import { may } from "./role.js";
import { setStar } from "./runs.js";
import { ask, button, empty, field, heading, loaded, pullRequests, since, star, status, toast } from "./widgets.js";

export async function show({ main, signal, titled, address }) {
  titled("Starred");
  const body = h("div.body");
  fill(main, heading("Starred runs", { acts: [], below: h("p.muted", "Only you see your stars and notes.") }), body);
  const draw = () => loaded(body, async () => {
    const items = [];
    let cursor;
    do {
      const page = await api.get(inOrganization("starred-runs"), { limit: 50, cursor }, signal);
      items.push(...page.items);
      cursor = page.has_more ? page.next_cursor : null;
    } while (cursor && items.length < 500);
    if (!items.length) return empty("star", "No starred runs", "Star a run to find it here again, with a note if you like.");
    return h("ul.runs.table", { role: "list" }, items.map((each) => {
      const run = each.run ?? { id: each.agent_run_id, status: "unknown" };
      return h("li.run.starred", { data: { entry: "" } }, status(run.status),
        h("div.what", h("a.title", { href: address(`runs/${each.agent_run_id}`) }, titleOf(run)), each.note ? h("p.note", each.note) : h("p.about", run.repo_name && h("span", run.repo_name), each.stale && h("span", "As it was when it was last read"))),
        h("div.prs", pullRequests(run.pull_requests)), h("span.age", since(each.starred_at)),
        may("member") && button(each.note ? "Edit the note" : "Add a note", () => note(each, draw), { kind: "small" }),
        star({ id: each.agent_run_id, starred: true }, (on) => setStar(each.agent_run_id, on)));
    }));
  }, signal);
  await draw();
}

async function note(each, draw) {
  const text = h("textarea", { name: "note", rows: 4, maxlength: "2000" });
  text.value = each.note ?? "";
  const saved = await ask({ title: "Note", content: field("Note", text), act: (form) => api.post(inOrganization("starred-runs"), { agent_run_id: each.agent_run_id, starred: true, note: form.get("note").trim() || null }) });
  if (saved) {
    toast("Saved.");
    await draw();
  }
}
