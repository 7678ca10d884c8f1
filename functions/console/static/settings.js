// Tokens, members and webhooks: what the person may see and change.

import { api, inOrganization } from "./api.js";
import { audit } from "./audit.js";
import { fill, h } from "./elements.js";
import { endpoints } from "./endpoints.js";
import { moment, word } from "./format.js";
import { ask, attempt, button, choice, copy, empty, facts, field, heading, loaded, since, table, tabs, toast } from "./widgets.js";

const LABELS = { tokens: "API tokens", endpoints: "Webhook endpoints", webhook: "Webhook of Codegen", audit: "Audit trail" };
const ROLES = [["viewer", "Viewer: reads"], ["member", "Member: also acts"], ["admin", "Admin: also manages"]];

export async function show({ main, signal, titled, address, parameters: [part = "tokens"] }) {
  titled("Settings");
  const body = h("div.body");
  const parts = { tokens, members, endpoints, webhook, organization, audit };
  fill(main, heading("Settings"), tabs("Settings", Object.keys(parts).map((each) => [each, LABELS[each] ?? word(each), address(`settings/${each}`)]), part), body);
  const draw = () => loaded(body, () => (parts[part] ?? tokens)({ signal, again: draw }), signal);
  await draw();
}

async function tokens({ signal, again }) {
  const { items } = await api.get("v1/users/me/api-tokens", { limit: 100 }, signal);
  return [h("div.row.lead", h("p.muted", "An API token acts for you, with at most your rights. Programs send it like a Codegen token."), button("New token", () => createToken(again), { kind: "primary", symbol: "plus" })),
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
    content: [field("Name", h("input", { name: "name", required: true, maxlength: "100" })), field("Role", choice("role", ROLES, "member")), field("Expires", choice("days", [["1", "In a day"], ["30", "In 30 days"], ["90", "In 90 days"], ["", "Never"]], "30"))],
    act: (form) => api.post("v1/users/me/api-tokens", { name: form.get("name"), role: form.get("role"), expires_at: form.get("days") ? new Date(Date.now() + Number(form.get("days")) * 86400000).toISOString() : null }),
  });
  if (!made) return;
  await ask({ title: "Your new token", confirm: "Done", content: [h("p", "Copy it now: it is shown only once."), h("pre.prompt", made.token), button("Copy", () => copy(made.token, "The token"), { symbol: "copy" })], act: async () => true });
  again();
}

async function members({ signal, again }) {
  const { items } = await api.get(inOrganization("members"), { limit: 100 }, signal);
  return table(["Member", "Role here", "Role at Codegen", "Changed"], items.map((each) => {
    const role = choice("role", ROLES, each.role, async (value) => {
      if (!(await attempt(() => api.patch(inOrganization(`users/${each.id}`), { role: value }), `${each.name ?? each.github_username} is now ${value}.`))) again();
    });
    role.setAttribute("aria-label", `Role of ${each.name ?? each.github_username}`);
    return [[h("b", each.name ?? each.github_username), h("p.muted", each.email)], role, word(each.codegen_role), each.updated_at ? [since(each.updated_at), h("p.muted", each.updated_by)] : "–"];
  }));
}

async function webhook({ signal, again }) {
  const path = inOrganization("webhooks/agent-run");
  const hook = await api.get(path, undefined, signal);
  const change = async () => {
    const saved = await ask({
      title: "Webhook",
      content: [field("URL", h("input", { name: "url", type: "url", required: true, value: hook.url ?? "", placeholder: "https://example.com/hook" })), field("Secret", h("input", { name: "secret", type: "password", autocomplete: "off" }), "Codegen signs each call with it"), h("label.check", h("input", { type: "checkbox", name: "enabled", checked: hook.enabled || !hook.url }), "Enabled")],
      act: (form) => api.post(path, { url: form.get("url"), secret: form.get("secret") || null, enabled: form.get("enabled") === "on" }),
    });
    if (saved) { toast("Saved."); again(); }
  };
  if (!hook.url) return empty("link", "No webhook", "Codegen can call an address when a run of this organization ends.", button("Set one", change, { kind: "primary" }));
  return [facts([["URL", h("code", hook.url)], ["Enabled", hook.enabled ? "Yes" : "No"], ["Secret", hook.has_secret ? "Set" : "None"]]),
    h("div.actions.lead", button("Change", change), button("Test", () => attempt(() => api.post(`${path}/test`, { url: hook.url }), "Codegen has called the webhook.")),
      button("Delete", async () => { if (await ask({ title: "Delete the webhook?", kind: "danger", confirm: "Delete", act: async () => { await api.delete(path); return true; } })) again(); }, { kind: "danger" }))];
}

async function organization({ signal }) {
  const found = await api.get(inOrganization("").replace(/\/$/, ""), undefined, signal);
  return facts([["Name", found.name], ["Id", found.id], ["Members", found.members_count], ["Changed", found.updated_at && since(found.updated_at)], ["Name at Codegen", found.codegen?.name]]);
}
