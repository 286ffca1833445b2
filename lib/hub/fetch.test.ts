import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { COMMIT, FakeHub, type Fault } from "../../testing/hub/fake-hub.ts";
import { fetchAll, impatient, pattern, scratch, tree, wrongBlobs } from "../../testing/hub/setup.ts";
import { UffbError } from "../base/errors.ts";

const SIZE = 300_000;
const bytes = pattern(SIZE);
const MODEL = "model.safetensors";

let hub: FakeHub;
let cache: string;
let clean: () => void;
beforeEach(async () => {
  ({ path: cache, clean } = scratch());
  hub = await FakeHub.start({ "config.json": "{}\n", [MODEL]: bytes });
});
afterEach(() => {
  hub.stop();
  clean();
});

/** Makes the storage host, which has the bytes of LFS files, misbehave. */
const storageFaults = (...faults: Fault[]) => hub.fault("/blob/", ...faults);
const ranges = () => hub.fetches(MODEL).map(({ headers }) => headers.range);
const stored = (folder: string) => new Uint8Array(readFileSync(join(folder, MODEL)));

/** The error of a download that must fail; nothing of it may be visible under a final name. */
async function failure(changes: Parameters<typeof fetchAll>[2] = {}): Promise<string> {
  const error = await fetchAll(hub, cache, changes).then(
    () => expect.unreachable("the download should have failed"),
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(UffbError);
  expect(error.message).not.toContain("\n");
  expect(error.message).not.toContain("SIGNATURE");
  expect(tree(cache).filter((path) => path.includes("snapshots") || path.includes("refs"))).toEqual([]);
  expect(wrongBlobs(cache)).toEqual([]);
  return error.message;
}

test("200: the bytes arrive whole, with one request to each host", async () => {
  const { folder, waits } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(ranges()).toEqual([undefined]);
  expect(waits).toEqual([]);
});

test("a dropped connection goes on where it stopped (206)", async () => {
  storageFaults({ dropAfter: 100_000 }, { dropAfter: 50_000 });
  const { folder, waits } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(ranges()).toEqual([undefined, "bytes=100000-", "bytes=150000-"]);
  expect(waits).toHaveLength(2);
});

test("connections dropped before any answer are tried again", async () => {
  storageFaults({ drop: true }, { drop: true });
  hub.fault("/revision/", { drop: true });
  hub.fault("/tree/", { drop: true });
  const { folder, waits } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(waits).toHaveLength(4);
});

test("a server that ignores the range (200) makes it start over", async () => {
  storageFaults({ dropAfter: 100_000 }, { ignoreRange: true });
  const { folder, events } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(ranges()).toEqual([undefined, "bytes=100000-"]);
  const positions = events.flatMap((event) =>
    event.kind === "bytes" && event.file.path === MODEL ? event.bytes : [],
  );
  expect(positions.lastIndexOf(0)).toBeGreaterThan(positions.indexOf(100_000));
});

test("a part that begins elsewhere (206) is not believed", async () => {
  storageFaults({ dropAfter: 100_000 }, { shiftRange: 7 });
  const { folder } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(ranges()).toEqual([undefined, "bytes=100000-", undefined]);
});

test("416 makes it start over", async () => {
  storageFaults({ dropAfter: 100_000 }, { status: 416 });
  const { folder } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(ranges()).toEqual([undefined, "bytes=100000-", undefined]);
});

test("an ETag that changes between tries makes it start over", async () => {
  storageFaults({ dropAfter: 100_000 }, { etag: "another" });
  const { folder } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(ranges().slice(1)).toEqual(["bytes=100000-", undefined]);
});

test("a hub whose ETag is no longer that of the listing is an error", async () => {
  const other = "f".repeat(64);
  hub.fault(`resolve/${COMMIT}/${MODEL}`, ...Array.from({ length: 9 }, () => ({ etag: other })));
  expect(await failure()).toMatch(/other bytes for model\.safetensors than before; gave up after 5 tries/);
  expect(hub.faults.get(`resolve/${COMMIT}/${MODEL}`)).toHaveLength(4);
});

test("corrupt bytes are fetched anew, once", async () => {
  storageFaults({ corrupt: true });
  const { folder } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(ranges()).toEqual([undefined, undefined]);
});

test("bytes that stay corrupt are an error that names both hashes", async () => {
  storageFaults({ corrupt: true }, { corrupt: true });
  expect(await failure()).toMatch(
    /wrong bytes for model\.safetensors: sha256 [0-9a-f]{64}, not [0-9a-f]{64}/,
  );
  expect(ranges()).toHaveLength(2);
});

test("git files are checked against git's blob id", async () => {
  hub.fault("config.json", { corrupt: true }, { corrupt: true });
  expect(await failure()).toMatch(/wrong bytes for config\.json: git-sha1/);
});

test.each([
  ["too few announced", { length: SIZE - 1 }, /announces 299999 bytes .* not 300000/],
  ["too many announced", { length: SIZE + 5 }, /announces 300005 bytes/],
  ["too many sent", { extra: "more", length: "none" }, /sends more than the 300000 bytes/],
  ["the end too early", { dropAfter: 0, length: "none" }, /ends model.safetensors after 0 of 300000 bytes/],
] as [string, Fault, RegExp][])("wrong length, %s: tried again, then an error", async (_, fault, message) => {
  storageFaults(fault);
  expect(stored((await fetchAll(hub, cache, { force: true })).folder)).toEqual(bytes);
  clean();
  storageFaults(...Array.from({ length: 5 }, () => fault));
  expect(await failure()).toMatch(message);
});

test.each([
  [
    401,
    {},
    /has no model org\/model, or it is private \(401\); check the name, set HF_TOKEN or pass --token/,
  ],
  [
    403,
    { "X-Error-Code": "GatedRepo" },
    /is gated \(403\); accept its conditions on http.*org\/model, then set HF_TOKEN/,
  ],
  [404, { "X-Error-Code": "RepoNotFound" }, /has no model org\/model \(404\)/],
  [418, {}, /answers 418/],
])("%i is an error at once", async (status, headers, message) => {
  const fault = { status, headers, body: '{"error":"secret words"}' };
  hub.fault("/revision/", fault, fault);
  const said = await failure();
  expect(said).toMatch(message);
  expect(said).not.toContain("secret");
  expect(hub.seen).toHaveLength(1);
});

test("404 for one file, and for a revision", async () => {
  hub.fault(`${COMMIT}/config.json`, { status: 404, headers: { "X-Error-Code": "EntryNotFound" } });
  expect(await failure()).toMatch(/no file config\.json any more \(404\)/);
  expect(await failure({ revision: "nowhere" })).toMatch(/no such revision \(404\)/);
});

test("403 from the storage host is an address that ran out: the next try asks the hub again", async () => {
  storageFaults({ dropAfter: 1000 }, { status: 403 });
  const { folder } = await fetchAll(hub, cache);
  expect(stored(folder)).toEqual(bytes);
  expect(hub.seen.filter(({ path }) => path.endsWith(`resolve/${COMMIT}/${MODEL}`))).toHaveLength(3);
});

test("429 waits as long as Retry-After says, seconds or date", async () => {
  storageFaults({ status: 429, headers: { "Retry-After": "7" } });
  const date = new Date(Date.now() + 60_000).toUTCString();
  hub.fault("/tree/", { status: 429, headers: { "Retry-After": date } });
  const { waits } = await fetchAll(hub, cache);
  expect(waits).toHaveLength(2);
  expect(waits[1]).toBe(7000);
  expect(waits[0]).toBeWithin(50_000, 60_001);
});

test("429 that asks for too long a wait is an error that says how long", async () => {
  storageFaults({ status: 429, headers: { "Retry-After": "4000" } });
  expect(await failure()).toMatch(/too many requests \(429\); the server asks to come back in 4000 s/);
});

test("500 is tried again with growing waits, and given up in the end", async () => {
  storageFaults({ status: 500 }, { status: 503 });
  const { waits } = await fetchAll(hub, cache);
  expect(waits[0]).toBeWithin(500, 1001);
  expect(waits[1]).toBeWithin(1000, 2001);
  clean();
  storageFaults(...Array.from({ length: 9 }, () => ({ status: 500 })));
  expect(await failure()).toMatch(
    /answers with error 500; gave up after 5 tries, run the command again to go on/,
  );
  expect(hub.faults.get("/blob/")).toHaveLength(4);
});

test("tries that bring a lot are not counted, tries that only bring it again are", async () => {
  const retry = impatient([], { tries: 2, progressBytes: 50_000 });
  storageFaults(...Array.from({ length: 5 }, () => ({ dropAfter: 50_000 })));
  expect(stored((await fetchAll(hub, cache, { retry })).folder)).toEqual(bytes);
  clean();
  hub.fault("/blob/", ...Array.from({ length: 9 }, () => ({ ignoreRange: true, dropAfter: 60_000 })));
  expect(await failure({ retry })).toMatch(/gave up/);
});

test.each([
  ["never answers", { hang: true }],
  ["drips", { drip: [1, 5] as [number, number] }],
])("a server that %s counts as stalled", async (_, fault) => {
  const retry = impatient([], { stallMs: 150, stallBytes: 1024, tries: 2 });
  storageFaults(fault);
  expect(stored((await fetchAll(hub, cache, { retry })).folder)).toEqual(bytes);
  clean();
  storageFaults(fault, fault);
  expect(await failure({ retry })).toMatch(
    /the connection stalled \(\d+ bytes in 0\.15 s\); gave up after 2 tries/,
  );
});

test("a listing that never comes counts as stalled", async () => {
  hub.fault("/tree/", { hang: true }, { hang: true });
  const retry = impatient([], { stallMs: 40, tries: 2 });
  expect(await failure({ retry })).toMatch(/the connection stalled/);
});

test("nobody listens: the error names the host", async () => {
  hub.stop();
  expect(await failure()).toMatch(
    /the connection to 127\.0\.0\.1:\d+ failed \(ConnectionRefused|ECONNREFUSED\)/,
  );
});

test("the token goes to the hub with every request and never to another host", async () => {
  hub.token = "hf_secretsecretsecret";
  storageFaults({ dropAfter: 1000 });
  await fetchAll(hub, cache, { token: hub.token });
  const bearers = new Set(hub.seen.map(({ server, headers }) => `${server} ${headers.authorization}`));
  expect([...bearers].sort()).toEqual(["hub Bearer hf_secretsecretsecret", "storage undefined"]);
});

test("a token that the hub refuses is not shown", async () => {
  hub.token = "hf_right";
  const said = await failure({ token: "hf_wrongwrongwrong" });
  expect(said).toMatch(/\(401\); check the name, the token gives no access to it/);
  expect(said).not.toContain("hf_wrong");
});

test("redirects in circles, and to what is no web address, are errors", async () => {
  const circle = { Location: `/org/model/resolve/${COMMIT}/${MODEL}` };
  hub.fault(`${COMMIT}/${MODEL}`, ...Array.from({ length: 20 }, () => ({ status: 302, headers: circle })));
  expect(await failure()).toMatch(/redirects in circles/);
  hub.fault(`${COMMIT}/${MODEL}`, { status: 302, headers: { Location: "file:///etc/passwd" } });
  expect(await failure()).toMatch(/redirects to an address that is not safe/);
});

test("a page that is no hub's answer, and a listing without end, are errors", async () => {
  hub.fault("/revision/", { status: 200, body: "<html>Please log in</html>" });
  expect(await failure()).toMatch(/does not answer like a Hugging Face hub about org\/model/);
  hub.fault("/tree/", { status: 200, body: '{"not":"a list"}' });
  expect(await failure()).toMatch(/does not answer like a Hugging Face hub/);
  const next = { Link: `<${hub.endpoint}/api/models/org/model/tree/${COMMIT}?again=1>; rel="next"` };
  hub.fault("/tree/", ...Array.from({ length: 1001 }, () => ({ status: 200, headers: next, body: "[]" })));
  expect(await failure()).toMatch(/without end/);
});

test("Ctrl-C's signal ends it and keeps what arrived for the next run", async () => {
  const stop = new AbortController();
  storageFaults({ drip: [50_000, 5] });
  const running = fetchAll(hub, cache, {
    signal: stop.signal,
    onEvent: (event) => {
      if (event.kind === "bytes" && event.bytes >= 100_000) stop.abort(new Error("interrupted"));
    },
  });
  await expect(running).rejects.toThrow("interrupted");
  const { etag } = hub.files.get(MODEL)!;
  const parts = tree(cache).filter((path) => path.includes(`${etag}.`));
  expect(parts).toHaveLength(1);
  expect(existsSync(join(cache, "models--org--model", "snapshots"))).toBe(false);
});
