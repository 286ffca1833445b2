import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { reviewsCsv } from "../../testing/finetune.ts";
import { reference, TemporaryFolder } from "../../testing/folders.ts";
import { writeTinyBert } from "../../testing/tiny-bert.ts";
import { convertModel } from "../convert/convert.ts";
import { run as encodeAll } from "../eval/glue/run.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { parseConfig } from "../model/config.ts";
import { type Feedforward, feedforwardArch } from "../model/families/feedforward.ts";
import { openModel } from "../model/model.ts";
import { PLAIN_SENTENCES } from "../text/sample.ts";
import { type DistilData, readLabelled, readTexts } from "./data.ts";
import { type DistilOptions, distil } from "./distil.ts";
import { headOf, openTeacher, readAs } from "./open.ts";
import { DISTIL_TASK, DISTIL_VECTORS, type DistilRecipe } from "./recipe.ts";
import { distilCard, outcomeJson, outcomeText, startLines } from "./report.ts";
import { type Kept, studentShape } from "./student.ts";
import { traineeOf } from "./trainee.ts";

const folder = new TemporaryFolder();
const [encoder, classifier, doubled] = ["encoder", "classifier", "doubled"].map((name) =>
  folder.file(name),
) as [string, string, string];
const LABELS = ["good", "bad"];
/** Neurons of `doubled`, of which the second half does what the first does, but for a tenth of the weight. */
const DOUBLE = 24;

beforeAll(async () => {
  await writeTinyBert(encoder);
  await writeTinyBert(classifier, { labels: LABELS });
  await writeTinyBert(doubled, {
    width: 2 * DOUBLE,
    change(name, weight) {
      const half = weight.length / 2;
      if (/ffn\.in\.(weight|bias)$/.test(name)) weight.copyWithin(half, 0, half);
      if (!name.endsWith("ffn.out.weight")) return;
      for (const i of weight.keys()) if (i % (2 * DOUBLE) >= DOUBLE) weight[i] = weight[i - DOUBLE]! / 10;
    },
  });
  writeFileSync(folder.file("texts.txt"), PLAIN_SENTENCES.join("\n"));
  writeFileSync(folder.file("reviews.csv"), reviewsCsv(40));
});
afterAll(() => folder[Symbol.dispose]());

const QUICK: DistilRecipe = { ...DISTIL_VECTORS, epochs: 2, batch: 8, lr: 2e-3 };
const TREES: Feedforward = { kind: "trees", trees: 2, depth: 4, dense: 8, output: "linear" };
const dense = (width: number): Feedforward => ({ kind: "dense", width });

/** With outputs alone, which are computed once. */
const ALONE = { embedding: 0, states: 0, final: 0 };

const texts = () => readTexts([folder.file("texts.txt")], { split: 0.2, seed: 1 });

async function run(path: string, options: Partial<DistilOptions> = {}, own?: DistilData) {
  using teacher = await openTeacher(path);
  const losses: number[] = [];
  const outcome = await distil(teacher, own ?? (await texts()), {
    kept: { layers: [0, 2], feedforward: dense(16) },
    recipe: QUICK,
    threads: 1,
    ...options,
    onStep: (report) => {
      losses.push(report.loss);
      options.onStep?.(report);
    },
  });
  return { ...outcome, losses };
}

const weights = (path: string) => readFileSync(`${path}/model.safetensors`);

/** Units of a head of `thin`, of which some do nothing by themselves: its products have rank 8. */
const THIN = { size: 16, rank: 8 };

describe("narrower heads", () => {
  const thin = folder.file("thin-heads");
  beforeAll(() =>
    writeTinyBert(thin, {
      change(name, weight) {
        const part = /attn\.qkv\.(weight|bias)$/.exec(name)?.[1];
        const columns = part === "weight" ? 32 : 1;
        // Each unit from the ninth on is the sum of two others, of queries and of values.
        for (let row = 0; part !== undefined && row < weight.length / columns; row++) {
          const unit = row % THIN.size;
          if (unit < THIN.rank || Math.floor(row / THIN.size) % 3 === 1) continue;
          for (let c = 0; c < columns; c++) {
            const first = (row - THIN.rank) * columns + c;
            const second = (row - unit) * columns + c;
            weight[row * columns + c] = weight[first]! + weight[second]!;
          }
        }
      },
    }),
  );

  /** Of the vectors of a student of `thin` before it learns anything and its teacher's, the largest difference. */
  async function difference(headSize: number): Promise<number> {
    using teacher = await openTeacher(thin);
    const { train } = await texts();
    const { inputs } = readAs(teacher.model, teacher.compared, train, 64);
    const making = { threads: 1, fits: true };
    using trainee = await traineeOf(teacher, inputs, { kept: { headSize }, seed: 1, making });
    expect(trainee.config.arch.headSize).toBe(headSize);
    trainee.trainer.ready({ threads: 1 });
    const theirs = await encodeAll(teacher.model, inputs, { head: headOf(teacher), threads: 1 });
    const head = headOf({ ...teacher, model: trainee.model });
    const { logits } = await encodeAll(trainee.model, inputs, { head, threads: 1 });
    return logits.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs.logits[i]!)), 0);
  }

  test("give what wider ones gave whose products have no higher rank", async () => {
    expect(await difference(THIN.rank)).toBeLessThan(1e-4);
  });

  test("lose more, the narrower they are", async () => {
    const [some, more] = [await difference(6), await difference(2)];
    expect(some).toBeGreaterThan(1e-3);
    expect(more).toBeGreaterThan(some);
  });

  test("are written, open and learn", async () => {
    const output = folder.file("narrow-heads");
    const kept = { layers: [0, 2], headSize: 8 };
    const { losses } = await run(encoder, { kept, output });
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    using model = await openModel(output);
    expect([model.config.arch.headSize, model.config.arch.layers]).toEqual([8, 2]);
  });
});

