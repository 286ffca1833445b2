/** Trains what is not trained yet, one model after the other; what is there stays, and a model that was stopped goes on. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { UffbError } from "../../base/errors.ts";
import { readObject, show } from "../../base/json.ts";
import { readRegularText } from "../../base/read.ts";
import { mean } from "../../base/statistics.ts";
import { writeWhole } from "../../base/write.ts";
import { runFolder } from "../../train/keep.ts";
import type { StepReport } from "../../train/loop.ts";
import { type PretrainOutcome, pretrain, type Vocabulary } from "../../train/pretrain/pretrain.ts";
import { settingsOf } from "../../train/pretrain/recipe.ts";
import { pace } from "../../train/pretrain/report.ts";
import type { Tokens } from "../../train/pretrain/tokens.ts";
import type { ScoreRecord } from "../../train/records.ts";
import { type Contender, type Plan, recipeOf } from "./plan.ts";
import { readTrained, type Trained } from "./results.ts";

export interface IsoJob {
  plan: Plan;
  vocabulary: Vocabulary;
  tokens: Tokens;
  /** Where all of it goes. */
  folder: string;
}

export interface IsoOptions {
  threads?: number | undefined;
  /** Ends the step, writes a checkpoint, and throws CancelledError. */
  signal?: AbortSignal | undefined;
  /** A model begins, of so many; `done` of them are there. */
  onModel?(contender: Contender, seed: number, done: number, all: number): void;
  onStep?(report: StepReport): void;
  onTrained?(trained: Trained): void;
  onWarning?(text: string): void;
}

/** A folder of a contender's model, and the file of its results. */
export function placesOf(folder: string, { name }: Pick<Contender, "name">, seed: number) {
  const own = `${name.replace(/\W/g, "-")}-seed${seed}`;
  return { model: join(folder, "models", own), result: join(folder, "models", `${own}.json`) };
}

/**
 * Trains all contenders with each seed: first all with the first seed, so that there is something to see early.
 * @throws UffbError when the folder holds other models; CancelledError
 */
export async function trainAll(job: IsoJob, options: IsoOptions): Promise<Trained[]> {
  const { plan, folder } = job;
  mkdirSync(join(folder, "models"), { recursive: true });
  await keepPlan(job);
  const all = Array.from({ length: plan.seeds }, (_, i) =>
    plan.contenders.map((contender) => ({ contender, seed: i + 1 })),
  ).flat();
  const trained: Trained[] = [];
  for (const [i, { contender, seed }] of all.entries()) {
    const places = placesOf(folder, contender, seed);
    let found = existsSync(places.model) ? readTrained(places.result) : undefined;
    if (found === undefined) {
      options.onModel?.(contender, seed, i, all.length);
      found = await trainOne(job, contender, seed, options);
      options.onTrained?.(found);
    }
    trained.push(found);
  }
  return trained;
}

async function trainOne(
  { plan, vocabulary, tokens, folder }: IsoJob,
  contender: Contender,
  seed: number,
  { threads, signal, onStep, onWarning }: IsoOptions,
): Promise<Trained> {
  const { model, result } = placesOf(folder, contender, seed);
  // Without its result it was stopped between the two.
  rmSync(model, { recursive: true, force: true });
  const outcome = await pretrain(
    {
      shape: { ...plan.shape, feedforward: contender.feedforward, vocab: vocabulary.tokenizer.vocabSize },
      vocabulary,
      tokens,
    },
    {
      recipe: recipeOf(plan, contender, seed),
      output: model,
      resume: existsSync(join(runFolder(model), "state.safetensors")),
      threads,
      signal,
      ...(onStep && { onStep }),
      ...(onWarning && { onWarning }),
    },
  );
  const trained = trainedOf(contender, seed, outcome);
  await writeWhole(result, `${JSON.stringify(trained, null, 2)}\n`);
  return trained;
}

function trainedOf({ name }: Contender, seed: number, outcome: PretrainOutcome): Trained {
  const { score, tokens, seconds, start } = outcome;
  if (score === undefined)
    throw new UffbError("the corpus is too small to hold some of it out; give more text");
  const { loss, accuracy } = score;
  const bits = meanBits(score);
  return {
    name,
    seed,
    loss,
    accuracy,
    tokens,
    parameters: start.parameters,
    ...(bits !== undefined && { bits }),
    seconds,
    tokens_per_second: pace(outcome)?.tokensPerSecond ?? 0,
  };
}

function meanBits({ trees }: ScoreRecord): number | undefined {
  if (!trees || trees.length === 0) return undefined;
  return mean(trees.map(({ entropy }) => entropy));
}

/** Results of other settings are not comparable, so a folder is one plan's; contenders and seeds may be added. */
async function keepPlan({ plan, tokens, vocabulary, folder }: IsoJob): Promise<void> {
  const path = join(folder, "plan.json");
  const settings = {
    ...plan.shape,
    ...settingsOf(plan.recipe),
    vocab: vocabulary.tokenizer.vocabSize,
    corpus: tokens.facts.key,
  };
  const text = `${JSON.stringify(settings, null, 2)}\n`;
  if (!existsSync(path)) {
    await writeWhole(path, text);
    return;
  }
  const there = readObject(readRegularText(path, { most: 1 << 20 }), path);
  const now = JSON.parse(text) as Record<string, unknown>;
  const other = Object.keys({ ...there, ...now }).find(
    (key) => JSON.stringify(there[key]) !== JSON.stringify(now[key]),
  );
  if (other === undefined) return;
  const [was, is] = [there[other], now[other]].map(show);
  throw new UffbError(
    `${folder}: its models were trained with another ${other}: ${was}, now ${is}; give the same, or another folder`,
  );
}
