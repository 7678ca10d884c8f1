// The form that starts a run, or several runs of one prompt.

import { api, inOrganization } from "./api.js";
import { readChoices } from "./choices.js";
import { fill, h, icon } from "./elements.js";
import { count } from "./format.js";
import { may, whyNot } from "./role.js";
import { choice, empty, field, heading, skeleton } from "./widgets.js";

const STRATEGIES = [["synthesize", "Join the answers into one"], ["select", "Select the best answer"], ["rank", "Rank the answers"], ["none", "Leave the answers side by side"]];
const MOST = 20;

export async function show({ main, signal, titled, address, query }) {
  titled("New run");
  if (!may("member")) return fill(main, heading("New run"), empty("eye", "Members start runs", null, whyNot()));
  fill(main, skeleton(8));
  const [{ repositories, models, agents }, limits] = await Promise.all([
    readChoices(signal),
    api.get(inOrganization("rate-limits"), undefined, signal).catch(() => null),
  ]);
  if (signal.aborted) return;

  const prompt = h("textarea", { name: "prompt", rows: 6, required: true, placeholder: "What should the agent do?" });
  prompt.value = query.get("prompt") ?? "";
  let asking = 0;
  signal.addEventListener("abort", () => clearTimeout(asking));
  const candidates = h("input", { type: "number", name: "concurrency", min: 1, max: MOST, value: query.get("candidates") ?? "1", required: true, on: { input: change } });
  const quorum = h("input", { type: "number", name: "quorum", min: 1, max: MOST, value: "1" });
  const secondWave = h("input", { type: "number", name: "second-wave", min: 0, max: MOST - 1, value: "0", on: { input: change } });
  const deadline = h("input", { type: "number", name: "deadline", min: 1, max: 1440, value: "60" });
  const variants = h("div.variants");
  const several = h("fieldset.several", h("legend", "Several candidates"),
    h("div.fields",
      field("At the end", choice("strategy", STRATEGIES, "synthesize", change)),
      field("Quorum", quorum, "The fewest usable answers that are enough"),
      field("Second wave", secondWave, "Further candidates that start from the best answers"),
      field("Deadline in minutes", deadline)),
    h("details", h("summary", icon("chevron"), "Give each candidate its own model, agent or prompt"), variants));
  const estimate = h("p.estimate", { role: "status" });
  const fault = h("div.fault", { role: "alert" });
  const send = h("button.button.primary", { type: "submit" });
  const form = h("form.new", { on: { submit: start } },
    field("Prompt", prompt),
    h("div.fields",
      field("Repository", choice("repo", [["", "None"], ...repositories], "")),
      field("Model", choice("model", [["", "Default"], ...models], "")),
      field("Agent", choice("agent", [["", "None"], ...agents], query.get("agent") ?? ""), "Instructions that each run gets"),
      field("Candidates", candidates, "Runs that do the same job side by side")),
    several, fault, h("div.actions", send, estimate));
  fill(main, heading("New run", { back: [h("a", { href: address("runs") }, "Runs"), " / New"] }), form);
  prompt.focus();
  change();

  function change() {
    const number = Math.max(1, Math.min(MOST, Number(candidates.value) || 1));
    const isSeveral = number > 1;
    several.hidden = !isSeveral;
    quorum.max = number;
    while (variants.children.length > number) variants.lastChild.remove();
    while (variants.children.length < number) {
      const at = variants.children.length + 1;
      variants.append(h("div.variant", h("span.muted", at),
        labelled(`Model of candidate ${at}`, choice(`model-${at}`, [["", "Model as above"], ...models], "")),
        labelled(`Agent of candidate ${at}`, choice(`agent-${at}`, [["", "Agent as above"], ...agents], "")),
        labelled(`Prompt of candidate ${at}`, h("input", { name: `prompt-${at}`, placeholder: "Prompt, if another" }))));
    }
    fill(send, icon("plus"), isSeveral ? `Start ${number} candidates` : "Start the run");
    clearTimeout(asking);
    if (isSeveral) asking = setTimeout(foretell, 300);
    else fill(estimate, wait(limits, number));
  }

  /** Ask the API what the multi-run would take. */
  async function foretell() {
    const { runs, runs_at_least: least, minutes_until_last_launch: minutes, refusals = [] } = await api.post(inOrganization("multi-runs/estimate"), { ...wanted(), prompt: prompt.value.trim() || "An estimate" })
      .catch((error) => ({ refusals: [{ detail: error.message }] }));
    const number = Number(candidates.value);
    if (signal.aborted || number === 1) return;
    fill(estimate, runs && `${least === runs ? count(runs, "run") : `${least} to ${count(runs, "run")}`} in total${runs > number ? ", with those that compare or join the answers" : ""}. `,
      minutes !== undefined && `The last one begins ${minutes < 1 ? "within a minute" : `in about ${count(Math.ceil(minutes), "minute")}`}. `,
      refusals.map((each) => h("span.bad", each.detail ?? each.message, " ")));
  }

  /** The request as the form has it. */
  function wanted() {
    const data = new FormData(form);
    const number = Number(data.get("concurrency"));
    const common = { prompt: data.get("prompt"), repo_id: Number(data.get("repo")) || null, model: data.get("model") || null, agent_id: data.get("agent") || undefined };
    if (number === 1) return common;
    const own = Array.from({ length: number }, (_, at) => ({ model: data.get(`model-${at + 1}`) || null, agent_id: data.get(`agent-${at + 1}`) || null, prompt: data.get(`prompt-${at + 1}`)?.trim() || null }));
    // With variants, `concurrency` is the number of candidates of each.
    const which = own.some((each) => each.model || each.agent_id || each.prompt) ? { variants: own } : { concurrency: number };
    return { ...common, ...which, strategy: data.get("strategy"), quorum: Number(data.get("quorum")), second_wave: Number(data.get("second-wave")), deadline_s: Number(data.get("deadline")) * 60 };
  }

  async function start(event) {
    event.preventDefault();
    send.disabled = true;
    fill(fault);
    try {
      if (Number(candidates.value) === 1) {
        const run = await api.post(inOrganization("agent/run"), wanted());
        location.hash = address(`runs/${run.id}`);
      } else {
        const multiRun = await api.post(inOrganization("multi-runs"), wanted());
        location.hash = address(`multi-runs/${encodeURIComponent(multiRun.id)}`);
      }
    } catch (error) {
      if (error.status === undefined) console.error(error);
      fill(fault, h("p", error.message), error.remedy && h("p.remedy", error.remedy));
    } finally {
      send.disabled = false;
    }
  }
}

function labelled(label, control) {
  control.setAttribute("aria-label", label);
  return control;
}

/** When the last of some runs begins, as far as Codegen's limits say. */
function wait(limits, number) {
  const create = limits?.background.find((each) => each.name === "create");
  if (!create) return "";
  const ahead = limits.queue.length;
  const windows = Math.max(0, Math.ceil((ahead + number - create.remaining) / create.calls));
  const queued = ahead ? `${count(ahead, "run")} wait in the queue. ` : "";
  return `${queued}${number > 1 ? "The last one begins" : "It begins"} ${windows ? `in about ${count(Math.ceil((windows * create.window_seconds) / 60), "minute")}` : "at once"}.`;
}
