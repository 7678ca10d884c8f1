// Times, durations, sizes and words, as people read them.

export const LIVE = new Set(["queued", "launching", "running", "cancelling", "unknown", "paused", "judging", "synthesizing"]);

const WORDS = { API: "API", GITHUB: "GitHub", GITHUB_CHECK_SUITE: "GitHub checks", CLICKUP: "ClickUp", judging: "Judging", synthesizing: "Joining answers" };

/** A word of the API, for people: `timed_out` becomes "Timed out". */
export function word(name) {
  if (!name) return "";
  return WORDS[name] ?? capital(String(name).replaceAll("_", " ").toLowerCase());
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A number with its noun: count(1, "run") is "1 run". */
export function count(number, noun, nouns = `${noun}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? noun : nouns}`;
}

/** Seconds as a duration: "8.4 s", "2 m 05 s", "3 h 10 m". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "";
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} m`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

/** A time of the API in milliseconds. Codegen's own times have no zone: they are in UTC. */
export function instant(text) {
  if (!text) return NaN;
  const iso = String(text).replace(" ", "T");
  return Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(iso) ? iso : `${iso}Z`);
}

/** How long ago: "now", "4 m", "3 h", "2 d", or the date. */
export function ago(text, now = Date.now()) {
  const seconds = (now - instant(text)) / 1000;
  if (Number.isNaN(seconds)) return "";
  if (seconds < 45) return "now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} m ago`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h ago`;
  if (seconds < 14 * 86400) return `${Math.round(seconds / 86400)} d ago`;
  return new Date(instant(text)).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export function clock(text) {
  const time = instant(text);
  return Number.isNaN(time) ? "" : CLOCK.format(time);
}

export function moment(text) {
  const time = instant(text);
  return Number.isNaN(time) ? "" : new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function bytes(number) {
  if (number < 1000) return `${number} B`;
  return number < 1e6 ? `${(number / 1000).toFixed(number < 1e4 ? 1 : 0)} kB` : `${(number / 1e6).toFixed(1)} MB`;
}

/** The place in the launch queue as people count. The API says how many runs are in front. */
export function place({ position }) {
  return position + 1;
}

/** The first line of a text with something in it, without the marks of Markdown at its start. */
export function firstLine(text) {
  const line = String(text ?? "").split("\n").find((each) => each.trim()) ?? "";
  return line.trim().replace(/^#+\s+|^[-*]\s+/, "").replace(/\*\*/g, "");
}

/** What a run is called in a list. */
export function titleOf(run) {
  return firstLine(run.prompt) || firstLine(run.result_preview ?? run.summary) || `Run ${run.id ?? run.key}`;
}
