import { UFFB_HEAD_CLASS } from "../../ffi/bindings.ts";
import { poolingName } from "../../ffi/context.ts";
import type { NativeTrainer } from "../../ffi/train.ts";
import type { Kind } from "../data/own/labels.ts";
import type { MetricName } from "../data/tasks.ts";
import { type Head, run } from "../eval/glue/run.ts";
import type { Model } from "../model/model.ts";
import { assemble, type Examples, LOSSES } from "./batches.ts";
import { type Validation, validation } from "./validate.ts";

interface ScorerOptions {
  kind: Kind;
  metrics: readonly MetricName[];
  threads: number;
  /** Only the head is trained, so that the encoder need not run again. */
  headOnly: boolean;
  onEncode?: ((what: string, done: number, total: number) => void) | undefined;
}

/** Runs a model that is being trained, between its steps. */
export class Scorer {
  constructor(
    readonly model: Model,
    readonly trainer: NativeTrainer,
    readonly options: ScorerOptions,
  ) {}

  /** [examples, hidden]: what the head reads. */
  vectors(what: string, examples: Examples): Promise<Float32Array> {
    const { hidden, pooling } = this.model.config.arch;
    return this.#run(what, examples, {
      width: hidden,
      read: (context) => context.pool(poolingName(pooling)),
    });
  }

  /** What scores the model as it is on these examples. `groups`: which of them make one question. */
  async over(examples: Examples, groups?: Int32Array): Promise<() => Promise<Validation>> {
    const { kind, metrics, headOnly } = this.options;
    const vectors = headOnly ? await this.vectors("features to validate on", examples) : undefined;
    return async () => {
      const logits = vectors
        ? await this.#headLogits(examples, vectors)
        : await this.#run("validation", examples);
      return validation(kind, examples.targets, logits, metrics, groups);
    };
  }

  async #run(what: string, { inputs }: Examples, head?: Head): Promise<Float32Array> {
    const { threads, onEncode } = this.options;
    const onProgress = (done: number) => onEncode?.(what, done, inputs.length);
    return (await run(this.model, inputs, { threads, head, onProgress })).logits;
  }

  /** Logits of the head on vectors [examples, hidden]. */
  async #headLogits(examples: Examples, vectors: Float32Array): Promise<Float32Array> {
    const { labels, hidden } = this.trainer.arch;
    const { kind } = this.options;
    const count = examples.inputs.length;
    const logits = new Float32Array(count * labels);
    for (let start = 0; start < count; start += CHUNK) {
      const end = Math.min(count, start + CHUNK);
      const members = Array.from({ length: end - start }, (_, i) => start + i);
      const { targets } = assemble(examples, members, kind);
      const { batch, final } = pooled(vectors.subarray(start * hidden, end * hidden), hidden);
      const found = logits.subarray(start * labels, end * labels);
      const options = { head: UFFB_HEAD_CLASS, loss: LOSSES[kind], backward: false };
      await this.trainer.step(batch, { targets }, options, { final, logits: found });
    }
    return logits;
  }
}

/** Examples of a head alone at once. */
const CHUNK = 1024;

/** Vectors [count, hidden] as the final states of sequences of one token each, which is what a head pools. */
export function pooled(vectors: Float32Array, hidden: number) {
  const count = vectors.length / hidden;
  const offsets = BigInt64Array.from({ length: count + 1 }, (_, i) => BigInt(i));
  return { batch: { offsets, ids: new Int32Array(0) }, final: vectors };
}
