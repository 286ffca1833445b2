import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { COMMIT, FakeHub } from "../../testing/hub/fake-hub.ts";
import { scratch } from "../../testing/hub/setup.ts";
import { fetchSplit } from "./fetch.ts";
import { loadSplit } from "./load.ts";
import { findTasks } from "./tasks.ts";

const SNAPSHOT = fileURLToPath(
  new URL(`../../fixtures/glue/hub/datasets--nyu-mll--glue/snapshots/${COMMIT}`, import.meta.url),
);
const FILES = [
  "mrpc/test-00000-of-00001.parquet",
  "mrpc/validation-00000-of-00001.parquet",
  "mnli/validation_matched-00000-of-00002.parquet",
  "mnli/validation_matched-00001-of-00002.parquet",
];
const home = scratch();
let hub: FakeHub;

beforeAll(async () => {
  const files = await Promise.all(
    FILES.map(async (path) => [path, await Bun.file(join(SNAPSHOT, path)).bytes()] as const),
  );
  hub = await FakeHub.start(Object.fromEntries(files), "nyu-mll/glue");
});
afterAll(() => {
  hub.stop();
  home.clean();
});

test.each([
  ["mrpc", [FILES[1]!]],
  ["mnli-m", FILES.slice(2)],
])("what is not in the cache is downloaded once, and nothing beside it: %s", async (name, files) => {
  const environment = { endpoint: hub.endpoint, cacheDir: home.path, token: undefined, offline: false };
  const options = {
    cacheDir: home.path,
    download: (task: Parameters<typeof fetchSplit>[0], split: "train" | "dev" | "test") =>
      fetchSplit(task, split, () => {}, environment),
  };
  const before = FILES.filter((path) => hub.fetches(path).length > 0);
  for (let i = 0; i < 2; i++) {
    const { examples } = await loadSplit(findTasks([name])[0]!, "dev", options);
    expect(examples.length).toBe(2);
  }
  expect(FILES.filter((path) => hub.fetches(path).length > 0 && !before.includes(path))).toEqual(files);
  for (const path of files) expect(hub.fetches(path).length).toBe(1);
});
