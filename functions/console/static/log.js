// A log: the events of a run as lines, which stay in the document so that the browser's own search finds them.

import { external, fill, h, icon, set, visible } from "./elements.js";
import { bytes, capital, clock, count, duration, firstLine, instant } from "./format.js";

// Longer values are shown in part, with their size.
const LONG = 4000;
const SHOWN = 1500;
const BASE64 = /^(data:[^,]{0,100};base64,)?[A-Za-z0-9+/\s_-]{600,}={0,2}\s*$/;
// Changes of the counts are told this far apart, in ms. Nobody reads faster.
const READABLE = 250;
// How long lines are added in one frame, in ms, with their layout. Then they are painted.
const BUDGET = 4;
// Lines that are laid out together.
const TOGETHER = 8;
// More events than these do not wait to be drawn: the longer they wait, the more they cost when garbage is collected.
const WAITING = 50;
// The browser skips what it does not show, a page at a time: more pages would cost more than they save.
const LINES_OF_A_PAGE = 100;
// What is folded is found by the browser's own search, and shown then. <details> would find it as well, but each one in
// the document makes it slower to add another.
const FOLDED = "until-found";

const KINDS = {
  USER_MESSAGE: ["person", "Prompt"],
  PLAN_EVALUATION: ["plan", "Plan"],
  FINAL_ANSWER: ["answer", "Answer"],
  ERROR: ["failed", "Error"],
};
const TOOLS = [[/search|grep|find|list/, "search"], [/edit|write|create|replace|patch/, "edit"], [/view|read|open|file/, "file"], [/command|bash|shell|exec|run|test/, "terminal"], [/pr|pull|git|branch|commit/, "pull_request"]];
const VERBS = { search: "Searching", file: "Reading", edit: "Editing", terminal: "Running", pull_request: "Working on a pull request:", tool: "Using" };
const MAIN_INPUTS = ["command", "cmd", "path", "file_path", "filepath", "file", "query", "pattern", "url", "title", "message", "name"];

/** The events that end a turn. */
export const ENDS = new Set(["run.completed", "run.incomplete", "run.failed", "run.cancelled", "run.timed_out"]);

/** What an entry of a log is about, in a few words. */
export function describe(log) {
  const kind = log.message_type;
  const input = mainInput(log.tool_input);
  const failed = isFailure(log);
  if (log.tool_name && kind !== "USER_MESSAGE" && log.tool_name !== "user_input") {
    const symbol = TOOLS.find(([pattern]) => pattern.test(log.tool_name))?.[1] ?? "tool";
    return { symbol, name: log.tool_name, input, said: firstLine(log.thought ?? saidIn(log.observation)), failed, doing: `${VERBS[symbol]} ${input || log.tool_name}` };
  }
  const [symbol, name] = KINDS[kind] ?? ["flag", capital(String(kind ?? "entry").toLowerCase().replaceAll("_", " "))];
  const said = log.thought ?? saidIn(log.observation) ?? input;
  return { symbol, name, input: "", said: firstLine(said || input), failed, doing: kind === "PLAN_EVALUATION" ? "Planning" : kind === "FINAL_ANSWER" ? "Writing its answer" : name };
}

function mainInput(input) {
  if (typeof input === "string") return firstLine(input);
  if (!input || typeof input !== "object") return "";
  const name = MAIN_INPUTS.find((each) => typeof input[each] === "string");
  const value = name ? input[name] : Object.values(input).find((each) => typeof each === "string");
  return value ? firstLine(value).slice(0, 300) : "";
}

/** What an observation says: its error, if it has one. */
function saidIn(observation) {
  return typeof observation?.error === "string" ? observation.error : textOf(observation);
}

