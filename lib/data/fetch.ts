import { UffbError } from "../base/errors.ts";
import { type DownloadEvent, download, planDownload } from "../hub/download.ts";
import { type HubEnvironment, hubEnvironment } from "../hub/environment.ts";
import { parseRepo } from "../hub/names.ts";
import { hubFiles, REPOSITORIES } from "./find.ts";
import type { Split, Task } from "./tasks.ts";

/**
 * Downloads a split from the hub into the cache. @throws UffbError when the hub cannot be reached or may not be asked.
 */
export async function fetchSplit(
  task: Task,
  split: Split,
  onEvent: (event: DownloadEvent) => void,
  environment: HubEnvironment = hubEnvironment(),
): Promise<void> {
  if (environment.offline) throw new UffbError("the network is switched off by HF_HUB_OFFLINE");
  const repo = parseRepo(REPOSITORIES[task.suite], "dataset");
  const options = { repo, environment, include: hubFiles(task, split), onEvent };
  await download(await planDownload(options), options);
}
