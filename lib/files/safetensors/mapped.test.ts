import { describe, expect, test } from "bun:test";
import {
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { NativeContext } from "../../../ffi/context.ts";
import { ChangedError } from "../../../ffi/status.ts";
import { pack, REFERENCE, TemporaryFolder } from "../../../testing/folders.ts";
import { convertModel } from "../../convert/convert.ts";
import { openModel } from "../../model/model.ts";
import { infer } from "../../run/infer.ts";
import { openCheckpoint } from "../checkpoint.ts";
import { mapFile, unchanged } from "./mapped.ts";

const CHANGED = /packed: was changed while it was in use; run again, and put a new file in its place/;

/** What others do to a file in use: whether its bytes under a mapping are others then. */
const CHANGES: [string, boolean, (path: string, other: string) => void][] = [
  ["cut short", true, (path) => truncateSync(path, 4096)],
  ["emptied", true, (path) => truncateSync(path, 0)],
  ["overwritten in place", true, (path, other) => copyFileSync(other, path)],
  ["written to", true, (path) => writeFileSync(path, Buffer.alloc(100, 0x7f), { flag: "r+" })],
  ["lengthened", true, (path) => truncateSync(path, 10_000_000)],
  ["replaced by another of its name", false, (path, other) => renameSync(other, path)],
  ["removed", false, (path) => rmSync(path)],
];

/** A packed model, some bytes of its size, and a moment ago as its time of change, as clocks of file systems are coarse. */
async function packed(folder: TemporaryFolder): Promise<[string, string]> {
  const [path, other] = [folder.file("packed"), folder.file("other")];
  await pack(`${REFERENCE}fff-1x5`, path);
  writeFileSync(other, Buffer.alloc(readFileSync(path).length, 0x7f));
  utimesSync(path, 1, 1);
  return [path, other];
}

describe.each(CHANGES)("a file that is %s", (_, changes, change) => {
  test("is told from one that is not", async () => {
    using folder = new TemporaryFolder();
    const [path, other] = await packed(folder);
    const check = unchanged([{ data: mapFile(path).subarray(8, 16) }, { data: new Uint8Array(8) }]);
    check();
    change(path, other);
    if (changes) expect(check).toThrow(CHANGED);
    else check();
  });

  test("ends the calls of a model that was opened before, and the stream", async () => {
    using folder = new TemporaryFolder();
    const [path, other] = await packed(folder);
    using model = await openModel(path);
    using context = new NativeContext(model.native, { threads: 2 });
    const batch = { offsets: BigInt64Array.of(0n, 2n), ids: Int32Array.of(3, 5) };
    await context.encode(batch);
    const before = await context.mlmTopK([0], 3);
    async function* items() {
      yield { line: 1, text: "", ids: batch.ids };
      change(path, other);
      yield { line: 2, text: "", ids: batch.ids };
    }
    const stream = Array.fromAsync(infer(model, items(), { embed: true, batchTokens: 1, threads: 1 }));
    if (changes) {
      await expect(stream).rejects.toThrow(ChangedError);
      await expect(context.encode(batch)).rejects.toThrow(CHANGED);
    } else {
      expect(await stream).toHaveLength(2);
      await context.encode(batch);
      expect(await context.mlmTopK([0], 3)).toEqual(before);
    }
  });

  test("makes no other file while it is converted", async () => {
    using folder = new TemporaryFolder();
    const [path, other] = await packed(folder);
    const output = folder.file("output");
    const checkpoint = openCheckpoint(path);
    const check = async () => change(path, other);
    const converting = convertModel(checkpoint, output, { to: "packed", dtype: "F32", check });
    if (changes) await expect(converting).rejects.toThrow(CHANGED);
    else await converting;
    expect(await Bun.file(output).exists()).toBe(!changes);
  });
});

test("another model is untouched by one that was cut short", async () => {
  using folder = new TemporaryFolder();
  const [path] = await packed(folder);
  using cut = await openModel(path);
  truncateSync(path, 4096);
  using context = new NativeContext(cut.native, { threads: 1 });
  const batch = { offsets: BigInt64Array.of(0n, 1n), ids: Int32Array.of(3) };
  await expect(context.encode(batch)).rejects.toThrow(CHANGED);
  using sound = await openModel(`${REFERENCE}fff-1x5`);
  using other = new NativeContext(sound.native, { threads: 1 });
  await other.encode(batch);
  expect((await other.pool("mean")).every(Number.isFinite)).toBe(true);
});
