// Conversations with agents. A conversation is one run; each message is a turn of it.

import { api, inOrganization, send } from "./api.js";
import { add, fill, h, icon } from "./elements.js";
import { LIVE, firstLine } from "./format.js";
import { describe } from "./log.js";
import { markdown } from "./markdown.js";
import { buttons } from "./run.js";
import { may, whyNot } from "./role.js";
import { follow } from "./stream.js";
import { attempt, button, choice, empty, heading, since, skeleton, status } from "./widgets.js";

// How many conversations are loaded at once.
const PAGE = 50;

export async function show({ main, signal, titled, address, parameters: [id], query }) {
  titled("Chat");
  fill(main, skeleton(8));
  const [agents, sessions] = await Promise.all([
    api.get(inOrganization("agents"), { limit: 100 }, signal),
    api.get(inOrganization("chat/sessions"), { limit: PAGE }, signal),
  ]);
  if (signal.aborted) return;
  if (!agents.items.length) {
    return fill(main, heading("Chat"), empty("agent", "No agents yet", "A conversation is with an agent: instructions, a model and a repository.", may("member") && h("a.button.primary", { href: address("agents") }, "Create an agent")));
  }
  const nameOf = (each) => agents.items.find((agent) => agent.id === each.agent_id)?.name ?? each.agent_id;
  const entry = (each) => h("li", { data: { entry: "" } }, h("a", { href: address(`chat/${each.run_id}`), "aria-current": String(each.run_id) === id ? "page" : undefined },
    h("b", each.title ?? `Conversation ${each.run_id}`), h("span.muted", LIVE.has(each.status) && [status(each.status), " "], nameOf(each), " · ", since(each.updated_at))));
  const entries = h("ul");
  const more = h("div");
  const put = (page) => {
    // A session without a run has no message yet.
    add(entries, page.items.filter((each) => each.run_id !== null).map(entry));
    fill(more, page.has_more && button("Earlier conversations", () => attempt(async () => put(await api.get(inOrganization("chat/sessions"), { limit: PAGE, cursor: page.next_cursor }, signal)))));
  };
  put(sessions);
  const list = h("nav.sessions", { "aria-label": "Conversations" },
    may("member") && h("a.button", { href: address("chat") }, icon("plus"), "New conversation"), entries, more,
    !sessions.items.length && h("p.muted", "Your conversations appear here."));
  const place = h("section.conversation", { "aria-label": "Conversation" });
  fill(main, heading("Chat"), h("div.chat", list, place));
  if (id) await conversation({ id, place, signal, titled, agents: agents.items, address });
  else begin({ place, agents: agents.items, chosen: query.get("agent"), address });
}

function agentOf(card) {
  return card.metadata?.agent_id ?? card.metadata?.agent?.id ?? null;
}

function composer(placeholder, act, ...more) {
  const text = h("textarea", { rows: 3, name: "message", "aria-label": "Message", placeholder, required: true });
  const submit = h("button.button.primary", { type: "submit" }, "Send");
  const form = h("form.composer", {
    on: {
      submit: async (event) => {
        event.preventDefault();
        submit.disabled = true;
        const message = text.value.trim();
        if (message && (await attempt(() => act(message)))) text.value = "";
        submit.disabled = false;
        text.focus();
      },
    },
  }, text, h("div.actions", more, submit));
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  return form;
}

function begin({ place, agents, chosen, address }) {
  if (!may("member")) return fill(place, empty("eye", "Members write to agents", null, whyNot()));
  const agent = choice("agent", agents.map((each) => [each.id, each.name]), chosen ?? agents[0].id);
  agent.setAttribute("aria-label", "Agent");
  fill(place, h("div.grow", empty("chat", "Ask an agent", "It works on your message as a run. You see what it does, and can stop it.")),
    composer("Write a message", async (message) => {
      const run = await say({ agent_id: agent.value, message });
      location.hash = address(`chat/${run}`);
    }, agent));
}

