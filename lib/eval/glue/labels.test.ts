import { describe, expect, test } from "bun:test";
import { findTasks } from "../../data/tasks.ts";
import type { Model } from "../../model/model.ts";
import { matchLabels } from "./labels.ts";

const model = (labels: string[], task: "mlm" | "classification" | "regression" = "classification") =>
  ({ source: "ckpt", config: { task, labels, arch: { labels: labels.length } } }) as unknown as Model;
const task = (name: string) => findTasks([name])[0]!;

describe("matchLabels", () => {
  test("finds classes by name, in any order and spelling", () => {
    expect(matchLabels(task("mnli-m"), model(["CONTRADICTION", "NEUTRAL", "ENTAILMENT"]))).toEqual({
      order: [2, 1, 0],
    });
    expect(matchLabels(task("rte"), model(["entailment", "not entailment"]))).toEqual({ order: [0, 1] });
    expect(matchLabels(task("boolq"), model(["False", "True"]))).toEqual({ order: [0, 1] });
  });

  test("takes names that say nothing in order, and other names only if it is forced to, with a warning", () => {
    expect(matchLabels(task("rte"), model(["LABEL_0", "LABEL_1"]))).toEqual({ order: [0, 1] });
    const other = model(["negative", "positive"]);
    expect(() => matchLabels(task("rte"), other)).toThrow(
      "ckpt calls its labels negative, positive, and RTE entailment, not_entailment: give --model one fine-tuned for it, or add --force",
    );
    const { order, warning } = matchLabels(task("rte"), other, true);
    expect(order).toEqual([0, 1]);
    expect(warning).toBe(
      "ckpt calls its labels negative, positive, and RTE entailment, not_entailment; they are taken in this order",
    );
  });

  test("a regression has one score", () => {
    expect(matchLabels(task("stsb"), model(["similarity"], "regression"))).toEqual({ order: [0] });
  });

  test.each([
    [
      "sst2",
      model([], "mlm"),
      "ckpt is a masked language model without a classification head; SST-2 needs 2 labels (negative, positive)",
    ],
    [
      "mnli-m",
      model(["no", "yes"]),
      "ckpt has 2 labels (no, yes); MNLI-m needs 3 labels (entailment, neutral, contradiction)",
    ],
    ["stsb", model(["no", "yes"]), "ckpt has 2 labels (no, yes); STS-B needs one score"],
    [
      "rte",
      model(["similarity"], "regression"),
      "ckpt has one score; RTE needs 2 labels (entailment, not_entailment)",
    ],
  ])("says what a checkpoint has and what %s needs", (name, checkpoint, message) => {
    expect(() => matchLabels(task(name), checkpoint)).toThrow(message);
  });
});
