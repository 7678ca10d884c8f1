// Webhook endpoints of the deployment: whether they take their messages, and what was sent to them.

import { api, inOrganization } from "./api.js";
import { h, icon } from "./elements.js";
import { count, duration, instant, moment, word } from "./format.js";
import { may } from "./role.js";
import { ask, attempt, button, choice, copy, effects, empty, field, loaded, since, table, toast } from "./widgets.js";

const SHOWN = 20;
const ANSWER = 120; // Characters of an answer that are shown.
const HOUR = 3_600_000;
const MARKS = { delivered: "completed", pending: "queued", failed: "failed" };

/** The endpoints with their last deliveries. `again` draws the list anew. */
export async function endpoints({ signal, again }) {
  const { items } = await api.get(inOrganization("webhook-endpoints"), undefined, signal);
  const create = may("admin") && button("New endpoint", () => edit(null, again), { kind: "primary", symbol: "plus" });
  if (!items.length) return empty("link", "No webhook endpoints", "This deployment can send signed messages to your own services: when a run ends, or needs someone.", create || h("p", "An admin can create one."));
  return [h("div.row.lead", h("p.muted", "Each endpoint gets signed messages about the runs of this organization."), create),
    h("ul.endpoints", { role: "list" }, items.map((each) => endpoint(each, again, signal)))];
}

function endpoint(item, again, signal) {
  const isAdmin = may("admin");
  const path = inOrganization(`webhook-endpoints/${encodeURIComponent(item.id)}`);
  const place = h("div.deliveries");
  const draw = () => loaded(place, () => deliveries(path, isAdmin && item.enabled, draw, signal), signal);
  const change = (body, said) => attempt(async () => { await api.patch(path, body); again(); }, said);
  const disable = async () => {
    const content = effects("Messages that wait for it are not delivered.", "Messages about what happens until it is enabled again are recorded, and an admin can send them then.");
    if (await ask({ title: "Disable this endpoint?", confirm: "Disable", content, act: () => api.patch(path, { enabled: false }) })) again();
  };
  const remove = async () => {
    const content = effects("Messages that wait for it are not delivered.", "Its deliveries are no longer shown.");
    if (await ask({ title: "Delete this endpoint?", kind: "danger", confirm: "Delete", content, act: async () => { await api.delete(path); return true; } })) again();
  };
  const rotate = async () => {
    const content = effects("Messages are signed with the new secret, and for a day also with the earlier one.");
    const made = await ask({ title: "Rotate the secret?", confirm: "Rotate", content, act: () => api.post(`${path}/rotate-secret`) });
    if (made) await showSecret(made.secret);
  };
  const replay = async () => {
    const start = new Date(instant(item.failing_since ?? new Date(Date.now() - HOUR).toISOString()));
    const made = await ask({
      title: "Send messages again?", confirm: "Send again",
      content: [field("Created since", h("input", { name: "since", type: "datetime-local", required: true, value: local(start) })),
        effects("Messages that it has already taken are sent again, too, with the same id.", "At most 100 are sent at once.")],
      act: (form) => api.post(`${path}/deliveries`, { since: new Date(form.get("since")).toISOString() }),
    });
    if (!made) return;
    toast(`${count(made.message_ids.length, "message")} sent again${made.more ? ". There are more: send again from the last one" : ""}.`);
    details.open ? draw() : (details.open = true);
  };
  const details = h("details", { open: isAdmin && Boolean(item.failing_since || item.disabled_reason), on: { toggle: () => details.open && draw() } }, h("summary", icon("chevron"), "Deliveries"), place);
  const actions = isAdmin && [
    item.enabled && button("Ping", () => attempt(async () => { await api.post(`${path}/deliveries`); details.open ? await draw() : (details.open = true); }, "A test message is on its way."), { kind: "small", title: "Send a test message" }),
    item.enabled && button("Send all since", replay, { kind: "small", title: "Send the messages since a time again" }),
    button("Change", () => edit(item, again), { kind: "small" }),
    button("Rotate the secret", rotate, { kind: "small" }),
    item.enabled ? button("Disable", disable, { kind: "small" }) : button("Enable", () => change({ enabled: true }, "Enabled."), { kind: "small" }),
    button("Delete", remove, { kind: "small.danger" })];
  return h("li.card", { data: { entry: "" } },
    h("div.row", h("h2", h("code", item.url)), h("div.actions", actions)),
    h("p.about", state(item), item.description && h("span", item.description), h("span", item.format === "slack" ? "For Slack" : "Signed JSON")),
    h("details.types", h("summary", icon("chevron"), count(item.events.length, "type of event", "types of events")), h("p", item.events.map((each) => h("code", each)))),
    details);
}

