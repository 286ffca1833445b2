import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { COMMIT, FakeHub } from "../../testing/hub/fake-hub.ts";
import { fetchAll, pattern, scratch, tree, wrongBlobs } from "../../testing/hub/setup.ts";
import { cachedSnapshot, placePointer, requireSnapshot } from "./cache.ts";
import { offlineDownload } from "./offline.ts";
import { Partials } from "./partial.ts";

const weights = pattern(50_000);
let hub: FakeHub;
let home: string;
let cache: string;
let clean: () => void;
beforeEach(async () => {
  ({ path: home, clean } = scratch());
  cache = join(home, "cache");
  hub = await FakeHub.start({
    "config.json": "{}\n",
    "1_Pooling/config.json": "{}\n",
    "empty.txt": "",
    "model.safetensors": weights,
  });
});
afterEach(() => {
  hub.stop();
  clean();
});

const repo = { type: "model", name: "org/model" } as const;
const offline = (localDir?: string, include?: string[]) =>
  offlineDownload({
    repo,
    environment: { endpoint: hub.endpoint, cacheDir: cache, token: undefined, offline: true },
    localDir,
    include,
  });
const fetched = () =>
  hub.seen.filter(({ path }) => path.includes("/resolve/")).map(({ path }) => path.split(`${COMMIT}/`)[1]);

