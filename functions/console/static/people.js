// The names of the members, for records that have only a person's id.

import { api, inOrganization, session } from "./api.js";

const known = { token: null, organization: null, names: null };

/**
 * Read the members, once, and return a function from the id of a caller to a name: "user:42" is the member 42. An id that
 * is no member's is returned as it is, as all are if the members cannot be read.
 */
export async function readPeople(signal) {
  const { token, organization } = session;
  if (known.token !== token || known.organization !== organization) Object.assign(known, { token, organization, names: null });
  known.names ??= await api.get(inOrganization("members"), { limit: 100 }, signal)
    .then(({ items }) => new Map(items.map((each) => [`user:${each.id}`, each.name ?? each.github_username])))
    .catch((error) => { if (error.name === "AbortError") throw error; return null; });
  const { names } = known;
  return (id) => names?.get(id) ?? id;
}