function state(item) {
  if (!item.enabled) return h("span.health.health-stalled", { title: item.disabled_reason }, item.disabled_reason ? `Disabled: ${item.disabled_reason}` : "Disabled");
  if (item.failing_since) return h("span.health.health-stalled", `Has taken no message since ${moment(item.failing_since)}`);
  return h("span", "Enabled");
}

async function deliveries(path, canSend, again, signal) {
  const { items, has_more: more } = await api.get(`${path}/deliveries`, { limit: SHOWN }, signal);
  const refresh = button("Refresh", again, { kind: "small" });
  if (!items.length) return [h("p.muted", "Nothing was sent in the last 30 days."), refresh];
  const repeat = (id) => attempt(async () => { await api.post(`${path}/deliveries`, { message_id: id }); await again(); }, "The message is sent again.");
  return [
    table(["Message", "State", "Sent", "Tries", ""], items.map((each) => [
      [word(each.type.replace("multi_run", "multi-run").replace(".", " ")), h("p.muted", h("code", each.message_id))],
      [h(`span.status.status-${MARKS[each.status]}`, icon(MARKS[each.status]), h("span.word", word(each.status))), each.reason && h("p.muted", each.reason), each.next_attempt_at && each.status === "pending" && h("p.muted", `Next try ${moment(each.next_attempt_at)}`)],
      since(each.created_at),
      each.attempts.length ? each.attempts.slice(-3).map(tried) : h("span.muted", "None yet"),
      canSend && button("Send again", () => repeat(each.message_id), { kind: "small" }),
    ])),
    h("div.row", more ? h("p.muted", `The last ${SHOWN} messages.`) : h("span"), refresh),
  ];
}

function tried({ status: code, error, milliseconds, answer }) {
  const isTaken = code >= 200 && code < 300;
  return [h("p", h(isTaken ? "span" : "span.bad", code ? `HTTP ${code}` : error ?? "No answer"), h("span.muted", ` after ${duration(milliseconds / 1000)}`)),
    answer && h("p.muted.said", { title: answer }, answer.slice(0, ANSWER))];
}

async function edit(item, again) {
  const made = await ask({
    title: item ? "Change the endpoint" : "New webhook endpoint",
    confirm: item ? "Save" : "Create",
    content: [
      field("URL", h("input", { name: "url", type: "url", required: true, maxlength: "2048", value: item?.url ?? "", placeholder: "https://example.com/hook" })),
      field("Description", h("input", { name: "description", maxlength: "200", value: item?.description ?? "" })),
      field("Events", h("input", { name: "events", value: item?.events.join(", ") ?? "", placeholder: "run.failed, multi_run.completed" }), item ? "Types, separated by commas" : "Types, separated by commas. Empty: the ends of runs, and what needs someone."),
      field("Format", choice("format", [["standard", "Signed JSON"], ["slack", "A sentence for Slack"]], item?.format ?? "standard")),
    ],
    act: (form) => {
      const events = form.get("events").split(/[\s,]+/).filter(Boolean);
      const body = { url: form.get("url"), description: form.get("description") || null, format: form.get("format"), ...(events.length ? { events } : {}) };
      return item ? api.patch(inOrganization(`webhook-endpoints/${encodeURIComponent(item.id)}`), body) : api.post(inOrganization("webhook-endpoints"), body);
    },
  });
  if (!made) return;
  if (made.secret) await showSecret(made.secret);
  again();
}

function showSecret(secret) {
  return ask({ title: "The secret of the signatures", confirm: "Done", dismiss: null,
    content: [h("p", "Copy it now: it is shown only once."), h("pre.prompt", secret), button("Copy", () => copy(secret, "The secret"), { symbol: "copy" })] });
}

/** A time as a field of a form has it: in the time zone of the person. */
function local(time) {
  return new Date(time - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
