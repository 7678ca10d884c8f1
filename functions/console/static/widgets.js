// The small parts that every view uses.

import { Offline } from "./api.js";
import { add, external, fill, h, icon } from "./elements.js";
import { ago, duration, instant, moment, word } from "./format.js";
import { may, whyNot } from "./role.js";

/** A status as icon and word. */
export function status(name, title) {
  return h(`span.status.status-${name}`, { title }, icon(name, name), h("span.word", word(name)));
}

/** A time that keeps saying how long ago it was. */
export function since(text) {
  if (!text) return h("span.muted", "–");
  return tick(h("time", { datetime: text, title: moment(text) }), (now) => ago(text, now));
}

/** A duration that ticks from a start until now. */
export function ticking(start) {
  const began = instant(start);
  return tick(h("span.ticking"), (now) => duration((now - began) / 1000));
}

/** A duration that ticks down to a time in ms. */
export function remaining(until) {
  return tick(h("span"), (now) => duration(Math.max(0, until - now) / 1000));
}

// Each element whose text depends on the time, with that text at a time. To search the document for them would take long
// when a log has thousands of entries.
const ticks = new Set();

function tick(element, textAt) {
  ticks.add({ place: new WeakRef(element), textAt });
  element.textContent = textAt(Date.now());
  return element;
}

setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  for (const each of ticks) {
    const element = each.place.deref();
    if (!element) ticks.delete(each);
    else if (element.isConnected) write(element, each.textAt(now));
  }
}, 1000);

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button. */
export function button(label, act, { kind = "", symbol, title, disabled } = {}) {
  return h(`button.button${kind ? `.${kind}` : ""}`, { type: "button", title, disabled, on: { click: act } }, symbol && icon(symbol), label && h("span", label));
}

/** A button with an icon alone; its label is for screen readers and the tooltip. */
export function iconButton(symbol, label, act, options = {}) {
  return h("button.icon-button", { type: "button", title: label, "aria-label": label, ...options, on: { click: act } }, icon(symbol));
}

/** What a view shows when there is nothing, with what to do about it. */
export function empty(symbol, title, text, ...actions) {
  return h("div.state", icon(symbol), h("h2", title), text && h("p", text), actions.some(Boolean) && h("div.actions", actions));
}

/** A problem with its detail and remedy, and a way to try again or another way out. */
export function problem(error, again, ...acts) {
  const offline = error instanceof Offline || error.status === 0;
  const title = offline ? "No connection" : error.status === 403 ? "Not allowed" : error.status === 404 ? "Not found" : error.title ?? "Something went wrong";
  const element = h("div.state.problem", { role: "alert" }, icon(offline ? "offline" : "failed"),
    h("h2", title), h("p", error.message), error.remedy && h("p.remedy", error.remedy),
    h("div.actions", again && button("Try again", again), acts, error.code === "console_updated" && button("Reload", () => location.reload(), { kind: "primary" })),
    error.requestId && h("p.request-id", "Request ", h("code", error.requestId)));
  if (offline && again) addEventListener("online", () => element.isConnected && again(), { once: true });
  return element;
}

/** Lines that stand for what is being loaded. */
export function skeleton(lines = 6) {
  return h("div.skeleton", { role: "status" }, h("span.visually-hidden", "Loading"), Array.from({ length: lines }, () => h("div")),
    h("p.slow", "Still loading. Codegen accepts a limited number of calls, so this can take half a minute."));
}

/** Replace the content of `place` by what `load` returns; shows loading and problems. */
export async function loaded(place, load, signal) {
  const again = async () => {
    fill(place, skeleton());
    try {
      const content = await load();
      if (!signal.aborted) fill(place, content);
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      if (error.status === undefined) console.error(error);
      fill(place, problem(error, again));
    }
  };
  await again();
}

const toasts = h("div.toasts", { role: "status", "aria-live": "polite" });

/** Say something for a moment. */
export function toast(text, kind = "") {
  // In a dialog, so that the dialog does not cover it.
  const place = document.querySelector("dialog[open]") ?? document.body;
  if (toasts.parentNode !== place) place.append(toasts);
  const line = h(`div.toast${kind ? `.${kind}` : ""}`, text);
  toasts.append(line);
  setTimeout(() => line.remove(), kind === "bad" ? 9000 : 4000);
}

/** Do something that may fail; a problem is shown for a moment. Returns whether it succeeded. */
export async function attempt(act, success) {
  try {
    await act();
    if (success) toast(success);
    return true;
  } catch (error) {
    if (error.name === "AbortError") return false; // The view was left.
    if (error.status === undefined) console.error(error);
    toast([error.message, error.remedy].filter(Boolean).join(" "), "bad");
    return false;
  }
}

/**
 * Ask in a dialog. `act` gets the form's data when it is confirmed; a problem is shown in the dialog, which stays.
 * Without `act`, the dialog only tells something. Resolves to what `act` returned, or null if the dialog was closed.
 */
