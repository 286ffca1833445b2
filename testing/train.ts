/** Training models and batches of the references, for tests. */
import { UFFB_CROSS_ENTROPY, UFFB_HEAD_CLASS, UFFB_HEAD_MLM, UFFB_SQUARED_ERROR } from "../ffi/bindings.ts";
import type { Batch, ContextOptions } from "../ffi/context.ts";
import { NativeTrainer, type StepOptions, type Targets } from "../ffi/train.ts";
import { openCheckpoint } from "../lib/files/checkpoint.ts";
import type { StoredTensor } from "../lib/files/safetensors/safetensors.ts";
import { loadConfig } from "../lib/model/config.ts";
import { type Binding, bindTensors } from "../lib/model/roles.ts";

export interface Training extends Disposable {
  trainer: NativeTrainer;
  /** The checkpoint's tensors and their places. */
  bindings: Binding[];
}

/** A trainer of the model at `path`, with its weights. Parameters that `trains` does not want are frozen. */
export function openTraining(
  path: string,
  options: ContextOptions = {},
  trains: (name: string) => boolean = () => true,
): Training {
  const checkpoint = openCheckpoint(path);
  const { config, native, bindings } = bindTensors(loadConfig(checkpoint), checkpoint);
  native[Symbol.dispose]();
  const trainer = new NativeTrainer(config.arch, config.padding);
  for (const { wanted, tensor, dtype, layout } of bindings)
    trainer.set(wanted.name, tensor.data, dtype, layout);
  for (const { name, decays } of trainer.parameters())
    if (!trains(name)) trainer.mark(name, { trainable: false, decays });
  trainer.ready(options);
  return { trainer, bindings, [Symbol.dispose]: () => trainer[Symbol.dispose]() };
}

/** The numbers of a stored tensor, I64 or F32. */
export function numbers({ dtype, data }: Pick<StoredTensor, "dtype" | "data">): Float64Array {
  const { buffer, byteOffset, byteLength } = data;
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  return dtype === "I64"
    ? Float64Array.from(new BigInt64Array(bytes), Number)
    : Float64Array.from(new Float32Array(bytes));
}

export interface Example {
  batch: Batch;
  targets: Targets;
  options: StepOptions;
}

/**
 * A padded batch of the original code without its padding. ids and mask [sequences, length]; labels [sequences, length] where positions are
 * predicted (-100 elsewhere), else [sequences], whole numbers or not.
 */
export function unpad(
  sequences: number,
  ids: Float64Array,
  mask: Float64Array,
  labels: Float64Array,
  regression: boolean,
): Example {
  const length = ids.length / sequences;
  const mlm = labels.length === ids.length;
  const kept: number[] = [];
  const offsets = new BigInt64Array(sequences + 1);
  for (let s = 0; s < sequences; s++) {
    for (let i = s * length; i < (s + 1) * length; i++) if (mask[i] === 1) kept.push(i);
    offsets[s + 1] = BigInt(kept.length);
  }
  const batch = { offsets, ids: Int32Array.from(kept, (i) => ids[i]!) };
  if (!mlm) {
    const targets = regression ? Float32Array.from(labels) : Int32Array.from(labels);
    const loss = regression ? UFFB_SQUARED_ERROR : UFFB_CROSS_ENTROPY;
    return { batch, targets: { targets }, options: { head: UFFB_HEAD_CLASS, loss } };
  }
  const predicted = [...kept.keys()].filter((row) => labels[kept[row]!]! >= 0);
  return {
    batch,
    targets: {
      positions: BigInt64Array.from(predicted, BigInt),
      targets: Int32Array.from(predicted, (row) => labels[kept[row]!]!),
    },
    options: { head: UFFB_HEAD_MLM },
  };
}
