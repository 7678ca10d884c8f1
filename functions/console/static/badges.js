// The numbers in the navigation: runs at work, and runs that need attention. They come from the list of runs as it was
// last loaded here or in another window, so they cost no request.

import { LIVE, instant } from "./format.js";

const ENDED_BADLY = new Set(["failed", "incomplete", "timed_out"]);
const DAY = 86_400_000;

/** Tells the numbers of the newest runs: `{ working, attention }`. */
export const counted = new EventTarget();

/** Count the newest runs. A run needs attention if it ended badly in the last day, is paused, or its agent is silent. */
export function countRuns(cards, now = Date.now()) {
  const working = cards.filter((card) => LIVE.has(card.status) && card.status !== "paused");
  const attention = cards.filter((card) => (ENDED_BADLY.has(card.status) && now - instant(card.updated_at ?? card.created_at) < DAY)
    || card.status === "paused" || (LIVE.has(card.status) && ["stalled", "unreachable"].includes(card.health)));
  counted.dispatchEvent(new CustomEvent("counted", { detail: { working: working.length, attention: attention.length } }));
}
