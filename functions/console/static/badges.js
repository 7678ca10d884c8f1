// The numbers in the navigation: runs at work, and runs that need attention. They come from the list of runs as it was
// last loaded here or in another window, so they cost no request. A list that goes on has only the newest runs.

import { LIVE, instant } from "./format.js";

const ENDED_BADLY = new Set(["failed", "incomplete", "timed_out"]);
const DAY = 86_400_000;

/** Tells the numbers of the runs that were loaded: `{ working, attention, of }`. `of` is how many, or null for all. */
export const counted = new EventTarget();

/**
 * Count the runs that were loaded, which are all of them or, if there are more, the newest ones. A run needs attention if
 * it ended badly in the last day, is paused, or its agent is silent.
 */
export function countRuns(cards, hasMore, now = Date.now()) {
  const working = cards.filter((card) => LIVE.has(card.status) && card.status !== "paused");
  const attention = cards.filter((card) => (ENDED_BADLY.has(card.status) && now - instant(card.updated_at ?? card.created_at) < DAY)
    || card.status === "paused" || (LIVE.has(card.status) && ["stalled", "unreachable"].includes(card.health)));
  counted.dispatchEvent(new CustomEvent("counted", { detail: { working: working.length, attention: attention.length, of: hasMore ? cards.length : null } }));
}
