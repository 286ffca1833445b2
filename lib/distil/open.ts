/** A model that teaches: what it says of a text, and how it reads one. */
import { UFFB_POOL_FIRST, UFFB_POOL_LSE, UFFB_POOL_MAX, UFFB_POOL_MEAN } from "../../ffi/bindings.ts";
import { poolingName } from "../../ffi/context.ts";
import { UffbError } from "../base/errors.ts";
import type { Head } from "../eval/glue/run.ts";
import { openBuiltin } from "../files/builtin.ts";
import { type Checkpoint, openCheckpoint } from "../files/checkpoint.ts";
import { type Model, openModel } from "../model/model.ts";
import { encodeText, longest } from "../run/prepare.ts";
import { promptFor } from "../run/prompt.ts";
import type { Examples } from "../train/batches.ts";
import { encodeTexts, type Texts } from "../train/encode.ts";
import type { Compared } from "./recipe.ts";

/** A model that teaches, open. */
export interface TeacherModel extends Disposable {
  model: Model;
  checkpoint: Checkpoint;
  compared: Compared;
  /** Of sentence vectors: UFFB_POOL_MEAN and so on. */
  pooling: number;
}

/** Poolings that can be trained. */
const POOLINGS = [UFFB_POOL_MEAN, UFFB_POOL_FIRST, UFFB_POOL_MAX, UFFB_POOL_LSE];

/** @throws UffbError for a model that has nothing to teach here */
export async function openTeacher(path: string | undefined): Promise<TeacherModel> {
  const model = await openModel(path);
  try {
    const compared = comparedOf(model);
    const pooling = compared === "vectors" ? poolingOf(model) : UFFB_POOL_FIRST;
    const checkpoint = path === undefined ? openBuiltin() : openCheckpoint(path);
    return { model, checkpoint, compared, pooling, [Symbol.dispose]: () => model[Symbol.dispose]() };
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

function comparedOf({ config: { task, architecture }, source }: Model): Compared {
  switch (task) {
    case "embedding":
      return "vectors";
    case "classification":
    case "multi-label":
    case "regression":
      return task;
    default: {
      const what = {
        mlm: "a masked language model",
        tokens: "a classifier of tokens",
        other: `a ${architecture}`,
      };
      throw new UffbError(
        `${source} is ${what[task]}; a teacher classifies texts, scores them or makes sentence vectors`,
      );
    }
  }
}

function poolingOf(model: Model): number {
  const sentence = model.sentence();
  const [own = "mean", ...others] = sentence?.pooling.poolings ?? [];
  const pooling = POOLINGS.find((code) => poolingName(code) === own);
  const module = sentence?.after.find(({ kind }) => kind !== "Normalize")?.kind;
  if (pooling === undefined || others.length > 0 || module !== undefined)
    throw new UffbError(
      `${model.source}: makes vectors by ${[own, ...others, ...(module ? [module] : [])].join(", ")}; a teacher pools by ${POOLINGS.map(poolingName).join(", ")} alone`,
    );
  return pooling;
}

/** What is read off a batch of a teacher: logits, or the pooled vectors. */
export function headOf({ model, compared, pooling }: TeacherModel): Head {
  const { labels, hidden } = model.config.arch;
  return compared === "vectors"
    ? { width: hidden, read: (context) => context.pool(poolingName(pooling)) }
    : { width: labels, read: (context) => context.classify() };
}

/** Most tokens of a text that a model reads for what is compared. */
export function mostTokens(model: Model, compared: Compared): number {
  return compared === "vectors" ? longest(model, model.sentence()) : model.config.arch.maxLength;
}

/** Texts as a model reads them. `cut`: how many were longer than `maxLength` tokens. */
export function readAs(
  model: Model,
  compared: Compared,
  texts: Texts,
  maxLength: number,
): Examples & { cut: number } {
  if (compared !== "vectors") return encodeTexts(model, texts, maxLength);
  const tokenizer = model.tokenizer();
  const { tokenTypes } = model.config.arch;
  const as = { sentence: model.sentence(), prompt: promptFor(model, { embeds: true }) };
  let cut = 0;
  const inputs = texts.texts.map(([text]) => {
    const { ids, types, dropped } = encodeText(tokenizer, text!, as, { maxLength });
    if (dropped > 0) cut++;
    return tokenTypes > 1 ? { ids, types } : { ids };
  });
  return { inputs, targets: [], place: texts.place, text: (i) => texts.texts[i]![0]!, cut };
}
