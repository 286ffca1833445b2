/**
 * Training against the numbers of other code: the loss and gradients of one batch, or a whole run, replayed step by step from the same start
 * with the same batches and learning rates.
 */
import {
  type Adamw,
  UFFB_BINARY_CROSS_ENTROPY,
  UFFB_CROSS_ENTROPY,
  UFFB_FFN_FFF,
  UFFB_GRADIENT,
  UFFB_HEAD_CLASS,
  UFFB_HEAD_MLM,
  UFFB_SQUARED_ERROR,
  UFFB_TAP_PATH_LOGITS,
  UFFB_WEIGHT,
} from "../../../ffi/bindings.ts";
import { INTEGERS } from "../../../ffi/matrix.ts";
import { NativeTaps } from "../../../ffi/taps.ts";
import type { NativeTrainer, Parameter, StepOptions, Targets } from "../../../ffi/train.ts";
import { UffbError } from "../../base/errors.ts";
import { largestMagnitude } from "../../base/statistics.ts";
import type { Checkpoint } from "../../files/checkpoint.ts";
import { openTensorFile, type StoredTensor } from "../../files/safetensors/safetensors.ts";
import type { Config } from "../../model/config.ts";
import { takePart } from "../../model/interleave.ts";
import { type StoredForm, storedForms } from "../../model/roles.ts";
import { openTrainable } from "../../model/trainable.ts";
import { Cancellation } from "../../run/cancel.ts";
import { ragged } from "../../text/batches.ts";
import { NEAR_TIE, type Report, Values } from "./compare.ts";
import { reader, readSequences, type Sequence } from "./expected.ts";
import type { Verification, VerifyOptions } from "./verify.ts";

/** Largest error of losses, gradients and their norms: sums of other order over a whole batch. */
export const TRAINING_TOLERANCE = 1e-4;
/** Of weights at the end of a replay, and where a path may have turned on the way: from there on the runs differ, and rightly so. */
const END_TOLERANCE = 1e-5;
const TURNED_TOLERANCE = 2e-3;

type Tensors = ReadonlyMap<string, StoredTensor>;

/** Whether a file holds the steps of a run: batches [steps, batch, seq], with the learning rate of each. */
export function isReplay(path: string): boolean {
  const { tensors } = openTensorFile(path);
  return tensors.get("input_ids")?.shape.length === 3 && tensors.has("lr");
}

/** What the model is trained on: its config, its weights, and the file's targets. */
class Reference {
  readonly config: Config;
  readonly trainer: NativeTrainer;
  readonly sequences: readonly Sequence[];
  readonly #label: (row: number) => Float64Array;

  /** `batch` sequences of `seq` tokens each, padded; with `steps`, so many of each step. */
  constructor(
    readonly path: string,
    readonly tensors: Tensors,
    checkpoint: Checkpoint,
    [batch, seq]: readonly [number, number],
    steps?: number,
  ) {
    const { config, trainer } = openTrainable(checkpoint);
    this.config = config;
    this.trainer = trainer;
    try {
      const all =
        steps === undefined
          ? tensors
          : new Map([...tensors].map(([name, one]) => [name, flat(one, steps, batch)]));
      const rows = batch * (steps ?? 1);
      this.sequences = [...readSequences(path, all, rows, seq, { config, source: checkpoint.source })];
      const labels = all.get("labels");
      if (labels === undefined) throw new UffbError(`${path}: has no tensor labels, which a loss needs`);
      const tail = labels.shape.slice(1);
      this.#label = reader(path, "labels", labels, [rows], config.task === "mlm" ? [seq] : tail).row;
    } catch (error) {
      trainer[Symbol.dispose]();
      throw error;
    }
  }