export function ask({ title, content = [], confirm = "Save", dismiss = "Cancel", kind = "primary", act = () => null, wide = false }) {
  return new Promise((resolve) => {
    const fault = h("div.fault", { role: "alert" });
    const send = h(`button.button.${kind}`, { type: "submit" }, confirm);
    let answer = null;
    const form = h("form", {
      method: "dialog",
      on: {
        submit: async (event) => {
          event.preventDefault();
          send.disabled = true;
          fill(fault);
          try {
            answer = await act(new FormData(form));
            dialog.close();
          } catch (error) {
            if (error.status === undefined) console.error(error);
            fill(fault, h("p", error.message), error.remedy && h("p.remedy", error.remedy));
          } finally {
            send.disabled = false;
          }
        },
      },
    }, h("h2", { id: "dialog-title" }, title), content, fault,
    h("div.actions", dismiss && button(dismiss, () => dialog.close()), send));
    const dialog = h(`dialog${wide ? ".wide" : ""}`, {
      "aria-labelledby": "dialog-title",
      on: { close: () => { dialog.remove(); resolve(answer); } },
    }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** What happens if the person goes on, for a dialog. Empty texts are skipped. */
export function effects(...texts) {
  const named = texts.flat().filter(Boolean);
  return named.length > 0 && h("ul.effects", named.map((text) => h("li", icon("incomplete"), h("span", text))));
}

/** The side effects of an action that the API allows. */
export function sideEffects(allowed) {
  return effects((allowed.side_effects ?? []).map((each) => each.detail));
}

/** A labelled field of a form. */
export function field(label, control, hint) {
  const id = control.id || `field-${Math.random().toString(36).slice(2, 9)}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return h("div.field", h("label", { for: id }, label), control, hint && h("p.hint", { id: `${id}-hint` }, hint));
}

/** A choice. Options are pairs of value and label, or groups: [label, [pairs]]. */
export function choice(name, options, value, act) {
  const made = (pairs) => pairs.map(([each, label]) => Array.isArray(label)
    ? h("optgroup", { label: each }, made(label)) : h("option", { value: each, selected: each === value }, label));
  return h("select", { name, on: act ? { change: (event) => act(event.target.value) } : {} }, made(options));
}

/** Links to pull requests. */
export function pullRequests(list) {
  return (list ?? []).map((each) => {
    const number = each.number ?? /\/pull\/(\d+)/.exec(each.url ?? "")?.[1];
    const link = external(each.url, icon("pull_request"), number ? `#${number}` : each.title ?? "Pull request");
    link.classList.add("pull-request");
    if (each.title) link.title = each.title;
    return link;
  });
}

/** A star that can be set. A viewer has none. */
export function star(run, act) {
  if (!may("member")) return h("span");
  const element = h("button.icon-button.star", {
    type: "button",
    "aria-pressed": String(Boolean(run.starred)),
    "aria-label": `Star run ${run.id}`,
    title: run.starred ? "Remove the star" : "Star this run",
    on: {
      click: async (event) => {
        event.preventDefault();
        event.stopPropagation();
        const starred = element.getAttribute("aria-pressed") !== "true";
        element.setAttribute("aria-pressed", String(starred));
        if (!(await attempt(() => act(starred)))) element.setAttribute("aria-pressed", String(!starred));
      },
    },
  }, icon("star"));
  return element;
}

/** The heading of a view. `acts` are for those who may act, who are members; a viewer reads why they are missing. */
export function heading(title, { acts, actions = [], below, back } = {}) {
  return h("header.heading", back && h("p.back", back), h("div.row", h("h1", title), h("div.actions", may("member") && acts, actions)), below, acts && whyNot());
}

/** Tabs as links. `current` is the key of the open one. */
export function tabs(label, items, current) {
  const bar = h("nav.tabs", { "aria-label": label }, items.map(([key, name, href, number]) =>
    h("a", { href, "aria-current": key === current ? "page" : undefined }, name, number !== undefined && h("span.number", number))));
  // On a narrow screen the open tab may be out of sight.
  requestAnimationFrame(() => { const open = bar.querySelector("[aria-current]"); if (open) bar.scrollLeft = open.offsetLeft - bar.offsetLeft - 24; });
  return bar;
}

/** Terms and their values. */
export function facts(pairs) {
  return h("dl.facts", pairs.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false)
    .map(([term, value]) => h("div", h("dt", term), add(h("dd"), [value]))));
}

/** A table that scrolls in itself where it is too wide. */
export function table(heads, rows) {
  return h("div.scrolls", { tabindex: "0", role: "group", "aria-label": "Table" }, h("table.wide-table", h("thead", h("tr", heads.map((each) => h("th", { scope: "col" }, each || h("span.visually-hidden", "Actions"))))),
    h("tbody", rows.map((cells) => h("tr", { data: { entry: "" } }, cells.map((cell) => h("td", cell)))))));
}

/** Copy a text to the clipboard, and say so. */
export async function copy(text, what) {
  await attempt(() => navigator.clipboard.writeText(text), `${what} was copied.`);
}

/** Let the person download a text as a file. */
export function download(text, name, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
