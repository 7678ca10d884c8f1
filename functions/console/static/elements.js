// One function makes every element. Text is never parsed as HTML, and an address is always a safe one.

const SVG = "http://www.w3.org/2000/svg";

// Control characters would be invisible, and those of text direction could show a text in another order than it has.
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/** Make an element: h("a.primary", {href: "#/", on: {click: act}}, "text", another). */
export function h(spec, ...rest) {
  const [name, ...classes] = spec.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.className = classes.join(" ");
  const hasOptions = rest[0] && Object.getPrototypeOf(rest[0]) === Object.prototype;
  if (hasOptions) set(element, rest.shift());
  add(element, rest);
  return element;
}

/** Set what `h` sets. */
export function set(element, options) {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "href") element.setAttribute("href", safeAddress(value));
    else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") element[name] = value;
    else if (name === "title" || name === "placeholder") element.setAttribute(name, visible(value));
    else if (/^(aria-|role$|id$|for$|type$|name$|rel$|target$|tabindex$|rows$|cols$|min$|max$|step$|open$|disabled$|required$|readonly$|hidden$|download$|datetime$|scope$|colspan$|start$|class$|autocomplete$|spellcheck$|maxlength$|popover$|popovertarget$|lang$|dir$|inputmode$|list$|multiple$|label$|method$)/.test(name))
      element.setAttribute(name, value === true ? "" : String(value));
    else throw new Error(`h() sets no ${name}`);
  }
}

/** Add children: elements, texts, numbers, and lists of them. Empty values are skipped. */
export function add(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    parent.append(child instanceof Node ? child : visible(child));
  }
  return parent;
}

const FOCUSABLE = "a, button, input, select, textarea, summary, [tabindex]";

/** Replace all children. The focus stays on the control that has the same name as before. */
export function fill(parent, ...children) {
  const focused = parent.contains(document.activeElement) && document.activeElement !== parent && nameOf(document.activeElement);
  parent.replaceChildren();
  add(parent, children);
  if (focused) refocus(parent, focused);
  return parent;
}

/** What stays the same of a control when it is drawn anew. */
export function nameOf(element) {
  return [element.localName, element.getAttribute("aria-label") ?? element.name ?? "", element.textContent].join(" ");
}

/** Focus the control with a name. Returns whether it is there. */
export function refocus(parent, name) {
  const control = [...parent.querySelectorAll(FOCUSABLE)].find((each) => nameOf(each) === name);
  control?.focus({ preventScroll: true });
  return Boolean(control);
}

/** A text with its control characters made visible. */
export function visible(text) {
  return String(text).replace(UNSEEN, "\ufffd");
}

/** The address if it is one of this page, or http, https or mailto; otherwise that of nothing. */
export function safeAddress(address) {
  const text = String(address);
  if (text.startsWith("#")) return text;
  try {
    return ["http:", "https:", "mailto:", "blob:"].includes(new URL(text, location.href).protocol) ? text : "#";
  } catch {
    return "#";
  }
}