/** Send a message, and return the id of its run as soon as the agent has it. The answer comes from the run's events. */
async function say(body) {
  const reading = new AbortController();
  const response = await send("POST", inOrganization("chat"), { body: { ...body, stream: true }, headers: { Accept: "text/event-stream" }, signal: reading.signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (true) {
    const { done, value } = await reader.read();
    text += value ?? "";
    const found = /event: run_started\ndata: (.*)\n/.exec(text);
    if (found) {
      reader.cancel().catch(() => { /* The rest is read elsewhere. */ });
      reading.abort();
      return JSON.parse(found[1]).run_id;
    }
    if (done) throw new Error("The agent did not begin.");
  }
}

async function conversation({ id, place, signal, titled, agents, address }) {
  fill(place, skeleton(6));
  let card = await api.get(inOrganization(`run-cards/${encodeURIComponent(id)}`), undefined, signal);
  const session = card.metadata?.session_id;
  const source = card.prompts?.map((each) => each.source).find((each) => each?.agent_id);
  const agent = agents.find((each) => each.id === (agentOf(card) ?? source?.agent_id));
  titled(`Chat: ${firstLine(card.prompt)}`);
  const messages = h("div.messages", { role: "log", "aria-label": "Messages" });
  const doing = h("p.sentence", { role: "status" });
  const name = agent?.name ?? "Agent";
  const write = may("member") && session && agent && composer(`Write to ${name}`, async (message) => {
    await say({ agent_id: agent.id, message, session_id: session });
    replay();
  });
  fill(place, h("header.row", h("h2", icon("agent"), " ", name), h("a", { href: address(`runs/${id}?tab=log`) }, "Log")), messages, doing, write || whyNot() || h("p.muted", "This conversation cannot be continued here."));

  let following = new AbortController();
  signal.addEventListener("abort", () => following.abort());
  replay();

  function replay() {
    following.abort();
    following = new AbortController();
    const asked = new Map();
    let turn = 0;
    let latest = null;
    fill(messages);
    const now = () => fill(doing, LIVE.has(card.status) && [status(card.status), h("span.doing", latest?.doing ?? "At work"), h("span.spacer"), buttons(card, { changed: refresh })]);
    const put = (element) => {
      messages.append(element);
      messages.scrollTop = messages.scrollHeight;
    };
    // The place of a message is known from the events, its text from the card, in either order.
    const begin = (number) => {
      turn = Math.max(turn, number);
      for (let each = 1; each <= turn; each += 1) {
        if (!asked.has(each)) {
          asked.set(each, h("article.message.person", { "aria-label": "You", hidden: true }, h("p.said-text")));
          put(asked.get(each));
        }
      }
      tell();
    };
    const tell = () => {
      for (const { turn: number, text } of card.prompts ?? []) {
        const place = asked.get(number);
        if (!place?.hidden) continue;
        place.hidden = false;
        fill(place.firstChild, text);
      }
    };
    const refresh = async () => {
      card = await api.get(inOrganization(`run-cards/${encodeURIComponent(id)}`), undefined, signal);
      now();
      tell();
    };
    begin(1);
    follow(`agent/run/${id}`, {
      signal: following.signal,
      onSnapshot: () => attempt(refresh),
      onState: () => {},
      onProblem: (error) => fill(doing, error.message),
      onEvent: (event) => {
        const { data, type } = event;
        if (data.turn) begin(data.turn);
        if (type === "run.log" && data.log?.message_type === "FINAL_ANSWER") {
          put(h("article.message.agent", { "aria-label": name }, markdown(data.log.observation ?? data.log.thought ?? "")));
        } else if (type === "run.log" && data.log) latest = describe(data.log);
        else if (/^run\.(failed|incomplete|cancelled|timed_out)$/.test(type)) put(h("p.ended", status(data.status), " ", data.reason));
        if (type.startsWith("run.") && type !== "run.log") attempt(refresh);
        now();
      },
    });
  }
}
