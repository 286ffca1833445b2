import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { REFERENCE, REFERENCE_BERT, TemporaryFolder } from "../../testing/folders.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openSafetensors } from "../files/safetensors/safetensors.ts";
import { openModel } from "../model/model.ts";
import { type Head, openTrainable } from "../model/trainable.ts";
import { initialiseHead } from "./head.ts";
import { saveClassifier } from "./save.ts";

const THREE: Head = { task: "classification", labels: ["a", "b", "c"] };

describe("a model with a head of its own is saved as it was", () => {
  test.each([
    [REFERENCE, "cls-2"],
    [REFERENCE, "cls-reg"],
    [REFERENCE_BERT, "bert-cls"],
    [REFERENCE_BERT, "roberta-cls"],
  ])("%s%s", async (root, name) => {
    using folder = new TemporaryFolder();
    const checkpoint = openCheckpoint(root + name);
    const { config, trainer, fresh } = openTrainable(checkpoint);
    using _ = trainer;
    expect(fresh).toEqual([]);
    trainer.ready({ threads: 1 });
    await saveClassifier(folder.file("out"), trainer, config, checkpoint, { "README.md": "x" });
    expect(readFileSync(folder.file("out/README.md"), "utf8")).toBe("x");
    const [before, after] = [root + name, folder.file("out")].map((path) =>
      openSafetensors(`${path}/model.safetensors`),
    );
    for (const [tensor, { shape, data }] of after!) {
      expect([tensor, before!.get(tensor)?.shape]).toEqual([tensor, shape]);
      expect(Buffer.from(data).equals(before!.get(tensor)!.data)).toBe(true);
    }
    const left = [...before!.keys()].filter((tensor) => !after!.has(tensor));
    expect(left.filter((tensor) => !/position_ids|norm_factor|seq_relationship/.test(tensor))).toEqual([]);
  });
});

describe("a model gets another head", () => {
  test.each([
    [REFERENCE, "fff-1x5", "ScriptableLMForSequenceClassification", 4],
    [REFERENCE, "dense-ff", "ScriptableLMForSequenceClassification", 4],
    [REFERENCE, "cls-2", "ScriptableLMForSequenceClassification", 2],
    [REFERENCE_BERT, "bert-mlm", "BertForSequenceClassification", 4],
    [REFERENCE_BERT, "roberta-cls", "RobertaForSequenceClassification", 2],
    [REFERENCE_BERT, "distilbert-mlm", "DistilBertForSequenceClassification", 4],
  ])("%s%s", async (root, name, architecture, count) => {
    using folder = new TemporaryFolder();
    const checkpoint = openCheckpoint(root + name);
    const { config, trainer, fresh } = openTrainable(checkpoint, THREE);
    using _ = trainer;
    expect(fresh.map((parameter) => parameter.name)).toHaveLength(count);
    initialiseHead(trainer, fresh, 1);
    trainer.ready({ threads: 1 });
    await saveClassifier(folder.file("out"), trainer, config, checkpoint, {});
    const written = JSON.parse(readFileSync(folder.file("out/config.json"), "utf8"));
    expect([written.architectures, written.id2label, written.problem_type]).toEqual([
      [architecture],
      { 0: "a", 1: "b", 2: "c" },
      "single_label_classification",
    ]);
    using model = await openModel(folder.file("out"));
    expect([model.config.task, model.config.labels]).toEqual(["classification", ["a", "b", "c"]]);
    // The encoder is untouched, and new weights are those of the seed.
    const head = trainer.get("head.class.weight");
    const squares = head.reduce((sum, value) => sum + value * value, 0);
    expect(Math.sqrt(squares / head.length)).toBeGreaterThan(0.015);
    expect(Math.sqrt(squares / head.length)).toBeLessThan(0.025);
    expect(trainer.get("head.class.bias")).toEqual(new Float32Array(3));
  });

  test("of several labels, or of scores", async () => {
    using folder = new TemporaryFolder();
    const checkpoint = openCheckpoint(`${REFERENCE_BERT}bert-mlm`);
    for (const head of [
      { task: "multi-label", labels: ["x", "y"] },
      { task: "regression", labels: [] },
    ] satisfies Head[]) {
      const { config, trainer, fresh } = openTrainable(checkpoint, head);
      using _ = trainer;
      initialiseHead(trainer, fresh, 1);
      await saveClassifier(folder.file(head.task), trainer, config, checkpoint, {});
      using model = await openModel(folder.file(head.task));
      expect([model.config.task, model.config.labels]).toEqual([
        head.task,
        head.task === "regression" ? ["LABEL_0"] : head.labels,
      ]);
    }
  });

  test("the last layer of another task is not kept, and that of the same is", () => {
    const checkpoint = openCheckpoint(`${REFERENCE}cls-2`);
    const own: Head = { task: "classification", labels: ["LABEL_0", "LABEL_1"] };
    for (const [head, names] of [
      [own, []],
      [THREE, ["head.class.weight", "head.class.bias"]],
    ] as const) {
      const { trainer, fresh } = openTrainable(checkpoint, head);
      using _ = trainer;
      expect(fresh.map(({ name }) => name)).toEqual([...names]);
    }
  });
});
