import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { reviews } from "../testing/finetune.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const FIXTURES = fileURLToPath(new URL("../fixtures/glue", import.meta.url));
const SHARED = fileURLToPath(new URL("../../shared", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "uffb-glue-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function uffb(...line: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { ...process.env, HF_HUB_CACHE: join(folder, "no-cache"), HF_HUB_OFFLINE: "1" };
  const child = Bun.spawn([process.execPath, MAIN, "glue", ...line], { env, stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err };
}

function file(name: string, predictions: readonly number[]): string {
  const path = join(folder, name);
  const line = (prediction: number, index: number) =>
    JSON.stringify({ index, label: index % 2, prediction, logits: [0, 0] });
  writeFileSync(path, predictions.map((prediction, index) => `${line(prediction, index)}\n`).join(""));
  return path;
}

describe("uffb glue compare", () => {
  const a = file("a.jsonl", [0, 1, 0, 1, 0, 1]);
  const b = file("b.jsonl", [0, 1, 0, 1, 1, 0]);

  test("prints a table, or JSON", async () => {
    const { code, out, err } = await uffb("compare", a, b);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain(`A: ${a}\nB: ${b}\n6 examples`);
    expect(out).toContain("right in A alone: 2, in B alone: 0; McNemar's exact test: p = 0.500\n");
    const json = JSON.parse((await uffb("compare", a, b, "--json")).out);
    expect([json.a, json.b, json.examples, json.metrics[0].b]).toEqual([a, b, 6, 4 / 6]);
  });

  test.each([
    [["compare", a], 2, "compare takes two files"],
    [["compare", a, b, "--model", "x"], 2, "compare only reads predictions; leave --model out"],
    [["compare", a, join(folder, "none")], 1, "none: no such file"],
  ] as const)("refuses %j", async (line, status, message) => {
    const { code, out, err } = await uffb(...line);
    expect([code, out]).toEqual([status, ""]);
    expect(err).toContain(message);
    expect(err.trim().split("\n").length).toBe(1);
  });
});

describe("uffb glue", () => {
  test.each([
    [[], 2, "TASK is missing"],
    [["mrpc"], 1, "no MRPC train data"],
    [["mrpc", "--cosine"], 2, "MRPC does not score two texts"],
    [["mrpc", "--ladder"], 2, "give --model a checkpoint"],
    [["mrpc", "--seeds", "2", "--save", "m"], 2, "several seeds need several places: --save '…-{seed}'"],
    [["mrpc", "--resume"], 2, "--resume goes on with a run of --save"],
    [["mrcp", "--model", "x"], 2, '"mrcp" is not a task'],
    [["all", "--model", "x"], 1, "no task is left"],
    [["mrpc", "rte", "--model", "x", "--predictions", "p"], 2, "--predictions '…/{task}'"],
    [["mrpc", "rte", "--save", "m"], 2, "--save '…/{task}'"],
    [["mrpc", "--model", "x", "--instances", "2", "--threads", "2"], 2, "leave --threads out"],
    [
      ["mrpc", "--model", "x", "--instances", "2", "--device", "cuda"],
      2,
      "with --device, leave --instances out",
    ],
    [["mrpc", "--model", "x", "--ladder", "--device", "cuda"], 2, "leave --device out"],
    [["mrpc", "--model", "x", "--device-dtype", "bf16"], 2, "--device-dtype is for --device cuda"],
    [["mrpc", "--model", "x", "--ladder", "--fixed-length"], 2, "leave --fixed-length out"],
    [["mrpc", "--model", "x", "--int8", "y"], 2, "--int8 is for --ladder"],
    [["mrpc", "--model", join(folder, "none")], 1, "none"],
    [["mrpc", "--model", "x", "--cosine"], 2, "MRPC does not score two texts"],
    [["stsb", "--model", "x", "--cosine", "--errors", "3"], 2, "leave --errors out"],
  ] as const)("refuses %j", async (line, status, message) => {
    const { code, out, err } = await uffb(...line);
    expect([code, out]).toEqual([status, ""]);
    expect(err).toContain(message);
  });

  describe.skipIf(!existsSync(SHARED))("with a fine-tuned model", () => {
    const model = join(SHARED, "model-tiny-{task}");

    test("data on stdout, warnings on stderr, predictions in a file", async () => {
      const predictions = join(folder, "{task}.jsonl");
      const { code, out, err } = await uffb(
        "mrpc",
        "SST-2",
        "--model",
        model,
        "--data",
        FIXTURES,
        "--json",
        "--predictions",
        predictions,
      );
      expect(code).toBe(0);
      expect(
        JSON.parse(out).tasks.map(({ task, examples }: { task: string; examples: number }) => [
          task,
          examples,
        ]),
      ).toEqual([
        ["mrpc", 2],
        ["sst2", 2],
      ]);
      expect(
        err
          .trim()
          .split("\n")
          .map((line) => line.replace(/.*: /, "")),
      ).toEqual(["2 rows, where MRPC dev has 408", "2 rows, where SST-2 dev has 872"]);
      expect((await Bun.file(join(folder, "sst2.jsonl")).text()).split("\n").length).toBe(3);
    });

    test("the ladder has the same logits on every rung but the 8-bit ones, and the speed of each", async () => {
      const int8 = join(folder, "int8.uffb.safetensors");
      const convert = [
        process.execPath,
        MAIN,
        "convert",
        model.replace("{task}", "mrpc"),
        "--dtype",
        "int8",
        "-o",
        int8,
      ];
      expect(await Bun.spawn(convert, { stdout: "ignore", stderr: "ignore" }).exited).toBe(0);
      const ladder = ["mrpc", "--model", model, "--data", FIXTURES, "--ladder"];
      const { code, out } = await uffb(...ladder, "--json", "--int8", int8);
      expect(code).toBe(0);
      const { rungs } = JSON.parse(out).ladders[0] as {
        rungs: { name: string; logit_error: number; speed_up: number }[];
      };
      expect(rungs.map(({ name, logit_error }) => [name.replace(/\d+ i/, "i"), logit_error === 0])).toEqual([
        ["fixed length 128", true],
        ["dynamic length", true],
        ["dynamic length, instances", true],
        ["dynamic length, int8", false],
        ["dynamic length, int8, instances", false],
      ]);
      expect(rungs[4]!.logit_error).toBe(rungs[3]!.logit_error);
      expect(rungs[4]!.logit_error).toBeLessThan(0.2);
      const refused = await uffb(...ladder, "--int8", model.replace("{task}", "mrpc"));
      expect([refused.code, refused.out]).toEqual([1, ""]);
      expect(refused.err).toContain("has no 8-bit weights; make it with uffb convert --dtype int8");
    }, 30_000);

    test("offline with nothing cached, the error names both ways", async () => {
      const { code, out, err } = await uffb("mrpc", "--model", model);
      expect([code, out]).toEqual([1, ""]);
      expect(err).toContain("give --data FOLDER");
      expect(err).toContain('run "uffb download --dataset nyu-mll/glue"');
    });
  });
});

describe("a model without a head is fine-tuned first", () => {
  const data = join(folder, "data");
  mkdirSync(join(data, "SST-2"), { recursive: true });
  const rows = (count: number) =>
    `sentence\tlabel\n${reviews(count)
      .map(({ text, label }) => `${text}\t${Number(label === "good")}\n`)
      .join("")}`;
  writeFileSync(join(data, "SST-2/train.tsv"), rows(36));
  writeFileSync(join(data, "SST-2/dev.tsv"), rows(8));
  const quick = ["sst2", "--data", data, "--epochs", "1", "--threads", "1"];

  test("and kept where --save says, to be evaluated as it is", async () => {
    const save = join(folder, "sst2-model");
    const svg = join(folder, "sst2-{seed}.svg");
    const first = await uffb(...quick, "--save", save, "--json", "--svg", svg);
    expect(readFileSync(svg.replace("{seed}", "1"), "utf8")).toContain("<svg");
    expect([first.code, first.err]).toEqual([
      0,
      expect.stringContaining("the built-in model has no head for SST-2; it is fine-tuned first"),
    ]);
    expect(readFileSync(join(save, "README.md"), "utf8")).toContain("| SST-2, train | 36 |");
    const again = await uffb("sst2", "--data", data, "--model", save, "--json");
    const scores = [first, again].map(({ out }) => JSON.parse(out).tasks[0].metrics);
    expect(scores[0]).toEqual(scores[1]);
    const refused = await uffb(...quick, "--model", save);
    expect([refused.code, refused.err]).toEqual([
      2,
      expect.stringContaining("has a head and is evaluated as it is"),
    ]);
    const all = await uffb("all", "--data", data, "--model", save);
    expect([all.code, all.err]).toEqual([2, expect.stringContaining("--model 'folder/{task}'")]);
  }, 60_000);

  test("with several seeds, median and spread are shown", async () => {
    const { code, out } = await uffb(...quick, "--seeds", "2", "--json");
    expect(code).toBe(0);
    const { seeds, tasks } = JSON.parse(out);
    expect(seeds).toEqual([1, 2]);
    const [{ task, metric, values, median }] = tasks;
    expect([task, metric, values.length, median]).toEqual([
      "sst2",
      "accuracy",
      2,
      (values[0] + values[1]) / 2,
    ]);
    const text = (await uffb(...quick, "--seeds", "2")).out;
    expect(text).toMatch(/^task +metric +median +deviation +least +most +seeds\nSST-2 +accuracy .* 2\n/);
    expect(text).toMatch(/\nUltraFastBERT-1x11-long +89\.9 /);
  }, 60_000);
});
