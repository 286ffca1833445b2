/** A model by its name: from the hub, from the cache, from UFFB_MODEL. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writeClassifier } from "../testing/classifier.ts";
import { TemporaryFolder } from "../testing/folders.ts";
import { FakeHub } from "../testing/hub/fake-hub.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const folder = new TemporaryFolder();
let hub: FakeHub;

beforeAll(async () => {
  writeClassifier(folder.file("model"));
  const names = readdirSync(folder.file("model")).filter((name) => /^(config|model|tokenizer)\./.test(name));
  hub = await FakeHub.start(
    Object.fromEntries(names.map((name) => [name, readFileSync(folder.file(`model/${name}`))])),
  );
});
afterAll(() => {
  hub.stop();
  folder[Symbol.dispose]();
});

async function uffb(line: string[], env: Record<string, string> = {}) {
  const child = Bun.spawn([process.execPath, main, ...line], {
    cwd: folder.path,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env.PATH, HF_HUB_CACHE: folder.file("cache"), HF_ENDPOINT: hub.endpoint, ...env },
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { stdout, stderr, exitCode: await child.exited };
}

test("--download fetches a model that is not there, and then it opens by the last part of its name", async () => {
  const [, last] = hub.name.split("/") as [string, string];
  const expected = (await uffb(["infer", "--model", "model", "a text"])).stdout;
  expect(expected).toMatch(/^1\tLABEL_/);

  const missing = await uffb(["infer", "--model", hub.name, "a text"]);
  expect([missing.exitCode, missing.stderr]).toEqual([
    1,
    expect.stringContaining(`download it first: uffb download ${hub.name}`),
  ]);
  const offline = await uffb(["infer", "--model", hub.name, "--download", "a text"], { HF_HUB_OFFLINE: "1" });
  expect([offline.exitCode, offline.stderr]).toEqual([1, expect.stringContaining("HF_HUB_OFFLINE")]);

  const fetched = await uffb(["infer", "--model", hub.name, "--download", "a text"]);
  expect([fetched.exitCode, fetched.stdout]).toEqual([0, expected]);
  expect(fetched.stderr).toContain(`fetching ${hub.name}`);
  const asked = hub.seen.length;
  for (const name of [hub.name, last, last.toUpperCase()])
    expect((await uffb(["infer", "--model", name, "--download", "a text"])).stdout).toBe(expected);
  expect((await uffb(["infer", "a text"], { UFFB_MODEL: last })).stdout).toBe(expected);
  expect((await uffb(["tokenize", "a text"], { UFFB_MODEL: last })).stdout).toContain("[CLS]");
  expect(hub.seen.length).toBe(asked);
});

test("a name that nobody has is an error, also with --download", async () => {
  const { exitCode, stderr } = await uffb(["infer", "--model", "nobodys", "--download", "a"]);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining("nobodys: no such file or folder")]);
});