describe("a student of sentence vectors", () => {
  test("comes near its teacher, and is a folder that can be opened", async () => {
    const output = folder.file("near");
    const lines: string[] = [];
    const outcome = await run(encoder, {
      output,
      recipe: { ...QUICK, epochs: 6 },
      onStart: (start) => lines.push(...startLines(start)),
      describe: (found) => ({ "README.md": distilCard(found, { title: "t", command: "c", version: "1" }) }),
    });
    const first = outcome.epochs[0]!.valid_loss!;
    expect(outcome.final!.loss).toBeLessThan(0.7 * first);
    expect(outcome.ofTeacher!.loss).toBeCloseTo(0, 6);
    expect(lines[0]).toContain("after layers 0 to 1, 1 to 2; it runs beside the student");
    expect(existsSync(`${output}.run`)).toBe(false);
    using student = await openModel(output);
    expect([student.config.arch.layers, student.config.arch.width, student.warnings]).toEqual([2, 16, []]);
    expect(readFileSync(`${output}/README.md`, "utf8")).toContain("makes sentence vectors");
    expect(outcomeText(outcome)).toContain("1 - cosine with the teacher");
    expect(JSON.parse(outcomeJson(outcome, output)).loss).toBe(outcome.final!.loss);
  });

  test.each([
    ["with the teacher beside it", QUICK, { layers: [0, 2], feedforward: dense(16) }],
    ["from what the teacher said before", { ...QUICK, ...ALONE }, { layers: [0, 2], feedforward: dense(16) }],
    ["with trees", QUICK, { layers: [0, 2], feedforward: TREES, fit: 3 }],
    ["attending like it", { ...QUICK, ...ALONE, attention: 1 }, { layers: [0, 2] }],
  ] as [string, DistilRecipe, Kept][])(
    "has the same bits on any number of threads, and after it was stopped, %s",
    async (name, recipe, kept) => {
      const [whole, stopped] = [folder.file(`whole ${name}`), folder.file(`stopped ${name}`)];
      await run(encoder, { recipe, kept, output: whole, threads: 2 });
      const controller = new AbortController();
      const onStep = ({ step }: { step: number }) => step === 3 && controller.abort();
      await expect(
        run(encoder, { recipe, kept, output: stopped, signal: controller.signal, onStep }),
      ).rejects.toThrow("stopped after step 3 of 8; the same command with --resume goes on");
      const other = run(encoder, {
        recipe,
        output: stopped,
        resume: true,
        kept: { layers: [0, 1], feedforward: dense(16) },
      });
      await expect(other).rejects.toThrow("its student was");
      const again = await run(encoder, { recipe, kept, output: stopped, resume: true });
      expect(again.losses.length).toBe(5);
      expect(weights(stopped).equals(weights(whole))).toBe(true);
    },
  );

  test("what the teacher said is used again, and made again where it is damaged", async () => {
    const cache = folder.file("cache");
    const heard = async () => {
      const said = new Set<string>();
      const { losses } = await run(encoder, {
        recipe: { ...QUICK, ...ALONE, epochs: 1 },
        cache,
        onEncode: (what) => said.add(what),
      });
      return { losses, said: [...said].filter((what) => what.startsWith("the teacher's")) };
    };
    const first = await heard();
    expect(first.said).toEqual(["the teacher's texts to validate on", "the teacher's texts"]);
    expect(readdirSync(cache).sort()).toEqual(["teacher-train.safetensors", "teacher-valid.safetensors"]);
    expect(await heard()).toEqual({ losses: first.losses, said: [] });
    writeFileSync(`${cache}/teacher-train.safetensors`, "nothing of the kind");
    expect(await heard()).toEqual({ losses: first.losses, said: ["the teacher's texts"] });
  });

  test.each([
    ["trees beside a dense layer", { feedforward: TREES, fit: 40 }],
    ["deep trees alone", { feedforward: { kind: "trees", trees: 2, depth: 5 }, layers: [0, 2], fit: 40 }],
    ["shallow trees", { feedforward: { kind: "trees", trees: 4, depth: 2, output: "after" }, fit: 40 }],
    ["fewer neurons", { feedforward: dense(24), fit: 40 }],
    ["no feedforward layers", { feedforward: { kind: "none" } }],
  ] as [string, Kept][])(
    "may have %s, fitted layer by layer, and is the same when opened again",
    async (name, kept) => {
      const output = folder.file(`shaped: ${name}`);
      const data = await texts();
      const outcome = await run(encoder, { kept, output }, data);
      const { before, after } = outcome.start.errors!;
      expect(after.length).toBe(kept.layers?.length ?? 3);
      for (const [layer, error] of after.entries()) expect(error).toBeLessThan(0.97 * before[layer]!);
      expect(startLines(outcome.start)[1]).toContain(`behind its LayerNorm: ${after[0]!.toFixed(3)} `);
      using opened = await openModel(output);
      expect([opened.warnings, opened.config.arch]).toEqual([
        [],
        expect.objectContaining(feedforwardArch(kept.feedforward!)),
      ]);
      const again = await run(
        encoder,
        { kept: {}, student: output, recipe: { ...QUICK, lr: 0, epochs: 1 } },
        data,
      );
      expect(again.final!.loss).toBe(outcome.final!.loss);
      using teacher = await openTeacher(output);
      const other = { feedforward: dense(8) };
      if (kept.feedforward!.kind !== "dense")
        expect(() => studentShape(teacher.model, other)).toThrow(
          "takes the place of plain dense feedforward layers",
        );
    },
  );

  test("can be stopped while it is made", async () => {
    const stop = run(encoder, { output: folder.file("unmade"), signal: AbortSignal.abort() });
    await expect(stop).rejects.toThrow("stopped while the student was made; nothing was written");
    expect(existsSync(folder.file("unmade.run"))).toBe(false);
  });

  test("neurons that say what others say can go without a loss", async () => {
    const recipe = { ...QUICK, lr: 0, epochs: 1 };
    const { final } = await run(doubled, { recipe, kept: { feedforward: dense(DOUBLE) } });
    expect(final!.loss).toBeLessThan(1e-5);
    const half = await run(doubled, { recipe, kept: { feedforward: dense(DOUBLE / 2) } });
    expect(half.final!.loss).toBeGreaterThan(1e-4);
  });

  test("may be made of its teacher's original, where the teacher is in int8", async () => {
    const teacher = folder.file("int8.safetensors");
    await convertModel(openCheckpoint(encoder), teacher, { to: "packed", dtype: "I8" });
    const { start, losses } = await run(teacher, { student: encoder, recipe: { ...QUICK, epochs: 1 } });
    expect(start.places.map(({ layer, teacherLayer }) => [layer, teacherLayer])).toEqual([
      [0, 1],
      [1, 2],
    ]);
    expect(losses.every(Number.isFinite)).toBe(true);
    await expect(run(teacher)).rejects.toThrow("is in integers, which cannot be trained");
  });

  test("may be another model, which takes its teacher's pooling", async () => {
    const student = folder.file("other");
    await writeTinyBert(student, { layers: 1, width: 8 });
    const output = folder.file("taught");
    const { start } = await run(encoder, { student, kept: {}, output, recipe: { ...QUICK, epochs: 1 } });
    expect(start.places.map(({ layer, teacherLayer }) => [layer, teacherLayer])).toEqual([[0, 2]]);
    using _ = await openModel(output);
    const thin = folder.file("thin");
    await writeTinyBert(thin, { hidden: 16 });
    await expect(run(encoder, { student: thin, kept: {} })).rejects.toThrow(
      "makes vectors of 16 numbers, and its teacher ones of 32",
    );
  });
});

