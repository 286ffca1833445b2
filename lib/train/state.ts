/**
 * A checkpoint of a run: weights, AdamW's moments, and where the run is. One safetensors file: tensors `weight.NAME`, `first.NAME`,
 * `second.NAME` by the engine's names, row-major; in the metadata what the run is (`settings`) and how far (`progress`), as JSON.
 */
import {
  UFFB_F32,
  UFFB_FIRST_MOMENT,
  UFFB_ROWS,
  UFFB_SECOND_MOMENT,
  UFFB_WEIGHT,
} from "../../ffi/bindings.ts";
import type { NativeTrainer, Parameter } from "../../ffi/train.ts";
import { UffbError } from "../base/errors.ts";
import {
  asArray,
  asFlag,
  asInteger,
  asObject,
  asString,
  fail,
  isObject,
  type JsonObject,
  tryJson,
} from "../base/json.ts";
import { makeWhole } from "../base/write.ts";
import { openTensorFile, type TensorFile } from "../files/safetensors/safetensors.ts";
import { type TensorSource, writeSafetensors } from "../files/safetensors/write.ts";
import type { EpochRecord } from "./records.ts";

const FORMAT = { format: "uffb-run", version: "1" } as const;

/** How far a run is. */
export interface Progress {
  /** Steps done. */
  step: number;
  /** Sequences that they were made of, in pretraining. */
  sequences: number;
  /** Loss of the steps of the epoch that is not over, summed. */
  loss: number;
  /** Epochs that are over. */
  epochs: EpochRecord[];
  /** Of the log when the checkpoint was written. */
  logBytes: number;
  /** Spent so far, by all processes that the run had. */
  seconds: number;
  /** A run that was stopped early has no steps left. */
  stopped: boolean;
  /** What computed it: another ISA sums in another order. */
  isa: string;
}

/** Of a run that has not begun. */
export function newProgress(isa: string): Progress {
  return { step: 0, sequences: 0, loss: 0, epochs: [], logBytes: 0, seconds: 0, stopped: false, isa };
}

/** What is saved of a parameter, by the beginnings of the tensors' names. */
const KINDS = { weight: UFFB_WEIGHT, first: UFFB_FIRST_MOMENT, second: UFFB_SECOND_MOMENT } as const;
type Saved = keyof typeof KINDS;
const SAVED = Object.keys(KINDS) as Saved[];
/** Bytes of a copy that is freed at once: garbage of this size would grow to a multiple of it. */
const LARGE = 8 << 20;

/** Writes a checkpoint whole, in place of the one before. Returns its bytes. */
export function saveState(
  path: string,
  trainer: NativeTrainer,
  settings: JsonObject,
  progress: Progress,
): Promise<number> {
  const metadata = { ...FORMAT, settings: JSON.stringify(settings), progress: JSON.stringify(progress) };
  const tensors = SAVED.flatMap((kind) => sources(trainer, kind));
  return makeWhole(path, (temporary) => writeSafetensors(temporary, metadata, tensors));
}

/** Bytes that a checkpoint takes, but for its header. */
export function stateBytes(trainer: NativeTrainer): number {
  const floats = trained(trainer).reduce(
    (sum, { rows, cols, trainable }) => sum + rows * cols * (trainable ? 3 : 1),
    0,
  );
  return 4 * floats;
}

/** Writes the weights alone. */
export function saveWeights(path: string, trainer: NativeTrainer): Promise<number> {
  return makeWhole(path, (temporary) => writeSafetensors(temporary, FORMAT, sources(trainer, "weight")));
}

export interface State {
  settings: JsonObject;
  progress: Progress;
  file: TensorFile;
}

/** Reads a checkpoint. @throws UffbError when it is not one, or is damaged */
export function openState(path: string): State {
  const file = openTensorFile(path);
  const { format, version, settings, progress } = file.metadata;
  const parse = (text: string | undefined) => {
    const read = tryJson(text ?? "");
    if ("value" in read && isObject(read.value)) return read.value;
    throw new UffbError(`${path}: is not a checkpoint of a training run; remove its folder and start again`);
  };
  if (format !== FORMAT.format || version !== FORMAT.version) parse(undefined);
  return { settings: parse(settings), progress: readProgress(parse(progress), path), file };
}

function readProgress(value: JsonObject, path: string): Progress {
  const { step, sequences = 0, loss, epochs, logBytes, seconds, stopped, isa } = value;
  const where = (key: string) => `${path}: ${key} of its progress`;
  const number = (key: string, found: unknown) => {
    if (typeof found !== "number") fail(where(key), "must be a number");
    return found;
  };
  return {
    step: asInteger(step, where("step"), 0, Number.MAX_SAFE_INTEGER),
    sequences: asInteger(sequences, where("sequences"), 0, Number.MAX_SAFE_INTEGER),
    loss: number("loss", loss),
    epochs: asArray(epochs, where("epochs"), 100_000).map(
      (one) => asObject(one, where("epochs")) as unknown as EpochRecord,
    ),
    logBytes: asInteger(logBytes, where("logBytes"), 0, Number.MAX_SAFE_INTEGER),
    seconds: number("seconds", seconds),
    stopped: asFlag(stopped, where("stopped"), false),
    isa: asString(isa, where("isa"), 100),
  };
}

/** Gives a trainer that is ready what a checkpoint holds. @throws UffbError when it is of another model */
export function restoreState(path: string, { file, progress }: State, trainer: NativeTrainer): void {
  for (const kind of SAVED) restore(path, file, trainer, kind);
  trainer.updates = progress.step;
}

/** Gives a trainer the weights that saveWeights wrote. */
export function restoreWeights(path: string, trainer: NativeTrainer): void {
  restore(path, openTensorFile(path), trainer, "weight");
}

function restore(path: string, { tensors }: TensorFile, trainer: NativeTrainer, kind: Saved): void {
  for (const { name, rows, cols } of parametersOf(trainer, kind)) {
    const tensor = tensors.get(`${kind}.${name}`);
    if (tensor?.dtype !== "F32" || tensor.shape.join() !== [rows, cols].join())
      throw new UffbError(
        `${path}: lacks a tensor of this model, ${name}; remove its folder and start again`,
      );
    trainer.set(name, tensor.data, UFFB_F32, UFFB_ROWS, KINDS[kind]);
  }
}

function trained(trainer: NativeTrainer): Parameter[] {
  return trainer.parameters().filter(({ present, constant }) => present && !constant);
}

/** Frozen weights are saved, too, so that a checkpoint is complete; they have no moments. */
function parametersOf(trainer: NativeTrainer, kind: Saved): Parameter[] {
  return trained(trainer).filter(({ trainable }) => trainable || kind === "weight");
}

function sources(trainer: NativeTrainer, kind: Saved): TensorSource[] {
  return parametersOf(trainer, kind).map((parameter) => ({
    name: `${kind}.${parameter.name}`,
    dtype: "F32",
    shape: [parameter.rows, parameter.cols],
    *data() {
      const bytes = bytesOf(trainer.get(parameter.name, KINDS[kind]));
      yield bytes;
      if (bytes.length > LARGE) Bun.gc(true);
    },
  }));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
