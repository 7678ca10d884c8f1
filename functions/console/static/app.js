// The shell: sign-in, navigation, the keyboard, and which view an address has.

import { Problem, base, identify, session, signedOut } from "./api.js";
import { counted } from "./badges.js";
import { fill, h, icon, nameOf, refocus } from "./elements.js";
import { count } from "./format.js";
import { may, readRole } from "./role.js";
import { button, iconButton, problem, skeleton } from "./widgets.js";

// A token in the address is for this tab only: it leaves the address before anything else happens.
const given = new URLSearchParams(location.hash.slice(1).split("&").find((part) => part.startsWith("token=")) ?? "").get("token");
if (given) {
  session.end();
  session.begin(given);
  history.replaceState(null, "", location.pathname + location.search);
}

const VIEWS = [
  // Pattern of the address in an organization, module, key in the navigation.
  [/^runs$/, "./runs.js", "runs"],
  [/^runs\/([^/]+)$/, "./run.js", "runs"],
  [/^multi-runs\/([^/]+)$/, "./multi_run.js", "runs"],
  [/^new$/, "./new.js", "new"],
  [/^chat(?:\/([^/]+))?$/, "./chat.js", "chat"],
  [/^agents(?:\/([^/]+))?$/, "./agents.js", "agents"],
  [/^stars$/, "./stars.js", "stars"],
  [/^usage$/, "./usage.js", "usage"],
  [/^limits$/, "./limits.js", "limits"],
  [/^settings(?:\/([^/]+))?$/, "./settings.js", "settings"],
];
// Key, label and icon; in groups.
const NAVIGATION = [
  [["new", "New run", "plus"]],
  [["runs", "Runs", "runs"], ["stars", "Starred", "star"], ["chat", "Chat", "chat"], ["agents", "Agents", "agent"]],
  [["usage", "Usage", "usage"], ["limits", "Limits", "limits"], ["settings", "Settings", "settings"]],
];

let current = new AbortController();
let refusal = null;

const main = h("main", { id: "main", tabindex: "-1" });

/** The address of a view in the current organization. */
function address(path) {
  return `#/${session.organization}/${path}`;
}

async function start() {
  if (!session.token) return signIn();
  fill(document.body, h("div.boot", skeleton(3)));
  try {
    await identify();
  } catch (error) {
    if (error.status === 401) return signIn(error);
    return fill(document.body, h("main.alone", problem(error, start)));
  }
  refusal = null;
  if (!session.organizations.length) {
    return fill(document.body, h("main.alone", problem(new Problem(403, { title: "No organization",
      detail: "This token belongs to no organization.", remedy: "Sign in with another token." }), start), button("Sign out", leave)));
  }
  fill(document.body, h("a.skip", { href: "#main", on: { click: (event) => { event.preventDefault(); main.focus(); } } }, "Skip to content"), shell(), main);
  show();
}

function leave() {
  current.abort();
  session.end();
  history.replaceState(null, "", location.pathname);
  signIn();
}

signedOut.addEventListener("refused", ({ detail }) => {
  if (!session.token || refusal) return;
  refusal = detail;
  current.abort();
  session.end();
  signIn(detail);
});

function signIn(why) {
  document.title = "Sign in – Codegen Runs";
  const token = h("input", { type: "password", name: "token", autocomplete: "off", spellcheck: "false", required: true, id: "token", placeholder: "YOUR_TOKEN" });
  fill(document.body, h("main.alone", h("form.sign-in", {
    on: {
      submit: (event) => {
        event.preventDefault();
        refusal = null;
        session.begin(token.value.trim());
        start();
      },
    },
  },
  h("p.brand", logo(), "Codegen Runs"), h("h1", "Sign in"),
  h("p.muted", "Start Codegen's agents, watch them at work, and compare their answers."),
  why && h("div.fault", { role: "alert" }, h("p", "This token is not valid."), h("p.remedy", "It may be incomplete, expired or revoked. Enter another one.")),
  h("div.field", h("label", { for: "token" }, "Token"), token,
    h("p.hint", "A Codegen API token, or an API token that was created here under Settings. It stays in this tab and goes only to this address.")),
  h("button.button.primary", { type: "submit" }, "Sign in"),
  h("p.links", h("a", { href: new URL("docs", base).href }, "API documentation")))));
  token.focus();
}

function logo() {
  return h("span.logo", { "aria-hidden": "true" }, icon("runs"));
}

// --- the shell ---

const links = new Map();
const badges = h("span.badges");

counted.addEventListener("counted", ({ detail: { working, attention, of } }) => fill(badges,
  working > 0 && badge(working, of, "is at work", "are at work"),
  attention > 0 && badge(attention, of, "needs attention", "need attention", ".attention")));

/** A number of runs. Where only the newest ones were counted, older ones may add to it. */
function badge(number, of, does, doIt, kind = "") {
  const words = of === null ? count(number, `run ${does}`, `runs ${doIt}`) : `${number} of the newest ${of} runs ${number === 1 ? does : doIt}, and perhaps older ones`;
  return h(`span.badge${kind}`, { title: words }, h("span", { "aria-hidden": "true" }, of === null ? number : `${number}+`), h("span.visually-hidden", ` ${words}`));
}

