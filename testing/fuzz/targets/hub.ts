/** What a hub answers, and what of it lies on the disk. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UffbError } from "../../../lib/base/errors.ts";
import { isObject, readObject } from "../../../lib/base/json.ts";
import { cachedSnapshot } from "../../../lib/hub/cache.ts";
import { HubClient } from "../../../lib/hub/client.ts";
import { hubEnvironment } from "../../../lib/hub/environment.ts";
import { fetchBlob } from "../../../lib/hub/fetch.ts";
import { listRepo, resolveCommit } from "../../../lib/hub/listing.ts";
import { RETRY } from "../../../lib/hub/retry.ts";
import { selectFiles } from "../../../lib/hub/select.ts";
import { decode, encode, ownFolder, type Target } from "./common.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const entry = (path: string, size = 7) => ({ type: "file", path, size, oid: COMMIT });
const lfs = (path: string) => ({
  ...entry(path),
  lfs: { oid: COMMIT.slice(0, 32).repeat(2), size: 1e6, pointerSize: 130 },
});

const SETTINGS = {
  endpoint: "http://hub.invalid",
  token: "hf_secret",
  repo: { type: "model", name: "org/model" },
  policy: { ...RETRY, tries: 2, sleep: async () => {} },
  signal: undefined,
  onWait: () => {},
} as const;

/** A client whose every answer is these bytes. */
class Canned extends HubClient {
  constructor(readonly answer: Uint8Array) {
    super(SETTINGS);
  }

  override readonly api = async () =>
    new Response(new Uint8Array(this.answer), { headers: { "Content-Type": "application/json" } });
}

/** What the network answers to everything, as one object: a status, headers and a body. */
function answerOf({ status, headers, body }: Record<string, unknown>): () => Promise<Response> {
  const given = isObject(headers)
    ? Object.entries(headers).map(([name, value]) => [name, String(value)])
    : [];
  try {
    const make = () =>
      new Response(String(body), { status: Number(status), headers: given as [string, string][] });
    make();
    return async () => make();
  } catch {
    throw new UffbError("no network has such an answer");
  }
}

/** Of the file that `answer` asks for: the three bytes "abc". */
const BLOB = {
  url: "http://hub.invalid/org/model/resolve/main/a.txt",
  name: "a.txt",
  size: 3,
  digest: { algorithm: "git-sha1", hex: "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f" },
} as const;

export const HUB: Readonly<Record<string, Target>> = {
  listing: {
    seeds: async () =>
      [
        [
          entry("config.json"),
          lfs("model.safetensors"),
          lfs("pytorch_model.bin"),
          { type: "directory", path: "onnx" },
        ],
        [entry("a/b/c.txt"), entry("a/b/d e.txt", 0), lfs("a/openvino_model.bin")],
        Array.from({ length: 200 }, (_, i) => entry(`part-${i}.json`)),
      ].map((value) => encode(JSON.stringify(value))),
    async read(bytes) {
      const found = await listRepo(new Canned(bytes), COMMIT).catch((error) => {
        throw error instanceof UffbError ? error : new Error(`listRepo: ${error}`, { cause: error });
      });
      selectFiles(found, "model", [], []);
      selectFiles(found, "model", ["*.json", "a/*"], ["[!a-z]*"]);
    },
  },
  // Bytes are an answer.
  answer: {
    seeds: async () =>
      [
        { status: 200, headers: { etag: '"abc"', "content-length": "3" }, body: "abc" },
        { status: 206, headers: { "content-range": "bytes 0-2/3", etag: 'W/"x"' }, body: "abc" },
        {
          status: 200,
          headers: { link: '</api/models/org/model/tree?cursor=2>; rel="last"' },
          body: JSON.stringify([entry("a.txt"), entry("b.txt")]),
        },
        {
          status: 200,
          headers: { location: "/elsewhere", "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" },
          body: "abc",
        },
        { status: 200, headers: {}, body: JSON.stringify({ _id: "1", id: "org/model", sha: COMMIT }) },
      ].map((value) => encode(JSON.stringify(value))),
    async read(bytes) {
      const answer = answerOf(readObject(decode(bytes), "case"));
      const network = globalThis.fetch;
      globalThis.fetch = answer as unknown as typeof fetch;
      const partial = join(ownFolder(), "partial");
      const failures: UffbError[] = [];
      // No answer is one to all three.
      for (const ask of [
        (client: HubClient) => resolveCommit(client, "main"),
        (client: HubClient) => listRepo(client, COMMIT),
        (client: HubClient) => fetchBlob(client, { ...BLOB, partial }, () => {}),
      ]) {
        try {
          await ask(new HubClient(SETTINGS));
        } catch (error) {
          if (!(error instanceof UffbError)) throw error;
          if (error.message.includes(SETTINGS.token)) throw new Error("a message holds the token");
          failures.push(error);
        } finally {
          rmSync(partial, { force: true });
        }
      }
      globalThis.fetch = network;
      if (failures.length === 3) throw failures[0];
    },
  },
  // Bytes are a token, and what the cache knows of a branch.
  cache: {
    seeds: async () => [COMMIT, `${COMMIT}\n`, "hf_abcdefgh"].map(encode),
    read(bytes) {
      const folder = join(ownFolder(), "cache");
      const own = join(folder, "models--org--model");
      for (const name of ["refs", `snapshots/${COMMIT}`]) mkdirSync(join(own, name), { recursive: true });
      for (const path of [join(folder, "token"), join(own, "refs", "main")]) writeFileSync(path, bytes);
      cachedSnapshot("org/model", { cacheDir: folder });
      hubEnvironment({}, { HOME: folder, HF_TOKEN_PATH: join(folder, "token") });
    },
  },
};
