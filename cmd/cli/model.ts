import { statSync } from "node:fs";
import { UffbError } from "../../lib/base/errors.ts";
import { repositoryOf, requireModel } from "../../lib/hub/models.ts";
import { grouped } from "./args.ts";
import { messages } from "./messages.ts";
import { progressColumns, toStderr } from "./terminal.ts";

/** How a model can be named. */
export const MODEL_NAMES =
  "A folder with config.json and a checkpoint, a packed model, or the name of one on the hub, with or without its organisation";

const DEFAULT = "Default: UFFB_MODEL, or else the built-in model";

export const downloadArg = {
  type: "boolean",
  description: "Fetch the model from the hub first, where it is not there",
} as const;

/** The flags of commands that run a model. */
export const modelArgs = grouped("MODEL", {
  model: { type: "string", alias: "m", valueHint: "path", description: `${MODEL_NAMES}. ${DEFAULT}` },
  download: downloadArg,
});

/** What the help says of a model that is an argument. */
export const MODEL_ARGUMENT = `${MODEL_NAMES}. ${DEFAULT}`;

/**
 * The model to open: the one given, else that of UFFB_MODEL, else undefined for the built-in one. With `download` it is fetched into the
 * cache first where it is neither a file nor there.
 *
 * @throws UffbError when it cannot be fetched
 */
export async function chooseModel(given: string | undefined, download: boolean): Promise<string | undefined> {
  const name = given ?? (process.env.UFFB_MODEL || undefined);
  if (!download || name === undefined || statSync(name, { throwIfNoEntry: false })) return name;
  try {
    return requireModel(name);
  } catch (error) {
    const repository = repositoryOf(name);
    if (repository === undefined) throw error;
    return await fetchModel(repository);
  }
}

/** Brings a model into the cache; gives its folder. What reaches the network is loaded only for it. */
async function fetchModel(repository: string): Promise<string> {
  const [{ download, planDownload }, { hubEnvironment }, { parseRepo }, { Progress }] = await Promise.all([
    import("../../lib/hub/download.ts"),
    import("../../lib/hub/environment.ts"),
    import("../../lib/hub/names.ts"),
    import("../../lib/hub/progress.ts"),
  ]);
  const environment = hubEnvironment();
  if (environment.offline)
    throw new UffbError(
      `${repository} is not in the cache, and the network is switched off by HF_HUB_OFFLINE`,
    );
  const progress = new Progress({ write: toStderr, columns: progressColumns() });
  const options = { repo: parseRepo(repository), environment, onEvent: progress.show };
  try {
    const plan = await planDownload(options);
    if (plan.missing.length > 0) messages.info(`fetching ${repository}`);
    return await download(plan, options);
  } finally {
    progress.clear();
  }
}
