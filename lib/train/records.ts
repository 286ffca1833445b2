/** The records of a run's log, in order. */
import type { MetricName } from "../data/tasks.ts";

export interface StepRecord {
  event: "step";
  /** From 1. */
  step: number;
  /** Pass over the data, from 1. */
  epoch: number;
  /** In pretraining: what is predicted. */
  objective?: Objective;
  /** Mean over what the step predicts. */
  loss: number;
  /** In distillation: the weighted squared differences of states from the teacher's, which `loss` has not. */
  guided?: number;
  /** In pretraining: share of the predicted tokens that the model holds likeliest. */
  accuracy?: number;
  lr: number;
  /** Of the whole gradient, before clipping. */
  grad_norm: number;
  tokens: number;
  seconds: number;
}

/** How the tokens of a layer spread over the leaves of its trees. */
export interface TreeRecord {
  layer: number;
  leaves: number;
  reached: number;
  dead: number;
  /** Bits, of log2(leaves of a tree) at most. */
  entropy: number;
}

export interface EpochRecord {
  event: "epoch";
  epoch: number;
  /** Steps so far. */
  step: number;
  /** Mean over the epoch's steps, with dropout. */
  train_loss: number;
  /** Mean over the examples to validate on, without; absent when there are none. */
  valid_loss?: number;
  scores?: Partial<Record<MetricName, number>>;
  /** Whether it is the best so far. */
  best?: boolean;
  /** Of the training tokens since the epoch began, or since the run went on; absent without trees. */
  trees?: TreeRecord[];
  seconds: number;
}

/** Tokens that were masked, or each token from those before it. */
export type Objective = "masked" | "causal";

/** A model in pretraining, scored on text that was held out. */
export interface ScoreRecord {
  event: "score";
  step: number;
  /** Trained on so far. */
  tokens: number;
  objective: Objective;
  /** Mean over the held-out tokens that are predicted. */
  loss: number;
  accuracy: number;
  /** Of the training tokens since the last score, or since the run went on; absent without trees. */
  trees?: TreeRecord[];
  seconds: number;
}

export interface NoteRecord {
  event: "start" | "resume" | "checkpoint" | "interrupted" | "stopped" | "end";
  step: number;
  [about: string]: unknown;
}

export type LogRecord = StepRecord | EpochRecord | ScoreRecord | NoteRecord;

export function isStep(record: LogRecord): record is StepRecord {
  return record.event === "step";
}

/** Records as they stand in a file: one JSON object a line. */
export function jsonLines(records: readonly LogRecord[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}
