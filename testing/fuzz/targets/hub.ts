/** What a hub answers. */
import { UffbError } from "../../../lib/base/errors.ts";
import { HubClient } from "../../../lib/hub/client.ts";
import { listRepo } from "../../../lib/hub/listing.ts";
import { RETRY } from "../../../lib/hub/retry.ts";
import { selectFiles } from "../../../lib/hub/select.ts";
import { encode, type Target } from "./common.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const entry = (path: string, size = 7) => ({ type: "file", path, size, oid: COMMIT });
const lfs = (path: string) => ({
  ...entry(path),
  lfs: { oid: COMMIT.slice(0, 32).repeat(2), size: 1e6, pointerSize: 130 },
});

/** A client whose every answer is these bytes. */
class Canned extends HubClient {
  constructor(readonly answer: Uint8Array) {
    super({
      endpoint: "http://hub.invalid",
      token: undefined,
      repo: { type: "model", name: "org/model" },
      policy: RETRY,
      signal: undefined,
      onWait: () => {},
    });
  }

  override readonly api = async () =>
    new Response(new Uint8Array(this.answer), { headers: { "Content-Type": "application/json" } });
}

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
};
