/**
 * Models that differ in their feedforward layers alone: trained alike, timed in turn, compared. Everything lies in one folder:
 *
 *     plan.json       how they are trained
 *     models/         each model, and beside it what came of it (NAME-seedN.json)
 *     iso.csv, iso.md, iso.svg
 *
 * The same command goes on where it was stopped, and adds contenders and seeds that are new.
 */
import { join } from "node:path";
import { writeWhole } from "../../base/write.ts";
import { sequencesOf } from "../../train/pretrain/pretrain.ts";
import { chart } from "./chart.ts";
import { csv, markdown, type ReportFacts } from "./report.ts";
import { type Row, rowsOf } from "./results.ts";
import { timeAll } from "./time.ts";
import { type IsoJob, type IsoOptions, placesOf, trainAll } from "./train.ts";

/** Sequences of held-out text for the measurement. */
const SEQUENCES = 32;

export interface IsoRun extends IsoOptions {
  /** Of the measurement. */
  seconds: number;
  facts: Omit<ReportFacts, "threads">;
  onTiming?(done: number): void;
}

/** @throws UffbError, CancelledError */
export async function runIso(job: IsoJob, options: IsoRun): Promise<Row[]> {
  const { plan, folder } = job;
  const trained = await trainAll(job, options);
  const shape = {
    ...plan.shape,
    feedforward: plan.contenders[0]!.feedforward,
    vocab: job.vocabulary.tokenizer.vocabSize,
  };
  const sequences = sequencesOf({ ...job, shape }, plan.recipe);
  const held = Array.from({ length: SEQUENCES }, (_, i) => sequences.held(i % sequences.heldOut));
  const threads = 1;
  const times = await timeAll(
    plan.contenders.map((contender) => ({ ...contender, model: placesOf(folder, contender, 1).model })),
    held,
    { seconds: options.seconds, threads, ...(options.onTiming && { onProgress: options.onTiming }) },
  );
  const rows = rowsOf(plan, trained, times);
  await writeWhole(join(folder, "iso.csv"), csv(rows));
  await writeWhole(join(folder, "iso.svg"), chart(rows, "What a feedforward layer is worth"));
  await writeWhole(join(folder, "iso.md"), markdown(plan, rows, { ...options.facts, threads }));
  return rows;
}