function textOf(value) {
  if (value === null || value === undefined) return null;
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** Whether an entry shows that something failed. */
export function isFailure(log) {
  if (log.message_type === "ERROR") return true;
  const output = log.tool_output;
  if (!output || typeof output !== "object") return false;
  return Boolean(output.error) || output.success === false || output.ok === false || output.status === "error" || (Number.isFinite(output.exit_code) && output.exit_code !== 0);
}

// What an entry has before its texts, by what it has. A copy costs less than its elements one by one, and leaves less
// garbage, for the browser then makes no objects for most of them.
const shapes = new Map();

function shapeOf(symbol, failed, hasInput, hasSaid) {
  const key = `${symbol} ${failed} ${hasInput} ${hasSaid}`;
  if (!shapes.has(key)) {
    const toggle = h("button.toggle", { type: "button", "aria-expanded": "false" }, h("b"),
      hasInput && h("code"), hasSaid && h("span.said"), failed && h("span.failure", "failed"), h("span.took"));
    shapes.set(key, h(`li.entry.of-${symbol}${failed ? ".failed" : ""}`, { data: { entry: "" } }, h("a.time"), h("div", toggle, h("div.io.plain", { hidden: FOLDED }))));
  }
  return shapes.get(key).cloneNode(true);
}

/** The lines of one log. */
export class Log {
  /**
   * addressOf: the address of the entry with an event id. onFork: forks a checkpoint. onChange: called when the counts or the latest entry have changed, while many arrive every 250 ms.
   */
  constructor({ addressOf, onFork, onChange = () => {} }) {
    this.addressOf = addressOf;
    this.onFork = onFork;
    this.onChange = onChange;
    this.last = null;
    this.lines = new Map();
    this.logs = new Map();
    this.updates = new Map();
    this.failures = 0;
    this.element = h("div.log", {
      on: {
        click: ({ target }) => {
          const toggle = target.closest(".toggle");
          if (toggle) this.unfold(toggle.closest("li"), toggle.ariaExpanded === "false");
        },
        // The text that the browser has found must stay as it is.
        beforematch: ({ target }) => open(target.closest("li"), true),
      },
    });
    this.waiting = [];
    this.frame = 0;
    this.needle = "";
    this.following = false;
    this.told = 0;
  }

  /** Add events that follow those that are shown. Many are drawn over several frames. */
  add(events) {
    this.waiting.push(...events);
    if (!this.frame) this.frame = requestAnimationFrame(() => this.#draw());
  }

  /** Whether as many events wait to be drawn as may. A page that is not seen draws nothing, so all of them wait. */
  get isBehind() {
    return this.waiting.length >= WAITING && !document.hidden;
  }

  #draw() {
    this.frame = 0;
    const until = performance.now() + BUDGET;
    do {
      for (const event of this.waiting.splice(0, TOGETHER)) {
        if (isEntry(event)) this.last = event;
        const line = this.#take(event);
        if (line) this.#append(line);
      }
      // Each of the two asks for the layout.
      if (this.following) this.toEnd();
      else this.isAtEnd();
    } while (this.waiting.length && performance.now() < until);
    if (this.waiting.length) this.frame = requestAnimationFrame(() => this.#draw());
    if (!this.waiting.length || performance.now() > this.told + READABLE) this.#tell();
  }

  #append(line) {
    let page = this.element.lastElementChild;
    if (!page || page.childElementCount >= LINES_OF_A_PAGE) {
      // The last page is on the screen while one follows the log.
      if (page?.previousElementSibling) leave(page.previousElementSibling);
      page = h("ol.page");
      this.element.append(page);
    }
    page.append(line);
  }

  #tell() {
    this.told = performance.now();
    this.onChange();
  }

  /**
   * Put events before those that are shown. What is on the screen stays where it is.
   * change: changes what stands above the log, at the same time.
   */
  prepend(events, change = () => {}) {
    const page = [...this.element.children].find(isBelowTop);
    const anchor = page && [...page.children].find(isBelowTop);
    const before = anchor?.getBoundingClientRect().top;
    const lines = events.map((event) => this.#take(event, true)).filter(Boolean);
    this.last ??= events.findLast(isEntry);
    if (lines.length) this.element.prepend(skip(h("ol.page", lines)));
    change();
    if (anchor) {
      const moved = anchor.getBoundingClientRect().top - before;
      if (Math.abs(moved) > 1) scrollBy(0, moved);
    }
    this.onChange();
  }

  /** Whether the end of the log is on the screen. */
  isAtEnd() {
    return this.element.getBoundingClientRect().bottom < innerHeight + 120;
  }

  toEnd() {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  }

  /** Show only the lines with a text in them. Returns their number. */
  search(text) {
    this.needle = text.toLowerCase();
    let found = 0;
    this.element.classList.toggle("searched", text !== "");
    for (const page of this.element.children) for (const line of page.children) found += this.#match(line) ? 1 : 0;
    return found;
  }

  #match(line) {
    const matches = !this.needle || line.textContent.toLowerCase().includes(this.needle);
    line.classList.toggle("other", !matches);
    return matches;
  }

  onlyFailures(on) {
    this.element.classList.toggle("only-failures", on);
  }

  clear() {
    this.last = null;
    this.lines.clear();
    this.logs.clear();
    this.updates.clear();
    this.failures = 0;
    this.element.replaceChildren();
  }

  /** The last entry that says what the agent does. */
  get latest() {
    return this.last?.data.log ? describe(this.last.data.log) : null;
  }

  get size() {
    return this.lines.size;
  }

  #take(event, older = false) {
    const { position } = event.data;
    if (event.type === "run.log_updated") {
      const line = this.lines.get(position);
      if (!line) {
        this.updates.set(position, event);
        return null;
      }
      const next = this.#entry(event);
      this.failures += Number(next.classList.contains("failed")) - Number(line.classList.contains("failed"));
      this.unfold(next, isUnfolded(line));
      line.replaceWith(next);
      this.lines.set(position, next);
      this.#measure(position + 1);
      return null;
    }
    let line;
    if (event.type === "run.log") {
      const newer = older ? this.updates.get(position) : null;
      line = this.#entry(newer ?? event);
      this.lines.set(position, line);
      if (line.classList.contains("failed")) this.failures += 1;
      this.#measure(position);
      this.#measure(position + 1);
    } else if (event.type === "stream.reset") {
      this.clear();
      line = this.#mark(event, "flag", "Codegen has rewritten the log. It begins again here.");
    } else if (event.type === "checkpoint.created") {
      line = this.#mark(event, "flag", `Checkpoint: ${event.data.reason.replaceAll("_", " ")}`, "checkpoint",
        this.onFork && h("button.quiet", { type: "button", on: { click: () => this.onFork(event.data.checkpoint_id, event.data) } }, icon("fork"), "Fork from here"));
    } else {
      line = this.#lifecycle(event);
    }
    if (line && this.needle) this.#match(line);
    return line;
  }

  /** The time until the next entry is how long an entry took. */
  #measure(position) {
    const before = this.lines.get(position - 1);
    const after = before && this.lines.get(position);
    if (!after) return;
    const seconds = (after.getAttribute("data-at") - before.getAttribute("data-at")) / 1000;
    if (seconds >= 0 && before.hasAttribute("data-at")) before.lastChild.firstChild.lastChild.textContent = duration(seconds);
  }

  #entry(event) {
    const { position, log } = event.data;
    if (!log) return this.#mark(event, "flag", "This entry is too large to show here.", "large");
    const { symbol, name, input, said, failed } = describe(log);
    const hasSaid = Boolean(said) && said !== input;
    const line = shapeOf(symbol, failed, Boolean(input), hasSaid);
    line.id = `entry-${event.seq}`;
    line.setAttribute("data-at", instant(log.created_at));
    line.setAttribute("data-position", position);
    const time = line.firstChild;
    this.#time(event, log.created_at, time);
    const toggle = time.nextSibling.firstChild;
    let place = toggle.firstChild;
    place.textContent = visible(name);
    if (input) (place = place.nextSibling).textContent = visible(input);
    if (hasSaid) place.nextSibling.textContent = visible(said);
    toggle.nextSibling.textContent = valuesOf(log).map(([label, content]) => visible(`${label}\n${asPart(content).shown}`)).join("\n");
    this.logs.set(position, log);
    return line;
  }

  /** Show what an entry contains, or fold it. Until then it is one text, which the browser's own search finds. */
  unfold(line, isOpen) {
    const inside = line.querySelector(".io.plain");
    if (isOpen && inside) {
      inside.classList.remove("plain");
      fill(inside, valuesOf(this.logs.get(Number(line.dataset.position))).map(([label, content]) => value(label, content)));
    }
    open(line, isOpen);
  }

  #time(event, at, link = h("a.time")) {
    set(link, { href: this.addressOf(event.id), "aria-label": `Address of entry ${event.seq}`, title: at ?? event.ts });
    link.textContent = clock(at ?? event.ts);
    return link;
  }

  #mark(event, symbol, text, kind = "", ...more) {
    return h(`li.mark${kind ? `.${kind}` : ""}`, { id: `entry-${event.seq}` }, this.#time(event, null), h("p", icon(symbol), text, event.data.summary && kind === "checkpoint" && h("span.said", firstLine(event.data.summary)), more));
  }

  #lifecycle(event) {
    const { data } = event;
    switch (event.type) {
      case "run.queued": return this.#mark(event, "queued", data.paused_scope ? "Held back: the queue is paused." : "Waiting for its launch.");
      case "run.started": return this.#mark(event, "running", data.turn > 1 ? `Turn ${data.turn} began.` : "The agent began.");
      case "run.status_changed": return data.from === data.to ? null : this.#mark(event, data.to, `From ${data.from.replaceAll("_", " ")} to ${data.to.replaceAll("_", " ")}.`);
      case "run.pr_opened": return this.#mark(event, "pull_request", "Opened a pull request: ", "good", external(data.pull_request.url, data.pull_request.title ?? "Pull request"));
      case "run.cancel_requested": return this.#mark(event, "cancelled", `Cancel requested by ${data.requested_by}${data.reason ? `: ${data.reason}` : "."}`);
      case "run.cancel_unconfirmed": return this.#mark(event, "incomplete", `The cancel was not confirmed: ${data.reason}`, "bad");
      default:
        if (ENDS.has(event.type)) return this.#mark(event, data.status, `${capital(data.status.replaceAll("_", " "))}${data.reason ? `: ${data.reason}` : "."}`, data.status === "completed" ? "good" : "bad");
        return null;
    }
  }
}

