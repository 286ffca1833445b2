/** Gives each of a checkpoint's tensors its place in the engine, and refuses what does not fit: nothing is guessed or left out. */

import {
  UFFB_COLUMNS,
  UFFB_HEAD_CLASS,
  UFFB_HEAD_MLM,
  UFFB_HEAD_TOKENS,
  UFFB_ROWS,
} from "../../ffi/bindings.ts";
import { FLOATS, INTEGERS, type Integers } from "../../ffi/matrix.ts";
import { NativeModel, type Tensor } from "../../ffi/model.ts";
import { UffbError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import { canBeIntegers, packedForm } from "../files/packed.ts";
import type { StoredTensor } from "../files/safetensors/safetensors.ts";
import { type Config, classifierTask, nameLabels } from "./config.ts";
import { type Family, MAX_LABELS, type Role } from "./families/family.ts";
import { headCount } from "./families/heads.ts";
import { interleave, type Share } from "./interleave.ts";

/** One tensor of the engine and the one of the checkpoint that it is made of. */
export interface Binding {
  /** What the engine wants. */
  wanted: Tensor;
  /** The checkpoint's name for it. */
  name: string;
  tensor: StoredTensor;
  /** UFFB_F32 and so on. */
  dtype: number;
  /** UFFB_ROWS and so on: how the checkpoint's bytes represent the engine's [rows, cols]. */
  layout: number;
}

export interface Bound {
  /** The config with what only the tensors tell: heads, number of labels, whether the decoder is tied. */
  config: Config;
  /** Not filled yet. */
  native: NativeModel;
  bindings: Binding[];
  unused: Unused[];
}

/** A tensor of the checkpoint without a place of its own. */
export interface Unused {
  name: string;
  /**
   * tied: a copy of the word embedding. twice: another tensor under a second name. buffer: computed from the config. head: of a head that
   * is not in use. foreign: none of the model's, and none that its own code would read. unknown: left out because that was allowed.
   */
  why: "tied" | "twice" | "buffer" | "head" | "foreign" | "unknown";
}

export interface BindOptions {
  /** Leave tensors out that the model does not have, instead of refusing the checkpoint. */
  ignoreUnknown?: boolean;
}

/** Element types a weight can have, in safetensors' and in the engine's terms. */
export const WEIGHT_DTYPES = FLOATS;

/** What a packed tensor in integers has beside it, by the end of its name: scales, and a decoder's rows, which older files lack. */
const BESIDE_INTEGERS: Readonly<Record<string, Role>> = {
  scale: { engine: "", stored: "" },
  rows: { engine: "", stored: "", optional: true },
};

/** Names in a message before the rest is only counted. */
const MAX_NAMES = 40;

/** A tensor and its name in the file. */
interface Entry {
  name: string;
  tensor: StoredTensor;
}

/**
 * Binds every tensor of a checkpoint.
 *
 * @throws UffbError that lists missing and unexpected tensors, or names one whose dtype or shape is not what the config asks for
 */
export function bindTensors(
  config: Config,
  checkpoint: Checkpoint,
  { ignoreUnknown = false }: BindOptions = {},
): Bound {
  const { source } = checkpoint;
  const packed = checkpoint.packed !== undefined;
  const names = new Names(config.family, packed);
  const { found, unused } = packed
    ? { found: new Map(entries(checkpoint)), unused: [] }
    : byPlainName(checkpoint, config.family);
  const settled = settle(config, source, (engine) => found.get(names.of(engine))?.tensor, packed);
  const used = new Set<string>();
  if (settled.arch.tied) unused.push(...shareDecoder(found, names, used));

  const native = newNative(settled, source);
  try {
    const pairs: { wanted: Tensor; role: Role; entry: Entry }[] = [];
    const missing: string[] = [];
    for (const wanted of native.tensors()) {
      const role = (packed ? besideIntegers(wanted.name, found) : undefined) ?? names.role(wanted.name);
      if (role === undefined || (role.when && !settled.switches.has(role.when))) continue;
      const stored = names.all(wanted.name);
      const parts = stored.flatMap((name) => found.get(name) ?? []);
      for (const name of stored) used.add(name);
      if (parts.length === stored.length) {
        const entry = parts.length === 1 ? parts[0]! : interleave(parts, headsIn(settled.arch, wanted.name));
        pairs.push({ wanted, role, entry });
      } else if (!role.optional) missing.push(...stored.filter((name) => !found.has(name)));
    }
    const { ignored, prefix = "", heads = [] } = packed ? { ignored: [] } : config.family;
    for (const [plain, { name }] of found) {
      if (used.has(plain)) continue;
      const is = (rules: readonly RegExp[]) => rules.some((rule) => rule.test(plain));
      // An unknown head has unknown names; the encoder's begin as that of its first tensor.
      const ofHead = settled.task === "other" && !plain.startsWith(prefix || encoderPrefix(names));
      const other = ofHead ? "head" : plain.startsWith(prefix) ? "unknown" : "foreign";
      unused.push({ name, why: is(ignored) ? "buffer" : is(heads) ? "head" : other });
    }
    const unexpected = unused.filter(({ why }) => why === "unknown").map(({ name }) => name);
    if (missing.length > 0 || (unexpected.length > 0 && !ignoreUnknown)) {
      throw misfit(missing, unexpected, source);
    }
    const bindings = pairs.map(({ wanted, role, entry }) => bind(wanted, role, entry, packed));
    const labels =
      settled.arch.headsPresent & (UFFB_HEAD_CLASS | UFFB_HEAD_TOKENS)
        ? nameLabels(settled.names, settled.arch.labels)
        : [];
    return { config: { ...settled, labels }, native, bindings, unused };
  } catch (error) {
    native[Symbol.dispose]();
    throw error;
  }
}

/** "bert." of "bert.embeddings.word_embeddings.weight". */
function encoderPrefix(names: Names): string {
  return names.of("embed.word").replace(/\..*$/, ".");
}

function besideIntegers(name: string, found: Map<string, Entry>): Role | undefined {
  const dot = name.lastIndexOf(".");
  const dtype = found.get(name.slice(0, dot))?.tensor.dtype;
  return dtype !== undefined && dtype in INTEGERS ? BESIDE_INTEGERS[name.slice(dot + 1)] : undefined;
}

/** What all families call the layer that classifies tokens. */
const TOKEN_HEAD: readonly Role[] = ["weight", "bias"].map((kind) => ({
  engine: `head.token.${kind}`,
  stored: `classifier.${kind}`,
}));

/** A family's names for the engine's tensors. */
class Names {
  readonly #roles: ReadonlyMap<string, Role>;

  constructor(
    family: Family,
    readonly packed: boolean,
  ) {
    const roles = family.tokenClassifier === undefined ? family.roles : [...family.roles, ...TOKEN_HEAD];
    this.#roles = new Map(roles.map((role) => [role.engine, role]));
  }

  role(engine: string): Role | undefined {
    return this.#roles.get(engine.replace(/^layer\.\d+\./, "layer.L."));
  }

  /** The checkpoint's name of the engine's tensor, or the first of several. */
  of(engine: string): string {
    return this.all(engine)[0]!;
  }

  /** The checkpoint's names of all that the engine's tensor is made of. */
  all(engine: string): string[] {
    const role = this.packed ? undefined : this.role(engine);
    const layer = /^layer\.(\d+)\./.exec(engine)?.[1] ?? "";
    return [role?.stored ?? engine].flat().map((name) => name.replace(".L.", `.${layer}.`));
  }
}

function entries({ tensors }: Checkpoint): [string, Entry][] {
  return [...tensors].map(([name, tensor]) => [name, { name, tensor }]);
}

/** Tensors by the name that the model's own code gives them, without what wrappers for training put into it. */
function byPlainName(
  checkpoint: Checkpoint,
  { rename }: Family,
): { found: Map<string, Entry>; unused: Unused[] } {
  const found = new Map<string, Entry>();
  const unused: Unused[] = [];
  for (const [name, entry] of entries(checkpoint)) {
    const unwrapped = name.replace(/^(?:(?:module|_orig_mod)\.)+/, "").replaceAll("._orig_mod.", ".");
    const plain = rename?.(unwrapped) ?? unwrapped;
    const other = found.get(plain);
    if (!other) found.set(plain, entry);
    else if (isSame(other.tensor, entry.tensor)) unused.push({ name, why: "twice" });
    else {
      const both = `${quoted(other.name)} and ${quoted(name)}`;
      throw new UffbError(`${checkpoint.source}: ${both} are the same tensor of the model; remove one`);
    }
  }
  return { found, unused };
}

/** Whether two tensors are one piece of a file, or have the same bits. */
function isSame(a: StoredTensor, b: StoredTensor): boolean {
  if (a === b || (a.identity !== undefined && a.identity === b.identity)) return true;
  return (
    a.dtype === b.dtype &&
    a.shape.join() === b.shape.join() &&
    Buffer.from(a.data.buffer, a.data.byteOffset, a.data.length).equals(b.data)
  );
}

/** What a checkpoint with a head has some of. */
const HEADS = ["head.class.weight", "head.mlm.dense.weight", "head.mlm.norm.weight", "head.mlm.decoder.bias"];

/** Decides by the tensors what the config leaves open: which head there is, how many labels, whether the decoder is tied. */
function settle(
  config: Config,
  source: string,
  find: (engine: string) => StoredTensor | undefined,
  packed: boolean,
): Config {
  const { arch, family } = config;
  const isHeadless =
    config.task === "embedding" ||
    (config.task === "mlm" &&
      family.encoder !== undefined &&
      HEADS.every((head) => find(head) === undefined));
  if (isHeadless) return { ...config, task: "embedding", arch: { ...arch, labels: 0 } };
  if (config.task === "other") return { ...config, arch: { ...arch, labels: 0 } };
  if (config.task === "mlm" && find("head.class.weight") === undefined) {
    const tied = isTied(find("embed.word"), find("head.mlm.decoder.weight"), config.mayTie, packed);
    return { ...config, arch: { ...arch, labels: 0, headsPresent: UFFB_HEAD_MLM, tied: Number(tied) } };
  }
  // The weight has a row a label, but in panels, so that its rows cannot be counted.
  const isTokens = config.task === "tokens";
  const bias = find(isTokens ? "head.token.bias" : "head.class.bias");
  const labels = bias?.shape[0] ?? Math.max(arch.labels, 1);
  if (labels < 1 || labels > MAX_LABELS) throw new UffbError(`${source}: cannot have ${labels} labels`);
  if (isTokens)
    return { ...config, arch: { ...arch, labels, headsPresent: UFFB_HEAD_TOKENS, poolWidth: 0, tied: 0 } };
  return {
    ...config,
    arch: { ...arch, labels, headsPresent: UFFB_HEAD_CLASS, tied: 0 },
    task: classifierTask(labels, config.task === "multi-label"),
  };
}

/** Whether the decoder is the word embedding: it was left out, or stored a second time with the same bits. */
function isTied(
  word: StoredTensor | undefined,
  decoder: StoredTensor | undefined,
  mayTie: boolean,
  packed: boolean,
): boolean {
  if (packed) return decoder === undefined;
  return word && decoder ? isSame(word, decoder) : mayTie;
}

/** Tools that store shared tensors once keep the first name of the alphabet, which is the decoder's. */
function shareDecoder(found: Map<string, Entry>, names: Names, used: Set<string>): Unused[] {
  const decoder = names.of("head.mlm.decoder.weight");
  const word = names.of("embed.word");
  const entry = found.get(decoder);
  used.add(decoder);
  if (!entry) return [];
  if (found.has(word)) return [{ name: entry.name, why: "tied" }];
  found.set(word, entry);
  return [];
}

function newNative({ arch }: Config, source: string): NativeModel {
  try {
    return new NativeModel(arch);
  } catch (error) {
    if (error instanceof UffbError) throw new UffbError(`${source}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** How a family's own code stores a tensor, other than in packed files: its name, its shape, and how that represents [rows, cols]. */
export interface StoredForm {
  name: string;
  shape: number[];
  layout: number;
  /** Which rows it has, where the engine's tensor is several of the family's. */
  share?: Share;
}

/** One form, or several that the engine's tensor is to be split into. */
export function storedForms({ family, arch }: Config, wanted: Tensor): StoredForm[] {
  const names = new Names(family, false);
  const { shape, layout } = formOf(wanted, names.role(wanted.name));
  const stored = names.all(wanted.name);
  if (stored.length === 1) return [{ name: stored[0]!, shape, layout }];
  const [rows = 0, ...rest] = shape;
  return stored.map((name, part) => ({
    name,
    shape: [rows / stored.length, ...rest],
    layout,
    share: { part, parts: stored.length, heads: headsIn(arch, wanted.name) },
  }));
}

/** Heads of the layer that a tensor of the engine is part of. */
function headsIn(arch: Config["arch"], name: string): number {
  return headCount(arch, Number(/^layer\.(\d+)\./.exec(name)![1]));
}

/** The engine's vectors, by name: a matrix can have one row, too. */
const VECTOR = /norm\d?\.weight$|\.(bias|scale)$/;

function formOf({ name, rows, cols, layout }: Tensor, role: Role | undefined): Omit<StoredForm, "name"> {
  if (role?.nodesInColumns && layout === UFFB_ROWS) return { shape: [cols, rows], layout: UFFB_COLUMNS };
  const vector = role?.scalar ? [] : [cols];
  return { shape: VECTOR.test(name) ? vector : [rows, cols], layout: UFFB_ROWS };
}

function bind(wanted: Tensor, role: Role, { name, tensor }: Entry, packed: boolean): Binding {
  const label = `${tensor.file}: tensor ${quoted(name)} is ${tensor.dtype} [${tensor.shape.join(", ")}]`;
  const dtype =
    packed && canBeIntegers(wanted, tensor.dtype)
      ? INTEGERS[tensor.dtype as Integers].dtype
      : WEIGHT_DTYPES[tensor.dtype];
  if (dtype === undefined)
    throw new UffbError(`${label}; weights can be ${Object.keys(WEIGHT_DTYPES).join(", ")}`);
  const { shape, layout } = packed ? packedForm(wanted, tensor.dtype) : formOf(wanted, role);
  if (withoutLeadingOnes(shape) !== withoutLeadingOnes(tensor.shape)) {
    throw new UffbError(`${label}, but config.json asks for [${shape.join(", ")}]; do they belong together?`);
  }
  return { wanted, name, tensor, dtype, layout };
}

/** Shapes are compared without leading ones: [1, 64] stands for [64], and [] for [1]. */
function withoutLeadingOnes(shape: readonly number[]): string {
  const first = shape.findIndex((size) => size !== 1);
  return first < 0 ? "" : shape.slice(first).join();
}

function misfit(missing: readonly string[], unexpected: readonly string[], source: string): UffbError {
  const parts: string[] = [];
  if (missing.length > 0) parts.push(`lacks the ${list(missing)}`);
  if (unexpected.length > 0) parts.push(`has the unexpected ${list(unexpected)}`);
  const hint =
    missing.length > 0
      ? "does config.json belong to this checkpoint?"
      : "uffb convert --ignore-unknown leaves them out, if config.json belongs to this checkpoint";
  return new UffbError(`${source}: ${parts.join(", and ")}; ${hint}`);
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, MAX_NAMES).map(quoted).join(", ");
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : "";
  return `tensor${names.length > 1 ? "s" : ""} ${shown}${more}`;
}
