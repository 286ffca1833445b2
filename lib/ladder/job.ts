/** What all rungs of a ladder work on. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { CancelledError } from "../../ffi/status.ts";
import type { Dataset } from "../data/load.ts";
import type { DistilOptions } from "../distil/distil.ts";
import type { DistilRecipe } from "../distil/recipe.ts";
import type { Kept } from "../distil/student.ts";
import { modelHash } from "../distil/teacher.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import type { Feedforward } from "../model/families/feedforward.ts";
import type { Python } from "./torch.ts";

export interface LadderJob {
  /** Path of a classifier or scorer, fine-tuned for the task. */
  teacher: string;
  /** What students learn from. */
  train: Dataset;
  /** What is timed and scored, never learnt from. */
  dev: Dataset;
  /** Folder for models and results. */
  folder: string;
  kept: Kept;
  /** Neurons of each feedforward layer after pruning. */
  pruneWidth: number;
  /** Heads of all layers together after it; all where it is absent. */
  pruneHeads?: number | undefined;
  /** What feedforward layers become on the rung of trees. */
  trees: Feedforward;
  /** Share of the score, 0 to 1, that trees may lose against the teacher for later rungs to have them. */
  mostLost: number;
  recipe: DistilRecipe;
  /** Rounds in which each rung runs in its turn; the median counts. */
  repeat: number;
  /** Of training; 0 for all that this process may use. */
  threads: number;
  /** With torch and transformers; absent where there is none. */
  python?: Python | undefined;
  signal?: AbortSignal | undefined;
  /** Of training. */
  display: Pick<DistilOptions, "onStart" | "onStep" | "onEpoch" | "onEncode" | "onWarning" | "describe">;
  onProgress(title: string, done: number, total: number): void;
}

/** @throws CancelledError when the run is to end */
export function checkStopped({ signal }: LadderJob): void {
  if (signal?.aborted) throw new CancelledError("stopped; the same command goes on");
}

/** SHA-256 of the examples of a split. */
export function dataHash({ examples }: Dataset): string {
  const hash = createHash("sha256");
  for (const { texts, label } of examples) hash.update(`${JSON.stringify([texts, label])}\n`);
  return hash.digest("hex");
}

/** SHA-256 of a model and of what cuts its texts into tokens. */
export function hashOf(path: string): string {
  const checkpoint = openCheckpoint(path);
  const tokenizer = checkpoint.file("tokenizer.json")?.text ?? "";
  return createHash("sha256").update(modelHash(checkpoint)).update(tokenizer).digest("hex");
}

/** Bytes of a model's file, which holds its tokenizer, or of weights, tokenizer and config in its folder. */
export function modelBytes(path: string): number {
  if (!statSync(path).isDirectory()) return statSync(path).size;
  const names = readdirSync(path);
  const weights = names.some((name) => name.endsWith(".safetensors")) ? /\.safetensors$/ : /\.(bin|pt)$/;
  const files = names.filter((name) => weights.test(name) || /\.(json|txt)$/.test(name));
  return files.reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

/** SHA-256 of JSON. */
export const hashJson = (value: unknown) => createHash("sha256").update(JSON.stringify(value)).digest("hex");

/** A file's text, or undefined where there is none. */
export function textIfThere(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, "utf8") : undefined;
}
