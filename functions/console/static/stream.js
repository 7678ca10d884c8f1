// Follows the event log of a run or a multi-run: one connection, which resumes where it was cut.

import { inOrganization, send } from "./api.js";

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;
// The server sends a comment every 15 seconds. Longer silence means that the connection is dead.
const SILENCE = 45000;
const LONG_POLL = 20;
// How long frames are read at a stretch, in ms. Then the page may draw and answer.
const STRETCH = 6;

/**
 * Follow an event log until it ends or the signal aborts.
 *
 * path: of the run or the multi-run in its organization, such as "agent/run/5".
 * after: the id of the last event that is known; events that follow it are passed to `onEvent`, each once.
 * onSnapshot: gets the run or multi-run as it is now, at each connection.
 * onState: gets "connecting", "live", "waiting" (with the time of the next attempt) and "ended".
 * isBehind: whether the view still draws earlier events. No more are read until it has.
 */
export async function follow(path, { after = null, onEvent, onSnapshot, onState, onProblem, signal, isBehind = () => false }) {
  let cursor = after;
  let pause = FIRST_PAUSE;
  let streams = true;
  let failures = 0;

  const take = (event) => {
    cursor = event.id;
    onEvent(event);
  };

  while (!signal.aborted) {
    if (failures) onState("connecting");
    try {
      const ended = streams ? await readStream(path, cursor, { take, onSnapshot, onState, signal, isBehind, retry: (ms) => (pause = ms) })
        : await readPage(path, cursor, { take, onSnapshot, onState, signal, resume: (id) => (cursor = id) });
      failures = 0;
      if (ended) {
        onState("ended");
        return;
      }
      if (streams) await sleep(pause, signal);
    } catch (problem) {
      if (signal.aborted) return;
      if (problem.status === 410) cursor = null; // The events after the cursor have expired: begin with what is stored.
      else if (problem.status >= 400 && problem.status < 500 && problem.status !== 429 && problem.status !== 408) {
        onProblem(problem);
        return;
      }
      failures += 1;
      // A proxy that keeps back streams lets short answers pass.
      if (failures === 3 && problem.status !== 0) streams = !streams;
      const wait = Math.max((problem.retryAfter ?? 0) * 1000, Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1)));
      onState("waiting", Date.now() + wait);
      await sleep(wait, signal, true);
    }
  }
}

async function readStream(path, cursor, { take, onSnapshot, onState, signal, isBehind, retry }) {
  const cut = new AbortController();
  const stop = () => cut.abort();
  signal.addEventListener("abort", stop);
  let watchdog = setTimeout(stop, SILENCE);
  try {
    const headers = { Accept: "text/event-stream", ...(cursor ? { "Last-Event-ID": cursor } : {}) };
    const response = await send("GET", inOrganization(`${path}/logs/stream`), { headers, query: { poll_interval: 1 }, signal: cut.signal });
    if (response.status === 204) return true;
    onState("live");
    for await (const frame of frames(response.body, () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE);
    }, isBehind)) {
      if (frame.retry) retry(frame.retry);
      if (!frame.data) continue;
      if (frame.event === "stream_end") return true;
      const data = JSON.parse(frame.data);
      if (frame.event.endsWith("_snapshot")) onSnapshot?.(data);
      else take(data);
    }
    return false;
  } catch (error) {
    // A connection that breaks in the middle is resumed like one that was never made.
    if (error.name === "AbortError" || error instanceof TypeError) throw Object.assign(new Error("The connection was lost."), { status: 0 });
    throw error;
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
  }
}

async function readPage(path, cursor, { take, onSnapshot, onState, signal, resume }) {
  const response = await send("GET", inOrganization(`${path}/events`), { query: { after: cursor, wait: LONG_POLL }, signal });
  const page = await response.json();
  onState("live");
  onSnapshot?.(page.run ?? page.multi_run);
  page.items.forEach(take);
  resume(page.next_cursor);
  return page.ended;
}

/** Read the frames of a stream of server-sent events. */
async function* frames(body, onBytes, isBehind) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes();
    rest += value;
    let end;
    let until = performance.now() + STRETCH;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const frame = { event: "message", data: "" };
      for (const line of rest.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        if (colon <= 0) continue;
        const field = line.slice(0, colon);
        const text = line.slice(colon + 1).replace(/^ /, "");
        if (field === "data") frame.data += text;
        else if (field === "retry") frame.retry = Number(text);
        else frame[field] = text;
      }
      rest = rest.slice(end + 2);
      yield frame;
      if (performance.now() > until || isBehind()) {
        do await breath();
        while (isBehind());
        until = performance.now() + STRETCH;
      }
    }
  }
}

/** Let the browser draw. After `scheduler.yield()` it would go on before that, for up to 100 ms. */
function breath() {
  return new Promise((resume) => setTimeout(resume));
}

/** Wait; with `early`, only until the browser is online again. */
function sleep(milliseconds, signal, early = false) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
    if (early) addEventListener("online", done, { once: true });
  });
}
