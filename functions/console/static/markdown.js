// Answers in Markdown, as elements. The server reads the text; nothing is parsed as HTML here.

import { markdownTree } from "./api.js";
import { external, fill, h } from "./elements.js";

const ALLOWED = new Set(["p", "ul", "ol", "li", "blockquote", "strong", "em", "s", "code", "pre", "span", "table", "thead", "tbody", "tr", "th", "td", "br", "hr", "h3", "h4", "h5", "h6"]);

/** An element that shows a text in Markdown: first as it is, then with its form. */
export function markdown(text) {
  const place = h("div.markdown", h("p.plain", text));
  markdownTree(text).then((nodes) => fill(place, nodes.map(element)), (error) => {
    place.title = `Shown as plain text: ${error.message}`;
  });
  return place;
}

function element(node) {
  if (typeof node === "string") return node;
  const [name, attributes, ...children] = node;
  if (name === "a") return external(attributes.href, children.map(element));
  if (!ALLOWED.has(name)) return children.map(element);
  const made = h(name, { class: attributes.class && /^[a-z0-9]{1,4}$/.test(attributes.class) ? `hl-${attributes.class}` : undefined, start: attributes.start }, children.map(element));
  if (name === "pre" || name === "table") made.tabIndex = 0; // It may scroll sideways, which the keyboard must be able to do.
  return name === "table" ? h("div.scrolls", made) : made;
}
