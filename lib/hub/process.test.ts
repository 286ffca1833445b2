import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { COMMIT, FakeHub } from "../../testing/hub/fake-hub.ts";
import { fetchAll, pattern, scratch, tree, wrongBlobs } from "../../testing/hub/setup.ts";

// Whole processes: killed, two at once, on a full or read-only disk, behind a proxy.

const SIZE = 400_000;
const weights = pattern(SIZE);
const SCRIPT = join(import.meta.dir, "../../testing/hub/run-download.ts");

let hub: FakeHub;
let home: string;
let cache: string;
let clean: () => void;
beforeEach(async () => {
  ({ path: home, clean } = scratch());
  cache = join(home, "hub");
  hub = await FakeHub.start({ "config.json": "{}\n", "model.safetensors": weights });
});
afterEach(() => {
  hub.stop();
  clean();
});

/** `uffb download` in a process of its own; `prefix` is a command that runs it. */
function start(line: string[], variables: Record<string, string> = {}, prefix: string[] = []) {
  return Bun.spawn([...prefix, process.execPath, SCRIPT, ...line], {
    env: { PATH: process.env.PATH, HOME: home, HF_HOME: home, HF_ENDPOINT: hub.endpoint, ...variables },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function run(...options: Parameters<typeof start>) {
  const child = start(...options);
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr, code };
}

const snapshot = () => join(cache, "models--org--model/snapshots", COMMIT);

describe("the command", () => {
  test("prints the snapshot on stdout and the rest on stderr; the token nowhere", async () => {
    hub.token = "hf_verysecret";
    hub.put("pytorch_model.bin", weights.subarray(5));
    const { stdout, stderr, code } = await run(["org/model"], { HF_TOKEN: hub.token });
    expect(code).toBe(0);
    expect(stdout).toBe(`${snapshot()}\n`);
    expect(stderr).toContain("org/model main at 0123456789ab: 2 files, 400 kB, 400 kB to fetch");
    expect(stderr).toContain(
      "left out, the same weights as a pickle: pytorch_model.bin (400 kB); --include '*' brings all",
    );
    expect(stderr).not.toContain("\u001b");
    expect(stdout + stderr).not.toContain("verysecret");
    const again = await run(["org/model", "--offline"]);
    expect(again).toEqual({ stdout, stderr: "", code: 0 });
  });

  test("--dry-run lists and writes nothing", async () => {
    const { stdout, code } = await run(["org/model", "--dry-run", "--exclude", "*.json"]);
    expect({ stdout, code }).toEqual({ stdout: `fetch\t${SIZE}\tmodel.safetensors\n`, code: 0 });
    expect(existsSync(cache)).toBe(false);
  });

  test.each([
    [["--dataset"], {}, 2, /--dataset needs a name/],
    [["no such repo"], {}, 2, /is not a repository's name/],
    [
      ["org/model", "--offline"],
      {},
      1,
      /org\/model is not in the cache .*; download it first: uffb download org\/model/,
    ],
    [["org/model", "--force"], { HF_HUB_OFFLINE: "1" }, 2, /--force and --dry-run ask the hub/],
    [["org/model", "--max-workers", "0"], {}, 2, /max-workers/],
  ])("%j fails without a request", async (line, variables, code, message) => {
    const result = await run(line, variables as Record<string, string>);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(message);
    expect(hub.seen).toEqual([]);
  });

  test("HTTP_PROXY is used, NO_PROXY obeyed", async () => {
    const proxy = { HTTP_PROXY: hub.endpoint, HF_ENDPOINT: "http://hub.invalid" };
    hub.put("model.safetensors", "small"); // a git file: no second host
    expect((await run(["org/model"], proxy)).code).toBe(0);
    expect(hub.seen.every(({ headers }) => headers.host === "hub.invalid")).toBe(true);
    hub.seen.length = 0;
    const direct = await run(["org/model"], { HTTP_PROXY: "http://127.0.0.1:1", NO_PROXY: "127.0.0.1" });
    expect(direct.code).toBe(0);
  });
});

describe("kill -9", () => {
  /** Sizes of the partial files of the weights that hold something. Looks while the other process works. */
  const parts = (): number[] => {
    const blobs = join(cache, "models--org--model/blobs");
    if (!existsSync(blobs)) return [];
    const { etag } = hub.files.get("model.safetensors")!;
    const names = readdirSync(blobs).filter((name) => name.startsWith(etag) && name.endsWith(".incomplete"));
    return names
      .map((name) => statSync(join(blobs, name), { throwIfNoEntry: false })?.size ?? 0)
      .filter((size) => size > 0);
  };

  test.each([
    ["at the listing", () => hub.seen.some(({ path }) => path.includes("/tree/"))],
    ["at the first request for bytes", () => hub.seen.some(({ server }) => server === "storage")],
    ["in the middle of the bytes", () => parts().length > 0],
  ] as const)("%s: nothing half-written has a final name, and the next run ends it", async (_, reached) => {
    hub.fault("/blob/", { drip: [20_000, 25] });
    const child = start(["org/model"]);
    while (!reached()) await Bun.sleep(2);
    child.kill("SIGKILL");
    await child.exited;
    expect(wrongBlobs(cache)).toEqual([]);
    expect(existsSync(snapshot())).toBe(false);

    const [part] = parts();
    hub.seen.length = 0;
    hub.faults.clear();
    const { folder } = await fetchAll(hub, cache);
    const have = part === undefined ? undefined : `bytes=${part}-`;
    expect(hub.fetches("model.safetensors").map(({ headers }) => headers.range)).toEqual([have]);
    expect(new Uint8Array(readFileSync(join(folder, "model.safetensors")))).toEqual(weights);
    expect(tree(cache).filter((line) => line.includes("incomplete"))).toEqual([]);
  });
});

test("two processes at once both end with the right cache", async () => {
  hub.fault("/blob/", { drip: [50_000, 15] }, { drip: [40_000, 15] });
  const both = await Promise.all([run(["org/model"]), run(["org/model"])]);
  for (const { stdout, code } of both)
    expect({ stdout, code }).toEqual({ stdout: `${snapshot()}\n`, code: 0 });
  expect(wrongBlobs(cache)).toEqual([]);
  expect(tree(snapshot()).every((line) => line.includes(" -> "))).toBe(true);
  expect(tree(cache).filter((line) => /incomplete|tmp/.test(line))).toEqual([]);
});

/** A prefix that gives a command a 1 MB disk of its own at `cache`; `before` and `after` are shell commands around it. */
const onSmallDisk = (before: string, after = "true") => {
  const script = `mount -t tmpfs -o size=1m tmpfs "${cache}"; ${before}; "$@"; code=$?; ${after}; exit $code`;
  return ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"];
};
const canMount = await Bun.$`unshare --map-root-user --mount sh -c 'mount -t tmpfs tmpfs /tmp'`
  .quiet()
  .nothrow();

describe.skipIf(canMount.exitCode !== 0)("a disk of 1 MB", () => {
  beforeEach(() => mkdirSync(cache));

  test("too small from the start: an error before the download", async () => {
    hub.put("model.safetensors", pattern(2_000_000));
    const { stderr, code } = await run(["org/model"], {}, onSmallDisk("true"));
    expect(code).toBe(1);
    expect(stderr).toMatch(/2\.0 MB are to be written to .*, but its disk has only 1\.0 MB free; make room/);
    expect(hub.fetches("model.safetensors")).toEqual([]);
  });

  test("filled by others meanwhile: an error, no wrong blob, and the part is kept", async () => {
    const list = join(home, "list");
    hub.fault("/blob/", { drip: [20_000, 40] });
    const begun = `[ -n "$(find "${cache}" -name "*.incomplete" -size +8k 2>/dev/null)" ]`;
    const fill = `{ until ${begun}; do sleep 0.02; done; head -c 1m /dev/zero > "${cache}/filler" 2>/dev/null; } &`;
    const disk = onSmallDisk(`${fill} :`, `find "${cache}" -type f -printf '%f %s\\n' > "${list}"`);
    const { stderr, stdout, code } = await run(["org/model"], {}, disk);
    expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
    expect(stderr).toMatch(/cannot write .*: the disk is full; free some space and run the command again/);
    expect(readFileSync(list, "utf8")).toMatch(
      new RegExp(`^${hub.files.get("model.safetensors")!.etag}\\..*incomplete [1-9]`, "m"),
    );
    expect(readFileSync(list, "utf8")).not.toMatch(
      new RegExp(`^${hub.files.get("model.safetensors")!.etag} `, "m"),
    );
  });

  test("read-only: an error that says so; what is there already is found all the same", async () => {
    const freeze = `mount -o remount,ro "${cache}"`;
    const empty = await run(["org/model"], {}, onSmallDisk(freeze));
    expect(empty.code).toBe(1);
    expect(empty.stderr).toMatch(
      /cannot write .*: the disk is read-only; choose another place with --cache-dir or HF_HUB_CACHE/,
    );
    const ready = join(home, "ready");
    await fetchAll(hub, ready);
    const full = await run(["org/model"], {}, onSmallDisk(`cp -a "${ready}/." "${cache}" && ${freeze}`));
    expect(full).toMatchObject({ stdout: `${snapshot()}\n`, code: 0 });
  });
});