  /** Some sequences as a batch, and what the head is to predict of them. */
  batch(sequences: readonly Sequence[]) {
    return { batch: ragged(sequences), ...this.#targets(sequences) };
  }

  #targets(sequences: readonly Sequence[]): { targets: Targets; options: StepOptions } {
    const { task } = this.config;
    if (task !== "mlm") {
      const values = sequences.flatMap(({ index }) => [...this.#label(index)]);
      const loss = {
        classification: UFFB_CROSS_ENTROPY,
        "multi-label": UFFB_BINARY_CROSS_ENTROPY,
        regression: UFFB_SQUARED_ERROR,
        embedding: -1,
        tokens: -1,
        other: -1,
      }[task];
      const targets = task === "classification" ? Int32Array.from(values) : Float32Array.from(values);
      return { targets: { targets }, options: { head: UFFB_HEAD_CLASS, loss } };
    }
    const positions: number[] = [];
    const words: number[] = [];
    let first = 0;
    for (const { index, ids } of sequences) {
      for (const [i, word] of this.#label(index).subarray(0, ids.length).entries()) {
        if (word < 0) continue; // nothing is predicted here
        positions.push(first + i);
        words.push(word);
      }
      first += ids.length;
    }
    return {
      targets: { positions: BigInt64Array.from(positions, BigInt), targets: Int32Array.from(words) },
      options: { head: UFFB_HEAD_MLM, loss: UFFB_CROSS_ENTROPY },
    };
  }

  /** Compares what there is of every parameter with the tensors `prefix`NAME, by the names of the model's own code. */
  parameters(prefix: string, kind: number, tolerance: number): Report[] {
    const reports: Report[] = [];
    for (const parameter of this.trainer.parameters()) {
      if (!parameter.present || (kind === UFFB_GRADIENT && parameter.constant)) continue;
      const { rows, cols } = parameter;
      const stored = this.#forms(parameter).flatMap((form) => {
        const name = prefix + form.name;
        const tensor = this.tensors.get(name);
        if (tensor === undefined) return [];
        const stage = { name, per: "sequence" as const, ...reader(this.path, name, tensor, [], form.shape) };
        return [{ ...form, stage }];
      });
      const together = kind === UFFB_GRADIENT && isSplitBias(stored);
      const largest = together
        ? Math.max(0, ...stored.map(({ stage }) => largestMagnitude(stage.row(0))))
        : 0;
      for (const { stage, layout, share } of stored) {
        const whole = this.trainer.get(parameter.name, kind, layout);
        const bytes = new Uint8Array(whole.buffer);
        const ours = share
          ? new Float32Array(
              Buffer.concat([...takePart([bytes], share, { rows, cols, dtype: "F32" })]).slice().buffer,
            )
          : whole;
        const values = new Values(stage, tolerance, largest);
        values.compare(0, ours);
        reports.push({ ...values.report(), tolerance });
      }
    }
    return reports;
  }

  /** The tensors of the model's own code that a parameter is: a tied decoder is there a second time. */
  #forms(parameter: Parameter): StoredForm[] {
    const forms = storedForms(this.config, parameter);
    const tied = this.config.arch.tied && parameter.name === "embed.word";
    return tied
      ? [...forms, ...storedForms(this.config, { ...parameter, name: "head.mlm.decoder.weight" })]
      : forms;
  }

  verification(tensors: Report[], tolerance: number): Verification {
    const compared = new Set([...INPUTS, ...tensors.map(({ name }) => name)]);
    const { isa, threads } = this.trainer;
    return {
      passed: tensors.length > 0 && tensors.every(({ passed }) => passed),
      tensors,
      ignored: [...this.tensors.keys()].filter((name) => !compared.has(name)),
      sequences: this.sequences.length,
      tokens: this.sequences.reduce((sum, { ids }) => sum + ids.length, 0),
      tolerance,
      isa,
      threads,
    };
  }
}

/**
 * Whether these are biases of query, key and value apart. Their gradients are measured by the largest of the three: a key's bias moves all
 * scores of a query alike, which softmax takes out again, so that its gradient is zero, and what either code has there is rounding.
 */
function isSplitBias(stored: readonly StoredForm[]): boolean {
  return stored.every(({ share, shape }) => share !== undefined && shape.length === 1);
}

const INPUTS = ["input_ids", "attention_mask", "token_type_ids", "labels", "lr"];

/** [steps, batch, ...] as [steps * batch, ...]; other tensors as they are. */
function flat(tensor: StoredTensor, steps: number, batch: number): StoredTensor {
  const { shape, dtype, data, file } = tensor;
  if (shape[0] !== steps || shape[1] !== batch) return tensor;
  return { shape: [steps * batch, ...shape.slice(2)], dtype, data, file };
}

/** Each number against the expected one, relative to it. */
function compareEach(
  name: string,
  ours: readonly number[],
  expected: Float64Array,
  tolerance: number,
): Report {
  const errors = ours.map((value, i) => Math.abs(value - expected[i]!) / Math.abs(expected[i]!));
  const maxError = errors.every(Number.isFinite)
    ? errors.reduce((most, error) => Math.max(most, error), 0)
    : Number.POSITIVE_INFINITY;
  return { name, compared: ours.length, skipped: 0, maxError, tolerance, passed: maxError <= tolerance };
}

/** Numbers of a tensor of this shape. */
function read(path: string, tensors: Tensors, name: string, shape: readonly number[]): Float64Array {
  const tensor = tensors.get(name);
  if (tensor === undefined) throw new UffbError(`${path}: has no tensor ${name}; is it a file of steps?`);
  return reader(path, name, tensor, [], shape).row(0);
}

/**
 * Compares the loss of the file's batch with `loss`, and each gradient with `grad.NAME`, where the file has any of them: undefined where it
 * has none, or the model is in integers. @throws UffbError when the file does not fit the model
 */
export async function verifyGradients(
  checkpoint: Checkpoint,
  path: string,
  { tolerance = TRAINING_TOLERANCE, threads = 0, isa, signal }: VerifyOptions = {},
): Promise<Verification | undefined> {
  const { tensors } = openTensorFile(path);
  // What is stored in integers cannot be trained.
  if ([...checkpoint.tensors.values()].some(({ dtype }) => dtype in INTEGERS)) return undefined;
  const stored = tensors.get("loss");
  if (!stored && ![...tensors.keys()].some((name) => name.startsWith("grad."))) return undefined;
  const shape = tensors.get("input_ids")?.shape as [number, number];
  const reference = new Reference(path, tensors, checkpoint, shape);
  using trainer = reference.trainer;
  using cancellation = new Cancellation(trainer, signal);
  trainer.ready({ threads, isa });
  const { batch, targets, options } = reference.batch(reference.sequences);
  const { loss, weight } = await trainer.step(batch, targets, options);
  cancellation.check();
  const reports = stored
    ? [compareEach("loss", [loss / weight], read(path, tensors, "loss", stored.shape), tolerance)]
    : [];
  reports.push(...reference.parameters("grad.", UFFB_GRADIENT, tolerance));
  return reference.verification(reports, tolerance);
}

