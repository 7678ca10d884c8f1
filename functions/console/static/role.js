// What the person may do in the organization. Every view asks here before it shows what the API would refuse.

import { api, inOrganization, session } from "./api.js";
import { h, icon } from "./elements.js";

const ROLES = ["viewer", "member", "admin"];
// API tokens of the deployment begin with this.
const OWN_TOKEN = "cgr_";

const known = { token: null, organization: null, role: null };

/** Read the person's role in the organization, once. If it cannot be read, nothing is hidden, and the API decides. */
export async function readRole(signal) {
  const { token, organization } = session;
  if (known.token === token && known.organization === organization) return;
  Object.assign(known, { token: null, organization: null, role: null });
  try {
    const { role } = await api.get(inOrganization("").replace(/\/$/, ""), undefined, signal);
    Object.assign(known, { token, organization, role });
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
}

/** Whether the person's role includes another: "viewer" reads, "member" also acts, "admin" also manages. */
export function may(least) {
  return known.role === null || ROLES.indexOf(known.role) >= ROLES.indexOf(least);
}

/** Whether the person may create API tokens: not with one of them. */
export function mayCreateTokens() {
  return !session.token.startsWith(OWN_TOKEN);
}

/** The actions that the API allows now for a run or a multi-run, and that the person may do. */
export function allowedActions({ allowed_actions: actions }) {
  return may("member") ? (actions ?? []).filter((each) => each.enabled) : [];
}

/** Why a viewer finds nothing to act with here. Nothing for others. */
export function whyNot() {
  return !may("member") && h("p.viewer", icon("eye"), "You are a viewer here: you can look, but not start or change anything. An admin can give you another role.");
}
