import { resolve } from "node:path";
import { UsageError } from "../lib/base/errors.ts";
import { formatBytes } from "../lib/base/numbers.ts";
import { type DownloadOptions, download, type Plan, planDownload } from "../lib/hub/download.ts";
import { hubEnvironment } from "../lib/hub/environment.ts";
import { repositoryOf, SHORT_NAMES } from "../lib/hub/models.ts";
import { parseRepo } from "../lib/hub/names.ts";
import { offlineDownload } from "../lib/hub/offline.ts";
import { Progress } from "../lib/hub/progress.ts";
import { grouped } from "./cli/args.ts";
import { command } from "./cli/command.ts";
import { messages } from "./cli/messages.ts";
import { print, progressColumns, toStderr } from "./cli/terminal.ts";

const DEFAULT_REPO = "pbelcak/UltraFastBERT-1x11-long";

export default command({
  meta: { name: "download", description: "Download a model or data set to the cache that Python shares" },
  positionals: [
    {
      name: "repo",
      description: `ORGANISATION/NAME on the hub, or a short name of a model (below); default: ${DEFAULT_REPO}`,
    },
  ],
  args: {
    ...grouped("WHAT", {
      dataset: { type: "boolean", description: "The repository is a data set, not a model" },
      revision: { type: "string", valueHint: "name", description: "Branch, tag or commit; default: main" },
      include: {
        type: "string",
        multiple: true,
        valueHint: "pattern",
        description: "Only files that match, such as '*.json'; all formats then, not just what uffb reads",
      },
      exclude: {
        type: "string",
        multiple: true,
        valueHint: "pattern",
        description: "No files that match",
      },
    }),
    ...grouped("WHERE TO", {
      cacheDir: {
        type: "string",
        valueHint: "folder",
        description: "The cache; default: HF_HUB_CACHE or HF_HOME/hub",
      },
      localDir: {
        type: "string",
        valueHint: "folder",
        description: "Write plain files to this folder, not to the cache",
      },
    }),
    ...grouped("HOW", {
      token: {
        type: "string",
        valueHint: "token",
        description:
          "Access token; default: HF_TOKEN, or the one that `hf auth login` stored. Others may see a command line",
      },
      force: { type: "boolean", description: "Fetch again what is there already" },
      dryRun: { type: "boolean", description: "List what would be fetched, and fetch nothing" },
      offline: {
        type: "boolean",
        description: "Use no network: find what was downloaded before (also HF_HUB_OFFLINE=1)",
      },
      maxWorkers: {
        type: "number",
        integer: true,
        min: 1,
        max: 64,
        default: 8,
        valueHint: "count",
        description: "Files to fetch at a time",
      },
    }),
  },
  examples: [
    "uffb download",
    "uffb download --dataset nyu-mll/glue --include 'sst2/*'",
    "model=$(uffb download sentence-transformers/all-MiniLM-L6-v2)   # stdout is the folder, nothing else",
    "uffb download --dry-run   # columns: fetch or cached, bytes, path",
  ],
  sections: {
    "SHORT NAMES, for every command": Object.entries(SHORT_NAMES).map(([name, repo]) => `${name}: ${repo}`),
  },

  async run({ args, positionals }) {
    if (args.dataset && positionals.length === 0) {
      throw new UsageError("--dataset needs a name: uffb download --dataset nyu-mll/glue");
    }
    const progress = new Progress({
      write: toStderr,
      columns: progressColumns(),
    });
    const options: DownloadOptions = {
      ...args,
      repo: parseRepo(repositoryFor(positionals[0], args.dataset), args.dataset ? "dataset" : "model"),
      environment: hubEnvironment(args),
      localDir: args.localDir === undefined ? undefined : resolve(args.localDir),
      onEvent: progress.show,
    };
    if (options.environment.offline) {
      if (args.force || args.dryRun)
        throw new UsageError("--force and --dry-run ask the hub, so not with --offline");
      print(`${offlineDownload(options)}\n`);
      return;
    }
    const plan = await planDownload(options);
    messages.info(describe(plan, options));
    for (const { what, files } of plan.leftOut) {
      const paths = files.length === 1 ? files[0]!.path : `${files[0]!.path} and ${files.length - 1} more`;
      messages.info(`left out, ${what}: ${paths} (${total(files)}); --include '*' brings all`);
    }
    if (args.dryRun) {
      print(
        plan.chosen
          .map((file) => `${plan.missing.includes(file) ? "fetch" : "cached"}\t${file.size}\t${file.path}\n`)
          .join(""),
      );
      return;
    }
    try {
      print(`${await download(plan, options)}\n`);
    } finally {
      progress.clear();
    }
  },
});

/** A model's short name stands for its repository; any other name for itself. */
function repositoryFor(name: string | undefined, isDataset: boolean): string {
  if (name === undefined) return DEFAULT_REPO;
  return (isDataset ? undefined : repositoryOf(name)) ?? name;
}

function describe({ commit, chosen, missing }: Plan, { repo, revision = "main" }: DownloadOptions): string {
  const name = revision === commit ? repo.name : `${repo.name} ${revision}`;
  const files = chosen.length === 1 ? "1 file" : `${chosen.length} files`;
  const rest = missing.length === 0 ? "all there" : `${total(missing)} to fetch`;
  return `${name} at ${commit.slice(0, 12)}: ${files}, ${total(chosen)}, ${rest}`;
}

function total(files: { size: number }[]): string {
  return formatBytes(files.reduce((sum, { size }) => sum + size, 0));
}