/** A link to somewhere else, from data: with its host, without a way back. A text if the address is not of the web. */
export function external(address, ...content) {
  let url;
  try {
    url = new URL(String(address));
  } catch {
    return h("span", content);
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return h("span", content);
  return h("a.external", { href: url.href, target: "_blank", rel: "noopener noreferrer", title: url.href },
    content, content.length ? h("span.host", url.host) : url.host);
}

const ICONS = {
  queued: "M8 2a6 6 0 0 1 1.6.2M12.2 3.7a6 6 0 0 1 1.3 1.9M14 8.6a6 6 0 0 1-.7 2.2M11.4 13a6 6 0 0 1-2.1.9M6.6 13.8a6 6 0 0 1-2.1-1M2.9 11a6 6 0 0 1-.9-2.1M2.2 6.3a6 6 0 0 1 1-2M5 2.8A6 6 0 0 1 6 2.3",
  running: "M8 2a6 6 0 1 1-6 6",
  paused: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM6.6 6v4M9.4 6v4",
  completed: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM5.4 8.2 7.2 10l3.4-3.8",
  failed: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM6 6l4 4M10 6l-4 4",
  cancelled: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM4 12l8-8",
  timed_out: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v3.2l2 1.3",
  incomplete: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM8 5v3.6M8 11v.1",
  unknown: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2ZM6.4 6.4a1.6 1.6 0 1 1 2.2 1.7c-.4.2-.6.4-.6.9M8 11v.1",
  runs: "M3 4h10M3 8h10M3 12h6",
  fan: "M2.5 8h3M5.5 8c3 0 2-4.5 5-4.5h3M5.5 8h8M5.5 8c3 0 2 4.5 5 4.5h3",
  chat: "M3 3.5h10v7H7.5L5 13v-2.5H3z",
  agent: "M8 2.5v2M4 4.5h8v7H4zM6.3 7.5v1M9.7 7.5v1M6 14h4",
  star: "m8 2.3 1.7 3.6 3.9.5-2.9 2.7.8 3.9L8 11.1 4.5 13l.8-3.9-2.9-2.7 3.9-.5z",
  usage: "M3 13V8M6.5 13V4M10 13V6.5M13.5 13V3",
  limits: "M2.5 11a5.5 5.5 0 1 1 11 0M8 11l2.8-3.6",
  settings: "M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 3v3M6 10v3",
  plus: "M8 3v10M3 8h10",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.3 10.3 13.5 13.5",
  chevron: "m6 3.5 4.5 4.5L6 12.5",
  down: "m3.5 6 4.5 4.5L12.5 6",
  pull_request: "M4 5.5v5M4 5.5a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4ZM4 13.9a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4ZM12 13.9a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4ZM12 10.5V6c0-1.5-1-2.5-2.5-2.5H8M9.5 2 8 3.5 9.5 5",
  branch: "M4.5 2v8M4.5 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM11.5 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM11.5 6c0 3-4 3-6.5 4.5",
  tool: "M9.5 6.5 3 13M9 2.8a3.3 3.3 0 0 0 4.2 4.2M9 2.8l2 2M13.2 7l-2-2",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
  edit: "m3 13 .7-3L10.5 3.2l2.3 2.3L6 12.3zM9 4.7 11.3 7",
  terminal: "m3 4.5 3.5 3.5L3 11.5M8 12h5",
  plan: "M3 4h1M6.5 4H13M3 8h1M6.5 8H13M3 12h1M6.5 12H13",
  person: "M8 8a2.7 2.7 0 1 0 0-5.4A2.7 2.7 0 0 0 8 8ZM3 13.5c.6-2.6 2.5-3.7 5-3.7s4.4 1.1 5 3.7",
  answer: "M3 8.5 6.3 12 13 4.5",
  flag: "M4 14V2.5h8l-2 3 2 3H4",
  link: "M7 9a2.5 2.5 0 0 0 3.5 0l2-2A2.5 2.5 0 0 0 9 3.5M9 7a2.5 2.5 0 0 0-3.5 0l-2 2A2.5 2.5 0 0 0 7 12.5",
  fork: "M4 2v4c0 2 8 2 8 4v4M4 6v8",
  copy: "M5.5 5.5V3h7.5v7.5h-2.5M3 5.5h7.5V13H3z",
  download: "M8 2.5v7.5M5 7.5 8 10.5l3-3M3 13.5h10",
  close: "M4 4l8 8M12 4l-8 8",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  cards: "M2.5 3h4.5v4.5H2.5zM9 3h4.5v4.5H9zM2.5 9.5h4.5V14H2.5zM9 9.5h4.5V14H9z",
  eye: "M1.5 8C3 5 5.3 3.5 8 3.5S13 5 14.5 8c-1.5 3-3.8 4.5-6.5 4.5S3 11 1.5 8ZM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4",
  moon: "M13 9.8A5.5 5.5 0 0 1 6.2 3a5.5 5.5 0 1 0 6.8 6.8z",
  sun: "M8 5.3a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4ZM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.8.8M11.8 11.8l.8.8M3.4 12.6l.8-.8M11.8 4.2l.8-.8",
  exit: "M6.5 3H3v10h3.5M7 8h6.5M11 5.5 13.5 8 11 10.5",
  offline: "M2 2l12 12M4.5 8.5A5 5 0 0 1 7 7.2M9.8 7.4a5 5 0 0 1 1.7 1.1M2.3 6a8 8 0 0 1 3-1.8M8.5 3.7A8 8 0 0 1 13.7 6M8 12.5v.1",
  trophy: "M5 2.5h6v4a3 3 0 0 1-6 0zM5 4H2.8c0 2 .8 3 2.3 3M11 4h2.2c0 2-.8 3-2.3 3M8 9.5V12M5.5 13.5h5",
};
ICONS.passed = ICONS.completed;
ICONS.no_tests = ICONS.unknown;
ICONS.launching = ICONS.running;
ICONS.cancelling = ICONS.running;
ICONS.synthesizing = ICONS.running;
ICONS.judging = ICONS.running;

/** Make an icon. It is hidden from screen readers: a word always stands beside it. */
export function icon(name, kind = name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", `icon icon-${kind}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name] ?? ICONS.unknown);
  svg.append(path);
  return svg;
}

/** Make an element of SVG, for plots. */
export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return add(element, children);
}
