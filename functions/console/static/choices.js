// What a form offers to choose from: the organization's repositories, models and agents.

import { api, inOrganization } from "./api.js";

/** Read the repositories. There are none if they cannot be read: a form works without them, as without models or agents. */
export function readRepositories(signal) {
  return offered("repos", { limit: 100 }, signal);
}

/** Read what can be chosen for a run, each as options for a choice, without a first one that leaves it to a default. */
export async function readChoices(signal) {
  const [repositories, models, agents] = await Promise.all([
    readRepositories(signal), offered("models", undefined, signal), offered("agents", { limit: 100 }, signal),
  ]);
  return {
    repositories: repositories.filter((each) => !each.archived).map((each) => [String(each.id), nameOf(each)]),
    models: models.map((each) => [each.name, each.models.map(({ value, label }) => [value, label])]),
    agents: agents.map((each) => [each.id, each.name]),
  };
}

/** Return a function from the id of a repository to its name. An id without one is returned as it is. */
export async function readRepositoryNames(signal) {
  const names = new Map((await readRepositories(signal)).map((each) => [each.id, nameOf(each)]));
  return (id) => names.get(id) ?? id;
}

function nameOf(repository) {
  return repository.full_name ?? repository.name;
}

function offered(path, query, signal) {
  return api.get(inOrganization(path), query, signal).then((found) => found.items ?? found.providers, () => []);
}
