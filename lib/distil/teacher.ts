/** What the teacher says: its outputs of all texts, computed once and kept in a file, or with its states, batch by batch as they are asked for. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { NativeContext } from "../../ffi/context.ts";
import { CancelledError } from "../../ffi/status.ts";
import { NativeTaps } from "../../ffi/taps.ts";
import { UffbError } from "../base/errors.ts";
import { makeWhole } from "../base/write.ts";
import { type Head, type Input, run } from "../eval/glue/run.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { openTensorFile } from "../files/safetensors/safetensors.ts";
import { writeSafetensors } from "../files/safetensors/write.ts";
import type { Model } from "../model/model.ts";
import { openContext } from "../run/device.ts";
import { areFinite } from "../run/finite.ts";
import { ragged } from "../text/batches.ts";
import type { Guide } from "../train/loop.ts";
import type { Place } from "./places.ts";

const FORMAT = { format: "uffb-teacher", version: "1" } as const;

/** SHA-256 of a model: of its config.json and of every tensor, by name. */
export function modelHash({ tensors, file }: Checkpoint): string {
  const hash = createHash("sha256").update(file("config.json")?.text ?? "");
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, shape, data } = tensors.get(name)!;
    hash.update(`\n${name} ${dtype} ${shape.join()}\n`).update(data);
  }
  return hash.digest("hex");
}

export interface TeacherOptions {
  /** Of its weights; see modelHash. */
  hash: string;
  /** What it puts out for a text. */
  head: Head;
  /** Names the head, for the cache. */
  what: string;
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  onEncode?: ((what: string, done: number, total: number) => void) | undefined;
}

export class Teacher implements Disposable {
  readonly #context: NativeContext;

  constructor(
    readonly model: Model,
    readonly options: TeacherOptions,
  ) {
    this.#context = openContext(model.native, { threads: options.threads ?? 0 });
  }

  /** Numbers of an output. */
  get width(): number {
    return this.options.head.width;
  }

  /**
   * Its outputs of all texts, [texts, width].
   * @param path a file that holds them, if it is of this teacher and these texts, or else will
   * @throws UffbError for a text of which they are no numbers; CancelledError
   */
  async outputs(texts: string, inputs: readonly Input[], path?: string): Promise<Float32Array> {
    const shape = [inputs.length, this.width];
    const key = this.#key(inputs);
    const found = path !== undefined && existsSync(path) ? readCache(path, key, shape) : undefined;
    if (found) return found;
    const { head, threads, signal, onEncode } = this.options;
    const onProgress = (done: number) => {
      if (signal?.aborted) throw new CancelledError("stopped while the teacher ran; nothing was written");
      onEncode?.(`the teacher's ${texts}`, done, inputs.length);
    };
    const { logits } = await run(this.model, inputs, { head, threads, onProgress });
    if (path !== undefined) {
      mkdirSync(dirname(path), { recursive: true });
      const data = () => [new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength)];
      await makeWhole(path, (temporary) =>
        writeSafetensors(temporary, { ...FORMAT, key }, [{ name: "outputs", dtype: "F32", shape, data }]),
      );
    }
    return logits;
  }

  /** Its outputs [texts, width] of a batch, and its states or attention at `places` as guides. @throws UffbError when they are no numbers */
  async states(
    inputs: readonly Input[],
    places: readonly Place[],
  ): Promise<{ outputs: Float32Array; guides: Guide[] }> {
    const batch = ragged(inputs);
    using taps = new NativeTaps();
    // Several of the student's layers may stand for one of the teacher's.
    const buffers = new Map<string, Float32Array>();
    const guides = places.map(({ kind, layer, teacherLayer, weight, width }) => {
      const place = `${kind} ${teacherLayer}`;
      let states = buffers.get(place);
      if (states === undefined) {
        states = new Float32Array(batch.ids.length * width);
        buffers.set(place, states);
        taps.add(kind, teacherLayer, states);
      }
      return { kind, layer, weight, states, width };
    });
    await this.#context.encode(batch, taps);
    const outputs = await this.options.head.read(this.#context);
    if (!areFinite(outputs)) throw new UffbError(`${this.model.source}: gives no numbers for these texts`);
    return { outputs, guides };
  }

  [Symbol.dispose](): void {
    this.#context[Symbol.dispose]();
  }

  /** Of everything that its outputs depend on. */
  #key(inputs: readonly Input[]): string {
    const { hash, what } = this.options;
    const sum = createHash("sha256").update(
      JSON.stringify({ ...FORMAT, hash, what, isa: this.#context.isa }),
    );
    for (const { ids, types } of inputs) {
      sum.update(`\n${ids.length} `).update(bytesOf(ids));
      if (types) sum.update(bytesOf(types));
    }
    return sum.digest("hex");
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** What a cache holds, if it is of `key`. A damaged one is made again. */
function readCache(path: string, key: string, shape: readonly number[]): Float32Array | undefined {
  try {
    const { metadata, tensors } = openTensorFile(path);
    const tensor = tensors.get("outputs");
    if (metadata.key !== key || tensor?.dtype !== "F32" || tensor.shape.join() !== shape.join())
      return undefined;
    return new Float32Array(tensor.data.slice().buffer);
  } catch (error) {
    if (error instanceof UffbError) return undefined;
    throw error;
  }
}