function isEntry(event) {
  return event.type === "run.log" || event.type === "run.log_updated";
}

function open(line, isOpen) {
  const toggle = line.querySelector(".toggle");
  if (!toggle) return;
  toggle.ariaExpanded = String(isOpen);
  const inside = line.querySelector(".io");
  if (isOpen) inside.removeAttribute("hidden");
  else inside.setAttribute("hidden", FOLDED);
}

function isUnfolded(line) {
  return line.querySelector(".toggle")?.ariaExpanded === "true";
}

function isBelowTop(element) {
  return element.getBoundingClientRect().bottom > 0;
}

/** Let the browser skip a page of lines while it is not on the screen. Its height is estimated until then. */
function skip(page) {
  page.classList.add("skipped");
  page.style.setProperty("--lines", page.childElementCount);
  return page;
}

/**
 * Skip a page that was shown, and free its layout. It is most of the memory of a log, and slows down each garbage
 * collection. The browser keeps the layout of what it only skips, and makes it anew for what comes to the screen.
 */
function leave(page) {
  const { height } = page.getBoundingClientRect();
  page.style.setProperty("--height", `${height}px`);
  page.classList.add("freed");
  page.getBoundingClientRect();
  skip(page).classList.remove("freed");
}

function mainInputWhole(input) {
  if (typeof input === "string") return input;
  const strings = Object.values(input ?? {}).filter((each) => typeof each === "string");
  return strings.length === 1 ? strings[0] : textOf(input);
}