function shell() {
  links.clear();
  fill(badges);
  const item = ([key, label, symbol]) => {
    const link = h("a", { href: address(key), on: { click: () => navigation.matches(":popover-open") && navigation.hidePopover() } }, icon(symbol), label, key === "runs" && badges);
    links.set(key, link);
    return h("li", link);
  };
  const organization = h("select", {
    "aria-label": "Organization",
    on: { change: () => { session.organization = organization.value; location.hash = address("runs"); start(); } },
  }, session.organizations.map((each) => h("option", { value: each.id, selected: each.id === session.organization }, each.name)));
  const navigation = h("nav.side", { id: "navigation", popover: true, "aria-label": "Console" },
    h("p.brand", logo(), "Codegen Runs"), organization,
    NAVIGATION.map((group) => h("ul", group.map(item))),
    h("div.foot",
      h("span.who", { title: session.user?.email ?? "" }, session.user?.full_name ?? session.user?.github_username ?? "API token"),
      iconButton("moon", "Change between light and dark", theme),
      iconButton("unknown", "Keyboard shortcuts", help),
      iconButton("exit", "Sign out", leave)));
  const top = h("header.top", h("button.icon-button", { type: "button", popovertarget: "navigation", "aria-label": "Menu" }, icon("menu")), h("p.brand", logo(), "Codegen Runs"));
  return h("div.shell", top, navigation);
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
}

// --- views ---

async function show() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const focused = main.contains(document.activeElement) && nameOf(document.activeElement);
  if (!main.hasChildNodes()) fill(main, skeleton(8));
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [, organization, rest] = /^(\d+)\/(.*)$/.exec(path) ?? [];
  const known = session.organizations.some((each) => each.id === Number(organization));
  if (!rest) return location.replace(address("runs"));
  if (!known) {
    return fill(main, problem(new Problem(403, { detail: `You are not in the organization ${organization}, or it does not exist.`,
      remedy: "Choose one of your organizations in the menu." }), null, toRuns()));
  }
  if (Number(organization) !== session.organization) {
    session.organization = organization;
    return start();
  }
  const [pattern, module, key] = VIEWS.find(([each]) => each.test(rest)) ?? [/^$/, null, ""];
  for (const [name, link] of links) {
    if (name === key) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!module) {
    return fill(main, problem(new Problem(404, { detail: "The console has no such page.", remedy: "Choose one in the menu." }), null, toRuns()));
  }
  const titled = (title) => (document.title = `${title} – Codegen Runs`);
  let view;
  try {
    [view] = await Promise.all([import(module), readRole(signal)]);
  } catch {
    if (signal.aborted) return;
    return fill(main, problem(new Problem(0, { title: "Not loaded", code: "console_updated",
      detail: "This part of the console could not be loaded.", remedy: "It may have been updated, or you are offline. Reload the page." })));
  }
  if (signal.aborted) return;
  links.get("new").parentElement.hidden = !may("member");
  const opened = { main, signal, titled, address, parameters: pattern.exec(rest).slice(1).map((each) => each && decodeURIComponent(each)), query: new URLSearchParams(search) };
  fill(main, skeleton(8));
  scrollTo(0, 0);
  try {
    await view.show(opened);
    if (focused && document.activeElement === document.body && !refocus(main, focused)) main.focus({ preventScroll: true });
  } catch (error) {
    if (signal.aborted) return;
    if (error.status === undefined) console.error(error);
    fill(main, problem(error, show));
  }
}

function toRuns() {
  return h("a.button.primary", { href: address("runs") }, "Open the runs");
}

addEventListener("hashchange", () => {
  if (location.hash.includes("token=")) return location.reload();
  if (session.token && session.organizations.length) show();
});

// --- the keyboard ---

const KEYS = [
  ["/", "Search"], ["j, k", "Next and previous entry"], ["Enter", "Open"], ["g r", "Runs"], ["n", "New run"],
  ["f", "Only failures, in a log"], ["?", "This help"], ["Esc", "Close, or leave a field"],
];

function help() {
  const dialog = h("dialog", { "aria-labelledby": "help-title", on: { close: () => dialog.remove() } },
    h("h2", { id: "help-title" }, "Keyboard"),
    h("dl.keys", KEYS.map(([keys, what]) => h("div", h("dt", keys.split(", ").map((key) => h("kbd", key))), h("dd", what)))),
    h("div.actions", button("Close", () => dialog.close())));
  document.body.append(dialog);
  dialog.showModal();
}

let leader = 0;

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape" && typing) return event.target.blur();
  if (typing) return;
  if (event.key === "?") help();
  else if (event.key === "/") main.querySelector("input[type=search]")?.focus();
  else if (event.key === "j" || event.key === "k") step(event.key === "j" ? 1 : -1);
  else if (event.key === "n" && may("member")) location.hash = address("new");
  else if (event.key === "f") main.querySelector("[data-key=f]")?.click();
  else if (event.key === "g") leader = Date.now();
  else if (event.key === "r" && Date.now() - leader < 1000) location.hash = address("runs");
  else return;
  if (event.key !== "g") event.preventDefault();
});

/** Move the focus to the next or previous entry of the list. */
function step(by) {
  const entries = [...main.querySelectorAll("[data-entry]")].filter((each) => each.checkVisibility());
  const at = entries.findIndex((each) => each.contains(document.activeElement));
  const next = entries[Math.min(entries.length - 1, Math.max(0, at + by))];
  const target = next?.matches("a, button, summary") ? next : next?.querySelector(".toggle") ?? next?.querySelector("a, button, summary");
  target?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

start();