describe("a student that classifies", () => {
  const labelled = async (path = "reviews.csv") => {
    using teacher = await openTeacher(classifier);
    const { config, source } = teacher.model;
    return readLabelled(folder.file(path), { config, source }, { split: 0.2, seed: 1, label: [] });
  };
  const TASK: DistilRecipe = { ...DISTIL_TASK, epochs: 4, batch: 8, lr: 2e-3, dropout: 0 };

  test("learns what its teacher says, with its labels in their order", async () => {
    const data = await labelled();
    // The file's first row is good, which is the teacher's class 0 and the second by name.
    expect(new Set(data.train.targets)).toEqual(new Set([0, 1]));
    expect(data.train.targets[data.train.texts.findIndex(([text]) => text!.includes("good"))]).toBe(0);
    const output = folder.file("classifies");
    const { losses, final, ofTeacher } = await run(
      classifier,
      { recipe: { ...TASK, temperature: 2, hardLabels: 0.1 }, output },
      data,
    );
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
    expect([final, ofTeacher].map((found) => Object.keys(found!.scores)[0])).toEqual([
      "accuracy",
      "accuracy",
    ]);
    using student = await openModel(output);
    expect([student.config.labels, student.config.arch.layers]).toEqual([LABELS, 2]);
  });

  test("may be narrower than its teacher, compared by outputs alone", async () => {
    const student = folder.file("narrow");
    await writeTinyBert(student, { hidden: 16, layers: 1, width: 8 });
    const data = await labelled();
    await expect(run(classifier, { student, kept: {}, recipe: TASK }, data)).rejects.toThrow(
      "has states of 16 numbers, and its teacher of 32, so that they cannot be compared; add --states 0",
    );
    const { start, losses } = await run(
      classifier,
      { student, kept: {}, recipe: { ...TASK, ...ALONE } },
      data,
    );
    expect([start.newHead, start.places]).toEqual([true, []]);
    expect(losses.at(-1)!).toBeLessThan(losses[0]!);
  });

  test("may be narrower and attend like its teacher, where it has as many heads", async () => {
    const [student, other] = ["attends", "attends otherwise"].map((name) => folder.file(name)) as [
      string,
      string,
    ];
    await writeTinyBert(student, { hidden: 16, layers: 1, width: 8 });
    await writeTinyBert(other, { hidden: 16, layers: 1, width: 8, heads: 4 });
    const data = await labelled();
    const recipe = { ...TASK, ...ALONE, attention: 5 };
    const guided: number[] = [];
    const onStep = (report: { guided?: number }) => guided.push(report.guided!);
    const { start } = await run(classifier, { student, kept: {}, recipe, onStep }, data);
    expect(startLines(start)[0]).toContain(
      "attention is compared, student's to its: of layers 0 to 2; it runs",
    );
    expect(guided.at(-1)!).toBeLessThan(0.8 * guided[0]!);
    // A token's q and k of one layer of the teacher are 64 numbers.
    const alone = await run(
      classifier,
      { student, kept: {}, recipe: { ...TASK, ...ALONE, epochs: 1 } },
      data,
    );
    expect(start.memory.keptPerToken - alone.start.memory.keptPerToken).toBe(64 * 4);
    await expect(run(classifier, { student: other, kept: {}, recipe }, data)).rejects.toThrow(
      "attends otherwise has 4 heads, and layer 2 of its teacher, which it is to attend like, 2; add --attention 0",
    );
  });

  test("refuses labels that its teacher does not know", async () => {
    writeFileSync(folder.file("odd.csv"), `text,label\n${"a,good\nb,odd\n".repeat(6)}`);
    await expect(labelled("odd.csv")).rejects.toThrow("has the label odd, and");
  });
});