/** The values of an entry, with their names. */
function valuesOf(log) {
  const { said } = describe(log);
  const whole = !log.tool_name || log.message_type === "USER_MESSAGE" ? textOf(log.thought ?? log.observation) ?? mainInputWhole(log.tool_input) : null;
  if (whole && whole !== said) return [["Text", whole]];
  const speaks = log.message_type === "FINAL_ANSWER" || log.message_type === "USER_MESSAGE" || (!log.tool_name && (log.thought ?? textOf(log.observation) ?? "").includes("\n"));
  return [["Thought", log.tool_name ? log.thought : null], ["Input", log.tool_input], ["Output", log.tool_output], ["Observation", log.tool_name || !speaks ? log.observation : null]]
    .filter(([, content]) => content !== null && content !== undefined && content !== "" && !(typeof content === "object" && !Object.keys(content).length));
}

/** A value as text, and what is shown of it at first. Base64 and very long values are shown in part, with their size. */
function asPart(content) {
  const pairs = pairsOf(content);
  const text = pairs ? pairs.map((pair) => pair.join(" ")).join("\n") : textOf(content);
  const size = () => bytes(new Blob([text]).size);
  if (typeof content === "string" && BASE64.test(text)) return { text, shown: `Base64 data, ${size()}`, more: "Show" };
  if (text.length > LONG) return { text, shown: `${text.slice(0, SHOWN)}\n…`, more: `Show all (${size()})` };
  return { text, shown: text, pairs };
}

