/** Where a run keeps what it needs to go on: a folder beside its result, which goes away when the result is there. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { NativeTrainer, Parameter } from "../../ffi/train.ts";
import { UffbError, UsageError } from "../base/errors.ts";
import { type JsonObject, show } from "../base/json.ts";
import { checkWritable } from "../base/write.ts";
import { checkSpace } from "../hub/disk.ts";
import { RunLog } from "./log.ts";
import { savedBytes } from "./save.ts";
import {
  newProgress,
  openState,
  type Progress,
  restoreState,
  restoreWeights,
  saveState,
  saveWeights,
  stateBytes,
} from "./state.ts";

/** The folder of a run whose result is to be `output`. */
export function runFolder(output: string): string {
  return `${output.replace(/\/+$/, "")}.run`;
}

/** Keeps a run, on disk where it has a result to come. */
export class Keeper implements Disposable {
  readonly progress: Progress;
  readonly log: RunLog;
  readonly #folder: string | undefined;
  readonly #settings: JsonObject;
  readonly #trainer: NativeTrainer;
  readonly #warn: (text: string) => void;
  #best: [Parameter, Float32Array][] | undefined;

  /**
   * Takes up a trainer that is ready, and with `resume` brings it to where the run was stopped.
   * @param settings what the run is: it goes on only with the same
   * @throws UffbError when there is nothing to go on with, or it is another run's
   */
  constructor(
    trainer: NativeTrainer,
    output: string | undefined,
    settings: JsonObject,
    { resume, warn }: { resume: boolean; warn(text: string): void },
  ) {
    this.#trainer = trainer;
    this.#settings = settings;
    this.#warn = warn;
    this.#folder = output === undefined ? undefined : runFolder(output);
    this.progress = resume ? this.#resume() : newProgress(trainer.isa);
    if (this.#folder !== undefined) mkdirSync(this.#folder, { recursive: true });
    this.log = new RunLog(this.#folder && this.#file("log.jsonl"), this.progress.logBytes);
  }

  /** Whether there is anywhere to write checkpoints to. */
  get onDisk(): boolean {
    return this.#folder !== undefined;
  }

  /** Writes a checkpoint. A disk that is full costs the checkpoint, not the run. */
  async checkpoint(): Promise<void> {
    try {
      this.log.add({ event: "checkpoint", step: this.progress.step });
      this.progress.logBytes = this.log.flush();
      await saveState(this.#file("state.safetensors"), this.#trainer, this.#settings, this.progress);
    } catch (error) {
      if (!(error instanceof UffbError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
      this.#warn(`no checkpoint of step ${this.progress.step}: ${(error as Error).message}`);
    }
  }

  /** Keeps the weights as they are. */
  async keepBest(): Promise<void> {
    if (this.#folder !== undefined) await saveWeights(this.#file("best.safetensors"), this.#trainer);
    else {
      const own = this.#trainer.parameters().filter(({ trainable, present }) => trainable && present);
      this.#best = own.map((parameter) => [parameter, this.#trainer.get(parameter.name)]);
    }
  }

  /** Gives the trainer the weights that were kept. */
  restoreBest(): void {
    if (this.#folder !== undefined) restoreWeights(this.#file("best.safetensors"), this.#trainer);
    for (const [{ name }, weights] of this.#best ?? []) this.#trainer.set(name, weights);
  }

  /** Removes the folder: the result is there. */
  remove(): void {
    this[Symbol.dispose]();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    this.log[Symbol.dispose]();
  }

  #file(name: string): string {
    return join(this.#folder!, name);
  }

  #resume(): Progress {
    const path = this.#file("state.safetensors");
    const state = openState(path);
    const changed = Object.keys({ ...state.settings, ...this.#settings }).find(
      (key) => JSON.stringify(state.settings[key]) !== JSON.stringify(this.#settings[key]),
    );
    if (changed !== undefined) {
      const [was, is] = [state.settings[changed], this.#settings[changed]].map((value) =>
        value === undefined ? "not set" : show(value),
      );
      throw new UffbError(
        `${path}: was written by another run: its ${changed} was ${was} and is ${is} now; give the same, or remove the folder and start again`,
      );
    }
    restoreState(path, state, this.#trainer);
    const { isa } = this.#trainer;
    if (state.progress.isa !== isa)
      this.#warn(
        `the run began with ${state.progress.isa} and goes on with ${isa}: its last digits may differ`,
      );
    return { ...state.progress, isa };
  }
}

/**
 * Checks, before anything is read, that a result can be written, and that a run that was stopped there is not overwritten.
 * @throws UffbError
 */
export function checkOutput(output: string, resume: boolean): void {
  checkWritable(output);
  const folder = runFolder(output);
  const there = existsSync(join(folder, "state.safetensors"));
  if (there && !resume)
    throw new UsageError(`${folder} holds a run that was stopped; add --resume to go on, or remove it`);
  if (!there && resume)
    throw new UsageError(`${folder} holds no run to go on with; leave --resume out to start one`);
}

/** What a run that begins or goes on has: its engine, and the steps done before. */
export interface Begun {
  isa: string;
  threads: number;
  done: number;
}

/**
 * Takes up a run with a trainer that is ready: checks that there is room for all of it, and logs that it begins or goes on.
 * @param onBegin tells what is known before the first step
 * @throws UffbError as the Keeper, and for a disk that is too full; what `onBegin` throws
 */
export async function beginRun<Start>(
  trainer: NativeTrainer,
  output: string | undefined,
  settings: JsonObject,
  options: { resume: boolean; warn(text: string): void },
  onBegin: (begun: Begun) => Start,
): Promise<{ keeper: Keeper; start: Start }> {
  // Two checkpoints, while one takes the other's place, the best weights, and the result.
  const bytes = 2 * stateBytes(trainer) + 2 * savedBytes(trainer);
  if (output !== undefined) await checkSpace(runFolder(output), bytes);
  const keeper = new Keeper(trainer, output, settings, options);
  if (trainer.compute === "bf16" && !trainer.multipliesBf16)
    options.warn(`this CPU has no instructions that multiply bf16 (it runs ${trainer.isa}): f32 is faster`);
  try {
    const { step } = keeper.progress;
    const engine = { isa: trainer.isa, threads: trainer.threads };
    keeper.log.add({ event: options.resume ? "resume" : "start", step, ...settings, ...engine });
    return { keeper, start: onBegin({ ...engine, done: step }) };
  } catch (error) {
    keeper[Symbol.dispose]();
    throw error;
  }
}