describe("the cache", () => {
  test("is laid out as huggingface_hub lays it out; equal files are fetched once", async () => {
    const { folder } = await fetchAll(hub, cache);
    const blob = (path: string) => hub.files.get(path)!.etag;
    const snapshot = `models--org--model/snapshots/${COMMIT}`;
    expect(tree(cache)).toEqual(
      [
        "CACHEDIR.TAG (110)",
        `models--org--model/blobs/${blob("config.json")} (3)`,
        `models--org--model/blobs/${blob("empty.txt")} (0)`,
        `models--org--model/blobs/${blob("model.safetensors")} (50000)`,
        "models--org--model/refs/main (40)",
        `${snapshot}/1_Pooling/config.json -> ../../../blobs/${blob("config.json")}`,
        `${snapshot}/config.json -> ../../blobs/${blob("config.json")}`,
        `${snapshot}/empty.txt -> ../../blobs/${blob("empty.txt")}`,
        `${snapshot}/model.safetensors -> ../../blobs/${blob("model.safetensors")}`,
      ].sort(),
    );
    expect(folder).toBe(join(cache, snapshot));
    expect(readFileSync(join(cache, "models--org--model/refs/main"), "utf8")).toBe(COMMIT);
    expect(blob("config.json")).toBe("0967ef424bce6791893e9a57bb952f80fd536e93"); // git hash-object
    expect(fetched()).toHaveLength(2); // {} once, and nothing for an empty file
  });

  test("a second download fetches nothing; --force fetches all", async () => {
    await fetchAll(hub, cache);
    hub.seen.length = 0;
    const { plan } = await fetchAll(hub, cache);
    expect(plan.missing).toEqual([]);
    expect(fetched()).toEqual([]);
    await fetchAll(hub, cache, { force: true });
    expect(fetched().length).toBe(2);
    expect(wrongBlobs(cache)).toEqual([]);
  });

  test("a new commit fetches what changed, keeps the old snapshot, and moves the ref", async () => {
    const { folder } = await fetchAll(hub, cache);
    hub.seen.length = 0;
    hub.commit = "f".repeat(40);
    hub.put("config.json", "{ }\n");
    const second = await fetchAll(hub, cache);
    expect(hub.seen.filter(({ path }) => path.includes("/resolve/"))).toHaveLength(1);
    expect(readFileSync(join(folder, "config.json"), "utf8")).toBe("{}\n");
    expect(readFileSync(join(second.folder, "config.json"), "utf8")).toBe("{ }\n");
    expect(cachedSnapshot("org/model", { cacheDir: cache })).toBe(second.folder);
    expect(cachedSnapshot("org/model", { cacheDir: cache, revision: COMMIT })).toBe(folder);
  });

  test("a commit as revision asks for no name and leaves no ref; refs/pr/1 is a ref in folders", async () => {
    await fetchAll(hub, cache, { revision: COMMIT });
    expect(hub.seen.some(({ path }) => path.includes("/revision/"))).toBe(false);
    expect(tree(cache).filter((path) => path.includes("refs"))).toEqual([]);
    await fetchAll(hub, cache, { revision: "refs/pr/1" });
    expect(tree(cache)).toContain("models--org--model/refs/refs/pr/1 (40)");
    expect(cachedSnapshot("org/model", { cacheDir: cache, revision: "refs/pr/1" })).toBeDefined();
  });

  test("data sets have their own folders and addresses", async () => {
    const { folder } = await fetchAll(hub, cache, { repo: { type: "dataset", name: "org/model" } });
    expect(folder).toContain("datasets--org--model");
    expect(
      hub.seen.every(({ path, server }) => server === "storage" || path.includes("/datasets/org/model")),
    ).toBe(true);
    expect(cachedSnapshot("org/model", { cacheDir: cache })).toBeUndefined();
    expect(cachedSnapshot("org/model", { cacheDir: cache, type: "dataset" })).toBe(folder);
  });

  test("a cut blob, a lost blob and a wrong link are repaired", async () => {
    const { folder } = await fetchAll(hub, cache);
    const blobs = join(cache, "models--org--model/blobs");
    writeFileSync(join(blobs, hub.files.get("model.safetensors")!.etag), "cut");
    rmSync(join(blobs, hub.files.get("config.json")!.etag));
    rmSync(join(folder, "empty.txt"));
    symlinkSync("../../blobs/nothing", join(folder, "empty.txt"));
    await fetchAll(hub, cache);
    expect(new Uint8Array(readFileSync(join(folder, "model.safetensors")))).toEqual(weights);
    expect(readFileSync(join(folder, "1_Pooling/config.json"), "utf8")).toBe("{}\n");
    expect(readlinkSync(join(folder, "empty.txt"))).toBe(`../../blobs/${hub.files.get("empty.txt")!.etag}`);
    expect(wrongBlobs(cache)).toEqual([]);
  });

  test("where symlinks fail, the bytes are there all the same and count as downloaded", async () => {
    const { folder } = await fetchAll(hub, cache);
    const pointer = join(folder, "model.safetensors");
    const blob = join(cache, "models--org--model/blobs", hub.files.get("model.safetensors")!.etag);
    rmSync(pointer);
    await placePointer(blob, pointer, () =>
      Promise.reject(Object.assign(new Error("no"), { code: "EPERM" })),
    );
    rmSync(blob); // as Python leaves it on such a disk
    expect(tree(folder)).toContain("model.safetensors (50000)");
    expect(new Uint8Array(readFileSync(pointer))).toEqual(weights);
    expect((await fetchAll(hub, cache)).plan.missing).toEqual([]);
    await fetchAll(hub, cache, { force: true });
    expect(tree(folder)).toContain(
      `model.safetensors -> ../../blobs/${hub.files.get("model.safetensors")!.etag}`,
    );
  });

  test("a link that is right stays", async () => {
    const { folder } = await fetchAll(hub, cache);
    const pointer = join(folder, "model.safetensors");
    const before = lstatSync(pointer).ino;
    await placePointer(join(folder, readlinkSync(pointer)), pointer);
    expect(lstatSync(pointer).ino).toBe(before);
  });

  test("two downloads in one process keep to files of their own", async () => {
    hub.fault("/blob/", { drip: [10_000, 5] }, { drip: [9_000, 5] });
    await Promise.all([fetchAll(hub, cache), fetchAll(hub, cache)]);
    expect(hub.fetches("model.safetensors").map(({ headers }) => headers.range)).toEqual([
      undefined,
      undefined,
    ]);
    expect(wrongBlobs(cache)).toEqual([]);
  });

  test("the first failure stops the other files", async () => {
    for (let i = 0; i < 20; i++) hub.put(`${i}.txt`, String(i));
    hub.fault(`${COMMIT}/config.json`, { status: 404, headers: { "X-Error-Code": "EntryNotFound" } });
    await expect(fetchAll(hub, cache, { maxWorkers: 2 })).rejects.toThrow(/no file .*config\.json/);
    await Bun.sleep(30); // the other worker's request may be on its way
    const requests = fetched().length;
    expect(requests).toBeLessThan(10);
    await Bun.sleep(30);
    expect(fetched()).toHaveLength(requests);
  });

  test("a listing in pages is read to its end", async () => {
    hub.pageSize = 1;
    expect((await fetchAll(hub, cache)).plan.chosen).toHaveLength(4);
  });

  test.each<[string, (url: URL) => string]>([
    ["a path", (url) => `<${url.pathname}${url.search}>; rel="next"`],
    ["a query", (url) => `<${url.search}>; rel="next"`],
    ["a word without quotes", (url) => `<${url.pathname}${url.search}>;rel=next`],
    [
      "one link of several",
      (url) => `</first>; rel="first", <${url.pathname}${url.search}>; title="x"; rel="last next"`,
    ],
  ])("a page may name the next one as %s", async (_, nextLink) => {
    hub.pageSize = 1;
    hub.nextLink = nextLink;
    expect((await fetchAll(hub, cache)).plan.chosen).toHaveLength(4);
  });

  test("a next page that cannot be found is an error, not the end", async () => {
    hub.pageSize = 1;
    hub.nextLink = () => 'next="2"';
    await expect(fetchAll(hub, cache)).rejects.toThrow(
      "names the next page of a listing in a way that cannot be read",
    );
  });

  test("wrong bytes of the right size are found, and fetched anew", async () => {
    await fetchAll(hub, cache);
    const [blob] = [...new Bun.Glob("*/blobs/*").scanSync({ cwd: cache, absolute: true })].filter(
      (path) => statSync(path).size > 0,
    );
    writeFileSync(blob!, new Uint8Array(statSync(blob!).size));
    const { plan } = await fetchAll(hub, cache);
    expect(plan.missing).toHaveLength(1);
    expect(wrongBlobs(cache)).toEqual([]);
  });

  test("what others left is looked for once, however many files there are", async () => {
    const blobs = join(cache, "blobs");
    mkdirSync(blobs, { recursive: true });
    const left = join(blobs, "aa.incomplete");
    writeFileSync(left, "12345");
    utimesSync(left, 0, 0);
    const partials = await Partials.in(blobs);
    rmSync(blobs, { recursive: true }); // nobody looks there again
    expect([partials.have("aa", 5), partials.have("aa", 4), partials.have("bb", 5)]).toEqual([5, 0, 0]);
  });
});

