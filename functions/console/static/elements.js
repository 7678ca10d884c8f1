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

function set(element, options) {
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

/** Replace all children. */
export function fill(parent, ...children) {
  parent.replaceChildren();
  return add(parent, children);
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
  star: "m8 2.3 1.7 3.6 3.9.5-2.9 2.7.8 3.9L8 11.1 4.500 13l.8-3.9-2.900-2.700 3.900-.5z",
  usage: "M3 13V8M6.500 13V4M10 13V6.500M13.500 13V3",
  limits: "M2.500 11a5.500 5.500 0 1 1 11 0M8 11l2.800-3.600",
  settings: "M2.500 4.500h6M11.500 4.500h2M2.500 11.500h2M7.500 11.500h6M10 3v3M6 10v3",
  plus: "M8 3v10M3 8h10",
  search: "M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9ZM10.300 10.300 13.500 13.500",
  chevron: "m6 3.500 4.500 4.500L6 12.500",
  down: "m3.500 6 4.500 4.500L12.500 6",
  pull_request: "M4 5.500v5M4 5.500a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400ZM4 13.900a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400ZM12 13.900a1.700 1.700 0 1 0 0-3.400 1.700 1.700 0 0 0 0 3.400ZM12 10.500V6c0-1.500-1-2.500-2.500-2.500H8M9.500 2 8 3.500 9.500 5",
  branch: "M4.500 2v8M4.500 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM11.500 6a2 2 0 1 0 0-4 2 2 0 0 0 0 4ZM11.500 6c0 3-4 3-6.500 4.500",
  tool: "M9.500 6.500 3 13M9 2.800a3.300 3.300 0 0 0 4.200 4.200M9 2.800l2 2M13.200 7l-2-2",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
  edit: "m3 13 .7-3L10.500 3.200l2.300 2.300L6 12.300zM9 4.700 11.300 7",
  terminal: "m3 4.500 3.500 3.500L3 11.500M8 12h5",
  plan: "M3 4h1M6.500 4H13M3 8h1M6.500 8H13M3 12h1M6.500 12H13",
  person: "M8 8a2.700 2.700 0 1 0 0-5.400A2.700 2.700 0 0 0 8 8ZM3 13.500c.6-2.600 2.500-3.700 5-3.700s4.400 1.100 5 3.700",
  answer: "M3 8.500 6.300 12 13 4.500",
  flag: "M4 14V2.500h8l-2 3 2 3H4",
  link: "M7 9a2.500 2.500 0 0 0 3.500 0l2-2A2.500 2.500 0 0 0 9 3.500M9 7a2.500 2.500 0 0 0-3.500 0l-2 2A2.500 2.500 0 0 0 7 12.500",
  fork: "M4 2v4c0 2 8 2 8 4v4M4 6v8",
  copy: "M5.500 5.500V3h7.500v7.500h-2.500M3 5.500h7.500V13H3z",
  download: "M8 2.500v7.500M5 7.500 8 10.500l3-3M3 13.500h10",
  close: "M4 4l8 8M12 4l-8 8",
  menu: "M2.500 4.500h11M2.500 8h11M2.500 11.500h11",
  cards: "M2.500 3h4.500v4.500H2.500zM9 3h4.500v4.500H9zM2.500 9.500h4.500V14H2.500zM9 9.500h4.500V14H9z",
  moon: "M13 9.800A5.500 5.500 0 0 1 6.200 3a5.500 5.500 0 1 0 6.800 6.800z",
  sun: "M8 5.300a2.700 2.700 0 1 0 0 5.400 2.700 2.700 0 0 0 0-5.400ZM8 1.500v1.200M8 13.300v1.200M1.500 8h1.200M13.300 8h1.200M3.400 3.400l.8.8M11.800 11.800l.8.8M3.400 12.600l.8-.8M11.800 4.200l.8-.8",
  exit: "M6.500 3H3v10h3.500M7 8h6.500M11 5.500 13.500 8 11 10.500",
  offline: "M2 2l12 12M4.500 8.500A5 5 0 0 1 7 7.200M9.800 7.400a5 5 0 0 1 1.700 1.100M2.300 6a8 8 0 0 1 3-1.800M8.500 3.700A8 8 0 0 1 13.700 6M8 12.500v.1",
  trophy: "M5 2.500h6v4a3 3 0 0 1-6 0zM5 4H2.800c0 2 .8 3 2.300 3M11 4h2.200c0 2-.8 3-2.300 3M8 9.500V12M5.500 13.500h5",
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