/**
 * Replays the steps of a run: `input_ids`, `attention_mask` [steps, batch, seq] and `labels`, with the learning rates `lr` [steps] and the
 * settings of AdamW in the metadata (`beta1`, `beta2`, `eps`, `weight_decay`, `clip`). Compares `loss` and `grad_norm` [steps], before
 * clipping, and the weights `end.NAME` after the last.
 * @throws UffbError when the file does not fit the model
 */
export async function replay(
  checkpoint: Checkpoint,
  path: string,
  { tolerance, threads = 0, isa, signal }: VerifyOptions = {},
): Promise<Verification> {
  const { tensors, metadata } = openTensorFile(path);
  const [steps = 0, batchSize = 0, seq = 0] = tensors.get("input_ids")!.shape;
  const rates = read(path, tensors, "lr", [steps]);
  const adamw = readSettings(path, metadata);
  const reference = new Reference(path, tensors, checkpoint, [batchSize, seq], steps);
  using trainer = reference.trainer;
  using cancellation = new Cancellation(trainer, signal);
  trainer.ready({ threads, isa });
  const losses: number[] = [];
  const norms: number[] = [];
  let nearTies = 0;
  const ofStep = Map.groupBy(reference.sequences, ({ index }) => Math.floor(index / batchSize));
  for (const [step, lr] of rates.entries()) {
    const { batch, targets, options } = reference.batch(ofStep.get(step) ?? []);
    const { taps, logits } = tapPaths(trainer, batch.ids.length);
    using _ = taps;
    const { loss, weight } = await trainer.step(batch, targets, options, { taps });
    const { norm } = await trainer.update({ ...adamw, lr });
    cancellation.check();
    losses.push(loss / weight);
    norms.push(norm);
    nearTies += logits.reduce((sum, layer) => sum + countTies(layer, trainer.arch.depth + 1), 0);
  }
  const own = tolerance ?? TRAINING_TOLERANCE;
  const end = tolerance ?? (nearTies > 0 ? TURNED_TOLERANCE : END_TOLERANCE);
  const reports = [
    compareEach("loss", losses, read(path, tensors, "loss", [steps]), own),
    compareEach("grad_norm", norms, read(path, tensors, "grad_norm", [steps]), own),
    ...reference.parameters("end.", UFFB_WEIGHT, end),
  ];
  if (trainer.arch.feedforward === UFFB_FFN_FFF)
    reports.push({ name: "paths", compared: steps, skipped: 0, differ: 0, nearTies, passed: true });
  return reference.verification(reports, own);
}

/** The optimiser's settings but for the learning rate. */
function readSettings(path: string, metadata: Readonly<Record<string, string>>): Omit<Adamw, "lr"> {
  const { optimizer = "AdamW", dropout = "0" } = metadata;
  if (optimizer !== "AdamW" || Number(dropout) !== 0) {
    const what = optimizer === "AdamW" ? `dropout ${dropout}` : optimizer;
    throw new UffbError(`${path}: its run had ${what}; only AdamW without dropout can be replayed`);
  }
  const number = (key: string) => {
    const value = Number(metadata[key] ?? Number.NaN);
    if (Number.isFinite(value)) return value;
    throw new UffbError(`${path}: its metadata have no number ${key}, which AdamW needs`);
  };
  return {
    beta1: number("beta1"),
    beta2: number("beta2"),
    eps: number("eps"),
    weightDecay: number("weight_decay"),
    clip: number("clip"),
  };
}

/** Buffers for the logits of every path of a step, layer by layer; none where there are no trees. */
function tapPaths(trainer: NativeTrainer, tokens: number): { taps: NativeTaps; logits: Float32Array[] } {
  const { feedforward, layers, trees, depth } = trainer.arch;
  const taps = new NativeTaps();
  const count = feedforward === UFFB_FFN_FFF ? layers : 0;
  const logits = Array.from({ length: count }, (_, layer) => {
    const buffer = new Float32Array(tokens * trees * (depth + 1));
    taps.add(UFFB_TAP_PATH_LOGITS, layer, buffer);
    return buffer;
  });
  return { taps, logits };
}

/** Branches [paths, levels] that may have gone the other way elsewhere. */
function countTies(logits: Float32Array, levels: number): number {
  let ties = 0;
  for (let start = 0; start < logits.length; start += levels) {
    const path = logits.subarray(start, start + levels);
    const largest = largestMagnitude(path);
    for (let level = 0; level < levels - 1; level++) if (Math.abs(path[level]!) <= NEAR_TIE * largest) ties++;
  }
  return ties;
}
