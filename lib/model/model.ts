import type { NativeModel } from "../../ffi/model.ts";
import { InvalidError } from "../../ffi/status.ts";
import { UffbError } from "../base/errors.ts";
import { plural } from "../base/numbers.ts";
import { quoted } from "../base/printable.ts";
import type { Builtin } from "../files/builtin.ts";
import { type Checkpoint, openCheckpoint } from "../files/checkpoint.ts";
import { allFinite } from "../files/finite.ts";
import { unchanged } from "../files/safetensors/mapped.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";
import { type Config, loadConfig } from "./config.ts";
import { unknownKeys } from "./keys/report.ts";
import { type Binding, bindTensors, type Unused } from "./roles.ts";
import { type Scoring, scoringOf } from "./scoring.ts";
import { type Prompts, readPrompts } from "./sentence/prompts.ts";
import { readSentenceSettings, type SentenceSettings } from "./sentence/settings.ts";
import { loadTokenizer } from "./tokenizer.ts";

/** A model ready to run. Dispose of it after its contexts. */
export interface Model extends Disposable {
  readonly config: Config;
  readonly native: NativeModel;
  /** Where it came from, for messages. */
  readonly source: string;
  /** Warnings for the user about what is odd but usable. */
  readonly warnings: readonly string[];
  /**
   * Read when first asked for.
   *
   * @throws UffbError when the model has none, or it is damaged
   */
  tokenizer(): Tokenizer;
  /** The same, or undefined when the model has none. */
  optionalTokenizer(): Tokenizer | undefined;
  /**
   * How it makes vectors of texts, where it is one of the sentence-transformers library.
   *
   * @throws UffbError
   */
  sentence(): SentenceSettings | undefined;
  /**
   * What the same library says of a model of any of its kinds.
   *
   * @throws UffbError
   */
  prompts(): Prompts;
  /**
   * What becomes of the output of a model with one.
   *
   * @throws UffbError for an activation that is not known
   */
  scoring(): Scoring;
}

/**
 * Opens a model: a folder with config.json and its checkpoint, a checkpoint's file beside its config.json, a packed file, or (without
 * `path`) a built-in one. Files are mapped, and tensors in the engine's own form used in place.
 *
 * @throws UffbError for what is missing, damaged, not supported or does not fit together
 */
export async function openModel(path?: string, builtin?: Builtin): Promise<Model> {
  const checkpoint =
    path === undefined ? (await import("../files/builtin.ts")).openBuiltin(builtin) : openCheckpoint(path);
  const { source } = checkpoint;
  const { config, native, bindings, unused } = bindTensors(loadConfig(checkpoint), checkpoint);
  try {
    for (const binding of bindings) setTensor(native, binding, source);
    native.ready();
    native.guard(unchanged(bindings.map(({ tensor }) => tensor)));
    native.checkMemory();
  } catch (error) {
    native[Symbol.dispose]();
    throw error;
  }
  return {
    config,
    native,
    source,
    warnings: [
      ...config.warnings,
      ...foreignWarnings(source, unused),
      ...unknownKeys(checkpoint.file),
      ...notFiniteWarnings(source, findNotFinite(checkpoint, bindings)),
    ],
    ...tokenizerOf(checkpoint),
    sentence: once(() => readSentenceSettings(checkpoint, config.arch.hidden)),
    prompts: once(() => readPrompts(checkpoint)),
    scoring: once(() => scoringOf(config, readPrompts(checkpoint), source)),
    [Symbol.dispose]: () => native[Symbol.dispose](),
  };
}

/** A function that computes its value when first asked for. */
function once<T>(compute: () => T): () => T {
  let found: { value: T } | undefined;
  return () => {
    found ??= { value: compute() };
    return found.value;
  };
}

/** A checkpoint's tokenizer, read when first asked for. */
export function tokenizerOf(checkpoint: Checkpoint): Pick<Model, "tokenizer" | "optionalTokenizer"> {
  let tokenizer: Tokenizer | undefined;
  const optionalTokenizer = () => {
    tokenizer ??= loadTokenizer(checkpoint.file);
    return tokenizer;
  };
  return {
    optionalTokenizer,
    tokenizer() {
      const found = optionalTokenizer();
      if (found) return found;
      throw new UffbError(
        `${checkpoint.source}: has no tokenizer.json, which reading text needs; add the model's own, or give --ids`,
      );
    },
  };
}

/** Gives the engine a tensor; what it says of its own is said of the checkpoint's. */
function setTensor(native: NativeModel, { wanted, name, tensor, dtype, layout }: Binding, source: string) {
  try {
    native.set(wanted.name, tensor.data, dtype, layout);
  } catch (error) {
    if (!(error instanceof InvalidError)) throw error;
    throw new UffbError(`${source}: tensor ${quoted(name)}: ${error.message}`, { cause: error });
  }
}

function foreignWarnings(source: string, unused: readonly Unused[]): string[] {
  const names = unused.filter(({ why }) => why === "foreign").map(({ name }) => quoted(name));
  if (names.length === 0) return [];
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : "";
  return [`${source}: left out what is no part of the model: ${names.slice(0, MAX_NAMED).join(", ")}${more}`];
}

/** Tensors that are named in warnings before the rest is counted. */
const MAX_NAMED = 10;

function notFiniteWarnings(source: string, names: readonly string[]): string[] {
  const why = "NaNs or infinities; results may be meaningless";
  const more = names.length - MAX_NAMED;
  return [
    ...names.slice(0, MAX_NAMED).map((name) => `${source}: tensor ${quoted(name)} has ${why}`),
    ...(more > 0 ? [`${source}: ${plural(more, "more tensor")} ${more === 1 ? "has" : "have"} ${why}`] : []),
  ];
}

/** Names of tensors with NaNs or infinities. For a packed file that was found out when it was written. */
function findNotFinite({ packed }: Checkpoint, bindings: readonly Binding[]): string[] {
  return packed?.notFinite ?? bindings.filter(({ tensor }) => !allFinite(tensor)).map(({ name }) => name);
}