/** A value with its name. */
function value(label, content) {
  const { text, shown, more, pairs } = asPart(content);
  const body = h("pre");
  if (more) fill(body, shown, " ", h("button.quiet", { type: "button", on: { click: () => fill(body, text) } }, more));
  else fill(body, pairs ? pairs.map(([name, each], at) => [at > 0 && "\n", h("span.key", name), " ", String(each)]) : text);
  return h("div.value", h("h3", label), body);
}

/** The names and values of an object of few plain values, which reads best as lines. Otherwise null. */
function pairsOf(content) {
  if (!content || typeof content !== "object" || Array.isArray(content)) return null;
  const pairs = Object.entries(content);
  return pairs.length > 12 || pairs.some(([, each]) => each !== null && typeof each === "object") ? null : pairs;
}

/** A log as Markdown. */
export function asMarkdown(title, events) {
  const parts = events.filter((each) => each.type === "run.log" && each.data.log).map(({ data: { log } }) => {
    const { name, input, said, failed } = describe(log);
    if (log.message_type === "FINAL_ANSWER") return `## Answer\n\n${log.observation ?? log.thought ?? ""}`;
    if (log.message_type === "USER_MESSAGE") return `## Prompt\n\n${mainInputWhole(log.tool_input) ?? log.thought ?? ""}`;
    const output = textOf(log.tool_output);
    return `- ${clock(log.created_at)} **${name}**${input ? ` \`${input.replaceAll("`", "'")}\`` : ""}${failed ? " (failed)" : ""}${said ? `: ${said}` : ""}${output && output !== "{}" ? `\n\n  \`\`\`\n${visible(output).split("\n").map((line) => `  ${line}`).join("\n")}\n  \`\`\`` : ""}`;
  });
  return `# ${title}\n\n${parts.join("\n\n")}\n`;
}

/** A log as JSON lines. */
export function asLines(events) {
  return events.map((event) => JSON.stringify(event)).join("\n") + "\n";
}

/** How many entries there are, in words. */
export function sizeOf(log) {
  return count(log.size, "entry", "entries");
}