describe("refuses", () => {
  test.each([
    [{ layers: [0, 3] }, "--layers 0,3: give numbers from 0 to 2"],
    [{ layers: [1, 1] }, "each once and rising"],
    [{ feedforward: dense(49) }, "--shape dense:49 has more than the 48 neurons"],
    [{ feedforward: { ...TREES, dense: 49 } }, "--shape dense:49+2x4:linear has more than the 48 neurons"],
    [{ feedforward: { kind: "glu", width: 8 } }, "--shape glu:8: a student has trees, a dense layer"],
    [{ headSize: 17 }, "has heads of 16 units; give fewer"],
    [{ layers: [0], fit: 5 }, "--fit 5 is for other feedforward layers than the teacher's"],
    [{ feedforward: dense(48), fit: 5 }, "--fit 5 is for other feedforward layers than the teacher's"],
    [{ feedforward: { kind: "none" }, fit: 5 }, "--fit 5 is for trees and dense layers"],
  ] as [Kept, string][])("%j", async (kept, message) => {
    await expect(run(encoder, { kept })).rejects.toThrow(message);
  });

  test("other layers than a dense one where the family has no name for them", () => {
    const { config: values } = reference("dense-ff");
    const model = { config: parseConfig(JSON.stringify(values), "x"), source: "x" };
    expect(() => studentShape(model, { feedforward: TREES })).toThrow(
      "x: a crammedBERT cannot become a student with --shape dense:8+2x4:linear; give --shape dense:N",
    );
    expect(studentShape(model, { feedforward: dense(8) })).toMatchObject({ fit: 0 });
    expect(() => studentShape(model, { headSize: 5 })).toThrow("--head-size 5 is for models that normalise");
    expect(() => studentShape(model, { feedforward: dense(8), fit: 5 })).toThrow(
      "normalise behind each half",
    );
  });

  test("a teacher that fills masks", async () => {
    await expect(openTeacher(undefined)).rejects.toThrow("is a masked language model; a teacher classifies");
  });
});
