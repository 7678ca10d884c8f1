// Tokens, members, webhooks and the audit trail: what the person may see and change.

import { api, inOrganization } from "./api.js";
import { audit } from "./audit.js";
import { webhook } from "./doorbell.js";
import { fill, h } from "./elements.js";
import { endpoints } from "./endpoints.js";
import { moment, word } from "./format.js";
import { readPeople } from "./people.js";
import { may, mayCreateTokens } from "./role.js";
import { ask, attempt, button, choice, copy, empty, facts, field, heading, loaded, since, skeleton, table, tabs } from "./widgets.js";

const LABELS = { tokens: "API tokens", endpoints: "Webhook endpoints", webhook: "Webhook of Codegen", audit: "Audit trail" };
// The role that may see a part, where not everyone may.
const LEAST = { webhook: "member", audit: "admin" };
const ROLES = [["viewer", "Viewer: looks only"], ["member", "Member: also starts runs"], ["admin", "Admin: also manages"]];

export async function show({ main, signal, titled, address, parameters: [part = "tokens"] }) {
  titled("Settings");
  const body = h("div.body", skeleton());
  const parts = { tokens, members, endpoints, webhook, organization, audit };
  const navigation = h("div");
  fill(main, heading("Settings"), navigation, body);
  const offered = Object.keys(parts).filter((each) => each === part || may(LEAST[each] ?? "viewer"));
  fill(navigation, tabs("Settings", offered.map((each) => [each, LABELS[each] ?? word(each), address(`settings/${each}`)]), part));
  const draw = () => loaded(body, () => (parts[part] ?? tokens)({ signal, again: draw }), signal);
  await draw();
}

async function tokens({ signal, again }) {
  const { items } = await api.get("v1/users/me/api-tokens", { limit: 100 }, signal);
  return [h("div.row.lead", h("p.muted", "An API token acts for you, with at most your rights. Programs send it like a Codegen token."), mayCreateTokens() && button("New token", () => createToken(again), { kind: "primary", symbol: "plus" })),
    items.length ? table(["Name", "Token", "Role", "Expires", "Last used", ""], items.map((each) => [each.name, h("code", `${each.prefix}…`), word(each.role), each.expires_at ? h("time", { datetime: each.expires_at }, moment(each.expires_at)) : "Never", each.last_used_at ? since(each.last_used_at) : "Not yet",
      button("Revoke", async () => {
        const done = await ask({ title: `Revoke ${each.name}?`, kind: "danger", confirm: "Revoke", content: h("p", "Programs with this token are refused from now on."), act: async () => { await api.delete(`v1/users/me/api-tokens/${each.id}`); return true; } });
        if (done) again();
      }, { kind: "small" })])) : empty("settings", "No API tokens", "Create one for a program, or for a colleague's terminal.")];
}

async function createToken(again) {
  const made = await ask({
    title: "New API token",
    confirm: "Create",
    content: [field("Name", h("input", { name: "name", required: true, maxlength: "100" })), field("Role", choice("role", ROLES.filter(([role]) => may(role)), may("member") ? "member" : "viewer")), field("Expires", choice("days", [["1", "In a day"], ["30", "In 30 days"], ["90", "In 90 days"], ["", "Never"]], "30"))],
    act: (form) => api.post("v1/users/me/api-tokens", { name: form.get("name"), role: form.get("role"), expires_at: form.get("days") ? new Date(Date.now() + Number(form.get("days")) * 86400000).toISOString() : null }),
  });
  if (!made) return;
  await ask({ title: "Your new token", confirm: "Done", dismiss: null, content: [h("p", "Copy it now: it is shown only once."), h("pre.prompt", made.token), button("Copy", () => copy(made.token, "The token"), { symbol: "copy" })] });
  again();
}

async function members({ signal, again }) {
  const [{ items }, people] = await Promise.all([api.get(inOrganization("members"), { limit: 100 }, signal), readPeople(signal)]);
  return table(["Member", "Role here", "Role at Codegen", "Changed"], items.map((each) => {
    const role = choice("role", ROLES, each.role, async (value) => {
      if (!(await attempt(() => api.patch(inOrganization(`users/${each.id}`), { role: value }), `${each.name ?? each.github_username} is now ${value}.`))) again();
    });
    role.setAttribute("aria-label", `Role of ${each.name ?? each.github_username}`);
    return [[h("b", each.name ?? each.github_username), h("p.muted", each.email)], may("admin") ? role : word(each.role), word(each.codegen_role), each.updated_at ? [since(each.updated_at), h("p.muted", people(each.updated_by))] : "–"];
  }));
}

async function organization({ signal }) {
  const found = await api.get(inOrganization("").replace(/\/$/, ""), undefined, signal);
  return facts([["Name", found.name], ["Id", found.id], ["Members", found.members_count], ["Your role", word(found.role)], ["Changed", found.updated_at && since(found.updated_at)], ["Name at Codegen", found.codegen?.name]]);
}
