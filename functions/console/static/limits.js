// Codegen's rate limits, and the runs that wait for their launch.

import { api, inOrganization } from "./api.js";
import { fill, h } from "./elements.js";
import { clock, count, duration, place, word } from "./format.js";
import { empty, heading, loaded } from "./widgets.js";

const LOOK = 3000;
const MEANING = { create: "New runs", standard: "Most calls", logs: "Logs", setup: "Setup commands", pull_requests: "Pull requests", webhook_test: "Webhook tests" };

export async function show({ main, signal, titled, address }) {
  titled("Limits");
  const body = h("div.body");
  fill(main, heading("Limits and queue", { below: h("p.muted", "Codegen limits the calls of each token. This deployment waits instead of failing.") }), body);
  const read = async () => draw(await api.get(inOrganization("rate-limits"), undefined, signal), address);
  await loaded(body, read, signal);
  const timer = setInterval(async () => {
    if (document.hidden) return;
    const content = await read().catch(() => null);
    if (content && !signal.aborted) fill(body, content);
  }, LOOK);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function draw(limits, address) {
  return [
    h("div.plots", group("The deployment", limits.background), group("Your token", limits.caller)),
    h("section", { "aria-label": "Launch queue" }, h("h2", "Launch queue"), limits.queue.length
      ? h("div.scrolls", { tabindex: "0", role: "group", "aria-label": "Launch queue" }, h("table", h("thead", h("tr", ["Place", "Expected", "Run", "Multi-run"].map((each) => h("th", { scope: "col" }, each)))),
        h("tbody", limits.queue.runs.map((each) => h("tr", h("td", place(each)), h("td", clock(each.expected_at)), h("td", h("a", { href: address(`runs/${encodeURIComponent(each.run)}`) }, each.run)),
          h("td", each.multi_run_id && h("a", { href: address(`multi-runs/${encodeURIComponent(each.multi_run_id)}`) }, "Open")))))))
      : empty("queued", "The queue is empty", "A new run is launched at once.")),
    limits.queue.length > limits.queue.runs.length && h("p.muted", `${count(limits.queue.length, "run")} in total`),
  ];
}

function group(title, states) {
  return h("figure.plot", h("figcaption", title), h("div.bars.of-limits", states.map((each) => {
    const left = h(`span.fill${each.remaining === 0 ? ".empty" : ""}`);
    left.style.width = `${(100 * each.remaining) / each.calls}%`;
    return h("div.bar", h("span.label", { title: each.name }, MEANING[each.name] ?? word(each.name)), h("span.track", left),
      h("span.value-of", `${each.remaining} of ${each.calls} left`), h("span.note-of", each.window_seconds === 60 ? "per minute" : `per ${duration(each.window_seconds)}`, each.blocked_reason && `, ${each.blocked_reason}`));
  })));
}
