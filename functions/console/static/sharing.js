// One poll for all windows of one person in a browser: one window asks, and all of them get the answer.

import { session } from "./api.js";

/**
 * Share the answers to a question with the windows that have the same question and the same token.
 *
 * The name of the channel contains a hash of the token, so a window of another person hears nothing. `hear` gets the
 * answers of other windows. Returns a function that asks: with `whenDue`, only if no other window asks at that moment or
 * has just asked; it then resolves to null. A browser without locks, as at an address without HTTPS, shares nothing.
 */
export async function sharing(question, hear, signal) {
  if (!navigator.locks || !crypto.subtle) return (ask) => ask();
  const name = `${question} ${await hash(session.token)}`;
  if (signal.aborted) return (ask) => ask();
  const channel = new BroadcastChannel(name);
  let heard = 0;
  channel.onmessage = ({ data }) => {
    heard += 1;
    hear(data);
  };
  signal.addEventListener("abort", () => channel.close());

  async function tell(ask) {
    const answer = await ask();
    if (!signal.aborted) channel.postMessage(answer);
    return answer;
  }

  return (ask, { whenDue = false } = {}) => {
    if (!whenDue) return tell(ask);
    const before = heard;
    return navigator.locks.request(name, { ifAvailable: true }, (lock) => (lock && heard === before ? tell(ask) : null));
  };
}

async function hash(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
