// Codegen's own webhook, and the doorbell, which can take its place: one address that Codegen calls when a run ends.

import { api, base, inOrganization } from "./api.js";
import { h, icon } from "./elements.js";
import { moment } from "./format.js";
import { may } from "./role.js";
import { ask, attempt, button, effects, empty, facts, field, toast } from "./widgets.js";

const PATH = "webhooks/agent-run";
const OWN = new URL("v1/doorbell/", base).href;
const LATE = "Without the doorbell, the end of a run can be found half a minute late.";

/** What Codegen calls, and what can be changed about it. Only an admin may see the doorbell. `again` draws both anew. */
export async function webhook({ signal, again }) {
  const [hook, card] = await Promise.all([
    api.get(inOrganization(PATH), undefined, signal),
    may("admin") ? api.get(inOrganization("doorbell"), undefined, signal) : null,
  ]);
  return h("div.pair", card && doorbell(card, again), configured(hook, card, again));
}

// --- the doorbell ---

/** Whether Codegen calls the doorbell, as a mark, a word, and sentences that say why. */
function told({ state, webhook: other, replaced, since: begun }) {
  const host = hostOf(replaced?.url);
  switch (state) {
    case "on": return ["completed", "On", ["Codegen calls this deployment when a run ends, so its end appears within about two seconds.",
      replaced && ` ${host}, which it replaced, was disabled and gets no calls.`], begun];
    case "forwarding": return ["completed", "On, with forwarding", [`Codegen calls this deployment when a run ends. Each call is forwarded to ${host}, as it came.`], begun];
    case "changed": return ["incomplete", "Not called", [other
      ? `Somebody has set another webhook at Codegen since: ${hostOf(other.url)}. It gets the calls.`
      : "Somebody has disabled or deleted the doorbell at Codegen since.", ` ${LATE}`], begun];
    default: return ["cancelled", "Off", [other
      ? `Codegen has one place for a webhook, and ${hostOf(other.url)} has it. The doorbell can take its place and forward the calls. `
      : "Codegen calls nothing when a run ends. ", LATE], null];
  }
}

function doorbell(card, again) {
  const [mark, words, why, begun] = told(card);
  const isCalled = card.state === "on" || card.state === "forwarding";
  return h("section.card", { "aria-label": "Doorbell" },
    h("div.row", h("h2", "Doorbell"), h("div.actions",
      !isCalled && button("Turn on", () => turnOn(card, again), { kind: "small.primary" }),
      card.state !== "off" && button("Turn off", () => turnOff(card, again), { kind: "small" }))),
    h("p.sentence", h(`span.status.status-${mark}`, icon(mark), h("span.word", words)), begun && h("span.muted", "since ", h("time", { datetime: begun }, moment(begun)))),
    h("p.muted", why));
}

async function turnOn({ webhook: other }, again) {
  const host = hostOf(other?.url);
  const made = await ask({
    title: "Turn on the doorbell?", confirm: "Turn on",
    content: [effects(`Codegen then calls ${new URL(base).host} when a run of this organization ends.`,
      other && `It no longer calls ${host} itself. ${other.enabled ? "Each of its calls is forwarded to it instead." : "That webhook is disabled and gets no calls. It is restored when you turn the doorbell off."}`),
    other && h("label.check", h("input", { type: "checkbox", name: "forward", required: true }), `Replace the webhook ${host}`),
    other?.has_secret && field("Its secret", h("input", { name: "secret", type: "password", autocomplete: "off", required: true, maxlength: "1024" }),
      "Codegen goes on to sign with it, and does not return it. With a wrong one, your receiver refuses the calls.")],
    act: (form) => api.put(inOrganization("doorbell"), { forward: form.get("forward") === "on", secret: form.get("secret") || null }),
  });
  if (made) again();
}

async function turnOff({ state, replaced, webhook: other }, again) {
  const host = hostOf(replaced?.url);
  const done = await ask({
    title: "Turn off the doorbell?", confirm: "Turn off",
    content: effects(state === "changed" && other ? `The webhook ${hostOf(other.url)} stays at Codegen as it is.`
      : replaced ? `${host} is restored at Codegen${replaced.enabled ? ", which calls it again" : ". It stays disabled"}.` : "Codegen then calls nothing when a run ends.", LATE),
    act: () => api.delete(inOrganization("doorbell")),
  });
  if (done) again();
}

// --- the webhook ---

function configured(hook, card, again) {
  const path = inOrganization(PATH);
  const isDoorbell = Boolean(hook.url?.startsWith(OWN));
  const change = async () => {
    const saved = await ask({
      title: hook.url ? "Change the webhook" : "Set a webhook",
      content: [field("URL", h("input", { name: "url", type: "url", required: true, value: hook.url ?? "", placeholder: "https://example.com/hook" })),
        field("Secret", h("input", { name: "secret", type: "password", autocomplete: "off" }), hook.has_secret ? "Codegen signs each call with it. If you leave it empty, calls are no longer signed." : "Codegen signs each call with it"),
        h("label.check", h("input", { type: "checkbox", name: "enabled", checked: hook.enabled || !hook.url }), "Enabled"),
        hook.url && effects(`Codegen has one place for a webhook: this replaces ${hostOf(hook.url)}.`)],
      act: (form) => api.post(path, { url: form.get("url"), secret: form.get("secret") || null, enabled: form.get("enabled") === "on" }),
    });
    if (saved) { toast("Saved."); again(); }
  };
  const remove = async () => {
    const act = async () => { await api.delete(path); return true; };
    if (await ask({ title: "Delete the webhook?", kind: "danger", confirm: "Delete", content: effects(`Codegen no longer calls ${hostOf(hook.url)}, and forgets its secret.`), act })) again();
  };
  const test = button("Test", () => attempt(() => api.post(`${path}/test`, { url: hook.url }), "Codegen sends a test."), { kind: "small", title: "Codegen sends a test call" });
  const head = (...actions) => h("div.row", h("h2", "Webhook of Codegen"), h("div.actions", actions));
  if (!hook.url) {
    return h("section.card", { "aria-label": "Webhook of Codegen" }, head(),
      empty("link", "No webhook", "Codegen itself can call one address when a run of this organization ends.", button("Set one", change)));
  }
  // The address of the doorbell contains a secret.
  if (isDoorbell) {
    return h("section.card", { "aria-label": "Webhook of Codegen" }, head(card && test),
      h("p", "Codegen calls the doorbell of this deployment."), h("p.muted", card ? "To set another webhook, first turn the doorbell off." : "An admin can turn it off."));
  }
  return h("section.card", { "aria-label": "Webhook of Codegen" }, head(test, button("Change", change, { kind: "small" }), button("Delete", remove, { kind: "small.danger" })),
    facts([["URL", h("code", hook.url)], ["Enabled", hook.enabled ? "Yes" : "No"], ["Secret", hook.has_secret ? "Set" : "None"]]));
}

function hostOf(address) {
  try {
    return new URL(address).host;
  } catch {
    return address ?? "";
  }
}
