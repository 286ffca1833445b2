import { UsageError } from "../base/errors.ts";
import type { OwnData, OwnExample } from "../data/own/examples.ts";
import type { Texts } from "./encode.ts";
import type { Job } from "./finetune.ts";
import { type Judge, metricsOf } from "./validate.ts";

/** Examples of a user's own as a job. @throws UsageError when epochs cannot be judged by `judge` */
export function ownJob({ labels, train, valid, origins, columns }: OwnData, judge?: Judge): Job {
  const { kind, names } = labels;
  const metrics = metricsOf(kind, names.length);
  if (judge !== undefined && judge !== "loss" && !metrics.includes(judge)) {
    throw new UsageError(
      `--metric ${judge} is not for this task (${kind}, ${names.length} labels); choose loss, ${metrics.join(", ")}`,
    );
  }
  return {
    kind,
    labels: names,
    train: toTexts(train),
    valid: valid.length > 0 ? toTexts(valid) : undefined,
    metrics,
    judge: judge ?? metrics[0]!,
    data: {
      files: origins.map(({ sha256, rows }) => ({ sha256, rows })),
      columns: [...columns.texts, ...columns.labels],
      held: origins.length > 1 ? 0 : valid.length,
    },
  };
}

function toTexts(examples: readonly OwnExample[]): Texts {
  return {
    texts: examples.map(({ texts }) => texts),
    targets: examples.map(({ target }) => target),
    place: (i) => `${examples[i]!.source}:${examples[i]!.line}`,
  };
}