describe("what an earlier run left", () => {
  const part = (name: string, bytes: Uint8Array) => {
    const folder = join(cache, "models--org--model/blobs");
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${hub.files.get("model.safetensors")!.etag}.${name}incomplete`);
    writeFileSync(path, bytes);
    return path;
  };
  const old = (path: string) => utimesSync(path, new Date(0), new Date(0));
  const range = () => hub.fetches("model.safetensors").map(({ headers }) => headers.range);

  test("is gone on with when nobody can be writing to it, the longest first, and swept away", async () => {
    old(part("0badcafe.", weights.subarray(0, 20_000)));
    old(part("", weights.subarray(0, 10_000)));
    old(part("deadbeef-1-00000000.", pattern(60_000))); // longer than the file: of no use
    await fetchAll(hub, cache);
    expect(range()).toEqual(["bytes=20000-"]);
    expect(wrongBlobs(cache)).toEqual([]);
    expect(tree(cache).filter((path) => path.includes("incomplete"))).toEqual([]);
  });

  test("is left alone while another machine may be writing to it", async () => {
    const path = part("deadbeef-1-00000000.", weights.subarray(0, 20_000));
    await fetchAll(hub, cache);
    expect(range()).toEqual([undefined]);
    expect(existsSync(path)).toBe(true);
  });

  test("wrong bytes in it are found, and fetched anew", async () => {
    old(part("0badcafe.", pattern(20_000, 9)));
    await fetchAll(hub, cache);
    expect(range()).toEqual(["bytes=20000-", undefined]);
    expect(wrongBlobs(cache)).toEqual([]);
  });

  test("all bytes but no name yet: nothing is fetched", async () => {
    old(part("0badcafe.", weights));
    await fetchAll(hub, cache);
    expect(range()).toEqual([]);
    expect(wrongBlobs(cache)).toEqual([]);
  });
});

describe("files from strangers", () => {
  const listed = (path: string, changes: object = {}) => ({
    type: "file",
    oid: "a".repeat(40),
    size: 3,
    path,
    ...changes,
  });

  test.each([
    "../up",
    "a/../../up",
    "/etc/passwd",
    "a//b",
    "a/./b",
    "",
    ".",
    "C:evil",
    "a\\..\\b",
    "a\u0000b",
    "a\u001b[2Jb",
    ".git/config",
  ])("a file named %j is refused before anything is written", async (path) => {
    hub.tree = [listed("fine.txt"), listed(path)];
    await expect(fetchAll(hub, cache, { include: ["*"] })).rejects.toThrow(
      /is not safe to write; nothing was downloaded/,
    );
    expect(existsSync(cache)).toBe(false);
  });

  test.each([
    ["no hash", [listed("a", { oid: undefined })]],
    ["a hash that is a path", [listed("a", { oid: "../../../../../../../../../etc/passwd-1234" })]],
    ["a negative size", [listed("a", { size: -1 })]],
    ["a size that is no number", [listed("a", { size: "3" })]],
    ["the same name twice", [listed("a"), listed("a")]],
    ["a name that is a folder too", [listed("a/b"), listed("a")]],
    ["null", [null]],
  ])("a listing with %s is refused", async (_, entries) => {
    hub.tree = entries;
    await expect(fetchAll(hub, cache)).rejects.toThrow(/does not answer like a Hugging Face hub/);
  });

  test("a size that no disk has room for is an error before the download", async () => {
    hub.tree = [listed("big.bin", { size: 2 ** 52 })];
    await expect(fetchAll(hub, cache)).rejects.toThrow(/^4504 TB are to be written to .* only .* free/);
    expect(fetched()).toEqual([]);
  });

  test("a selection of nothing is an error", async () => {
    await expect(fetchAll(hub, cache, { include: ["*.gguf"] })).rejects.toThrow(
      /none of the 4 files of org\/model is chosen/,
    );
  });
});

describe("--local-dir", () => {
  const local = () => join(home, "local");

  test("gets plain files, with notes as huggingface_hub writes them", async () => {
    const { folder } = await fetchAll(hub, cache, { localDir: local() });
    expect(folder).toBe(local());
    const notes = ".cache/huggingface/download";
    expect(tree(local()).map((line) => line.replace(/metadata \(\d+\)/, "metadata"))).toEqual(
      [
        ".cache/huggingface/.gitignore (1)",
        ".cache/huggingface/CACHEDIR.TAG (110)",
        `${notes}/1_Pooling/config.json.metadata`,
        `${notes}/config.json.metadata`,
        `${notes}/empty.txt.metadata`,
        `${notes}/model.safetensors.metadata`,
        "1_Pooling/config.json (3)",
        "config.json (3)",
        "empty.txt (0)",
        "model.safetensors (50000)",
      ].sort(),
    );
    const note = readFileSync(join(local(), notes, "config.json.metadata"), "utf8").split("\n");
    expect(note.slice(0, 2)).toEqual([COMMIT, hub.files.get("config.json")!.etag]);
    expect(Number(note[2])).toBeWithin(Date.now() / 1000 - 60, Date.now() / 1000 + 1);
    expect(existsSync(cache)).toBe(false);
  });

  test("fetches only what is missing or was changed", async () => {
    await fetchAll(hub, cache, { localDir: local() });
    hub.seen.length = 0;
    writeFileSync(join(local(), "config.json"), "[]\n");
    const later = new Date(Date.now() + 5000);
    utimesSync(join(local(), "config.json"), later, later);
    utimesSync(join(local(), "model.safetensors"), later, later); // touched, but right: hashed
    await fetchAll(hub, cache, { localDir: local() });
    expect(fetched()).toEqual(["config.json"]);
    expect(readFileSync(join(local(), "config.json"), "utf8")).toBe("{}\n");
  });

  test("copies what the cache has", async () => {
    await fetchAll(hub, cache);
    hub.seen.length = 0;
    await fetchAll(hub, cache, { localDir: local() });
    expect(fetched()).toEqual([]);
    expect(new Uint8Array(readFileSync(join(local(), "model.safetensors")))).toEqual(weights);
  });

  test("does not take a repository's own .cache for its notes", async () => {
    hub.put(".cache/huggingface/download/other.metadata", "forged");
    await fetchAll(hub, cache, { localDir: local(), include: ["*"] });
    expect(existsSync(join(local(), ".cache/huggingface/download/other.metadata"))).toBe(false);
  });
});

describe("without the network", () => {
  test("the snapshot is found, or the error says how to download", async () => {
    expect(() => requireSnapshot("org/model", { cacheDir: cache, type: "dataset", revision: "v1" })).toThrow(
      `org/model is not in the cache ${cache}; download it first: uffb download org/model --dataset --revision v1 --cache-dir ${cache}`,
    );
    const { folder } = await fetchAll(hub, cache);
    expect(requireSnapshot("org/model", { cacheDir: cache })).toBe(folder);
    expect(offline()).toBe(folder);
  });

  test("a damaged or a partial snapshot is an error", async () => {
    await fetchAll(hub, cache);
    expect(() => offline(undefined, ["*.onnx"])).toThrow(/holds no file that is asked for/);
    rmSync(join(cache, "models--org--model/blobs", hub.files.get("model.safetensors")!.etag));
    expect(() => offline()).toThrow(/model\.safetensors has lost its bytes; run again without --offline/);
    expect(() => offline(join(home, "nowhere"))).toThrow(/nowhere is not there/);
  });

  test("a ref that holds no commit finds nothing", () => {
    mkdirSync(join(cache, "models--org--model/refs"), { recursive: true });
    writeFileSync(join(cache, "models--org--model/refs/main"), "../../../../etc");
    expect(cachedSnapshot("org/model", { cacheDir: cache })).toBeUndefined();
  });
});
