import { describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { UffbError } from "../base/errors.ts";
import { readParquet } from "../rows/parquet.ts";
import { type DataOptions, loadSplit } from "./load.ts";
import { findTasks, type Split, TASKS } from "./tasks.ts";

const FIXTURES = fileURLToPath(new URL("../../fixtures/glue", import.meta.url));
const SHARED = fileURLToPath(new URL("../../../shared/data", import.meta.url));
const HUB = { cacheDir: join(FIXTURES, "hub") };
const EMPTY = { cacheDir: join(FIXTURES, "nothing-here") };

const load = (name: string, split: Split, options: DataOptions = { data: FIXTURES }) =>
  loadSplit(findTasks([name])[0]!, split, options);

/** Labels, and the texts of the first example, of the rows made by hand with each data set's own header. */
const BY_HAND: [name: string, labels: number[], first: string[]][] = [
  ["cola", [1, 0, 1], ["The cat slept on the mat."]],
  ["sst2", [1, 0], ["a warm and funny film "]],
  ["mrpc", [1, 0], ['"We are pleased, he said.', "He said that they were pleased."]],
  ["stsb", [4.75, 0], ["A man is walking.", "A man walks."]],
  ["qqp", [1, 0], ["How do I learn to cook?", "What is the best way to learn cooking?"]],
  ["mnli-m", [2, 0, 1], ["He closed the door.", "The door was open for ever."]],
  ["mnli-mm", [0, 2], ["They sew shirts.", "Shirts are sewn."]],
  ["qnli", [0, 1], ["Who wrote the play?", "The play was written by Ibsen."]],
  ["rte", [0, 1], ["The ship sank in 1912.", "A ship sank."]],
  ["wnli", [1, 0], ["The cup fell off the shelf because it was tilted.", "The shelf was tilted."]],
  ["boolq", [1, 0], ["is salt a mineral", "Salt -- Salt is a mineral."]],
  ["cb", [1, 0, 2], ["A: I do not think he left.", "he left"]],
  ["copa", [0, 1], ["cause", "The glass broke.", "It fell.", "It was full."]],
  ["wic", [0, 1], ["bank", "We sat on the bank of the river.", "The bank lent money."]],
  ["multirc", [1, 0, 1, 0], ["What does Tom have?", "Tom has a red boat. He sails on Sundays.", "A boat"]],
  ["super-rte", [0, 1], ["The ship sank in 1912.", "A ship sank."]],
  ["wsc", [1, 0], ["Ann thanked Bea because she had helped.", "2", "4", "Bea", "she"]],
  ["axb", [1, 0], ["The cat sat on the mat.", "The cat did not sit on the mat."]],
  ["axg", [0, 0], ["The nurse told the guest that she would wait.", "The nurse would wait."]],
];

describe("rows made by hand", () => {
  test("are there for every task", () => {
    expect(BY_HAND.map(([name]) => name).sort()).toEqual(TASKS.map(({ name }) => name).sort());
  });

  test.each(BY_HAND)("%s", async (name, labels, first) => {
    const { examples, warnings } = await load(name, "dev");
    expect(examples.map(({ label }) => label!)).toEqual(labels);
    expect(examples[0]!.texts).toEqual(first);
    expect(warnings.at(-1)).toContain(` ${findTasks([name])[0]!.title} dev has `); // a few rows are not the published number
  });

  test.each(["cola", "sst2", "mrpc", "stsb", "qqp", "mnli-m", "mnli-mm", "qnli", "rte", "wnli"])(
    "%s test has no labels",
    async (name) => {
      const { examples } = await load(name, "test");
      expect(examples.length).toBeGreaterThan(0);
      for (const { label, texts } of examples) {
        expect(label).toBeUndefined();
        expect(texts).toEqual(texts.filter((text) => text.length > 3));
      }
    },
  );

  test("a short row is named and left out, and those after it keep their place", async () => {
    const { examples, bad, warnings } = await load("qqp", "dev");
    expect(examples.map(({ index, line }) => [index, line])).toEqual([
      [0, 2],
      [2, 4],
    ]);
    expect(bad).toEqual([{ line: 3, error: "4 of 6 columns", file: join(FIXTURES, "QQP/dev.tsv") }]);
    expect(warnings[0]).toBe(`${join(FIXTURES, "QQP/dev.tsv")}:3 cannot be read (4 of 6 columns); left out`);
  });

  test("MNLI in CSV, the folder given directly, an undecided label left out", async () => {
    const { examples, bad } = await load("mnli-m", "dev", { data: join(FIXTURES, "MNLI-csv") });
    expect(examples.map(({ texts }) => texts)).toEqual([
      ["Well, yes", "I agree "],
      ['He said "no".', "He said\nyes."],
    ]);
    expect(bad[0]!.error).toBe('label "-" is none of entailment, neutral, contradiction');
    expect(bad[0]!.line).toBe(5);
  });

  test("MultiRC rows know their question", async () => {
    const { examples } = await load("multirc", "dev");
    expect(examples.map(({ group }) => group!)).toEqual(["0-0", "0-0", "0-1", "1-2"]);
  });
});

describe("the hub's parquet files in the cache", () => {
  test.each([
    ["mrpc", "dev", [1, 0], ["He said so.", "So he said."]],
    ["mrpc", "test", [undefined], ["It rained.", "Rain fell."]],
    ["stsb", "dev", [4.75, 0], ["A man walks.", "A man is walking."]],
    ["mnli-m", "dev", [2, 0], ["He closed it.", "It was open."]],
    ["multirc", "dev", [1, 0], ["What does Tom have?", "Tom has a boat.", "A boat"]],
    ["wsc", "dev", [1], ["Ann thanked Bea because she had helped.", "2", "4", "Bea", "she"]],
    ["axb", "dev", [0], ["All dogs bark.", "My dog barks."]],
  ] as const)("%s %s", async (name, split, labels, first) => {
    const { examples } = await load(name, split, HUB);
    expect(examples.map(({ label }) => label)).toEqual([...labels]);
    expect(examples[0]!.texts).toEqual([...first]);
    expect(examples.map(({ index }) => index)).toEqual(examples.map((_, i) => i));
  });

  test("are fetched when they are not there", async () => {
    const asked: string[] = [];
    const fetch = {
      ...EMPTY,
      download: async (task: { name: string }, split: string) => void asked.push(`${task.name} ${split}`),
    };
    await expect(load("rte", "dev", fetch)).rejects.toThrow("no RTE dev data in the cache");
    expect(asked).toEqual(["rte dev"]);
    const offline = { ...EMPTY, download: () => Promise.reject(new UffbError("no network")) };
    await expect(load("rte", "dev", offline)).rejects.toThrow(
      /no network; give --data FOLDER with .* or run "uffb download --dataset nyu-mll\/glue"/,
    );
  });

  test("offline, the error names both ways", async () => {
    await expect(load("boolq", "dev", EMPTY)).rejects.toThrow(
      'no BoolQ dev data in the cache; give --data FOLDER with BoolQ/val.jsonl, BoolQ/validation.parquet, or run "uffb download --dataset aps/super_glue" where there is a network',
    );
  });
});

describe("what is not there or not right", () => {
  const inFolder = async (files: Record<string, string>, check: (folder: string) => Promise<void>) => {
    const folder = mkdtempSync(join(tmpdir(), "uffb-glue-"));
    try {
      await mkdir(join(folder, "rte"));
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      await check(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  test("a folder without the task", () =>
    inFolder({}, async (folder) => {
      await expect(load("rte", "dev", { data: folder })).rejects.toThrow(
        `${folder}: no RTE dev data; it should hold one of RTE/dev.tsv`,
      );
      await expect(load("rte", "dev", { data: join(folder, "no") })).rejects.toThrow(
        "cannot be read as a folder (ENOENT)",
      );
    }));

  test.each([
    ["csv", "sentence1,sentence2,label\na,b,-1\n"],
    ["tsv", "sentence1\tsentence2\tlabel\na\tb\t-1\n"],
  ])("the hub's label for none, -1, as %s has it", (format, content) =>
    inFolder({ [`rte/test.${format}`]: content }, async (folder) => {
      const { examples, bad } = await load("rte", "test", { data: folder });
      expect(examples.map(({ texts, label }) => [texts, label])).toEqual([[["a", "b"], undefined]]);
      expect(bad).toEqual([]);
    }),
  );

  test("another task's file, a file without a readable row, an empty file", () =>
    inFolder({ "rte/dev.tsv": "index\tquestion\tsentence\tlabel\n" }, async (folder) => {
      const file = join(folder, "rte/dev.tsv");
      await expect(load("rte", "dev", { data: folder })).rejects.toThrow(
        `${file}:1: no column sentence1, sentence2 in the header`,
      );
      await writeFile(file, "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tmaybe\n");
      await expect(load("rte", "dev", { data: folder })).rejects.toThrow(
        `${file}:2 cannot be read (label "maybe" is none of`,
      );
      await writeFile(file, "");
      await expect(load("rte", "dev", { data: folder })).rejects.toThrow("0 rows, where RTE dev has 277");
    }));

  test("a file that is not parquet, or lacks a part", () =>
    inFolder({ "rte/validation-00000-of-00002.parquet": "PAR1" }, async (folder) => {
      await expect(load("rte", "dev", { data: folder })).rejects.toThrow("1 of 2 parts of validation");
      await writeFile(join(folder, "rte/validation-00001-of-00002.parquet"), "PAR1 and no more");
      await expect(load("rte", "dev", { data: folder })).rejects.toThrow("cannot be read as parquet");
    }));

  test.each([
    "datasets--nyu-mll--glue/snapshots/0123456789abcdef0123456789abcdef01234567/mrpc",
    "datasets--aps--super_glue/snapshots/0123456789abcdef0123456789abcdef01234567/multirc",
  ])("any bytes in a parquet file give rows or a clear error: %s", async (path) => {
    const file = Bun.file(join(FIXTURES, "hub", path, "validation-00000-of-00001.parquet"));
    const good = new Uint8Array(await file.arrayBuffer());
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
        const bytes = good.slice();
        for (const [at, value] of changes) bytes[at] = value;
        const result = await readParquet(bytes, "x.parquet").catch((error: unknown) => error);
        expect(Array.isArray(result) || result instanceof UffbError).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

/** Rows and label totals of the data sets that the project was given (shared/README.md): count of each class, or sum of scores. */
const REAL: [name: string, split: Split, totals: number[] | number][] = [
  ["mrpc", "train", [1194, 2474]],
  ["mrpc", "dev", [129, 279]],
  ["rte", "train", [1249, 1241]],
  ["rte", "dev", [146, 131]],
  ["cola", "train", [2528, 6023]],
  ["cola", "dev", [322, 721]],
  ["sst2", "train", [29780, 37569]],
  ["sst2", "dev", [428, 444]],
  ["stsb", "train", 15528.043],
  ["stsb", "dev", 3545.861],
  ["qnli", "dev", [2702, 2761]],
  ["mnli-m", "dev", [3479, 3123, 3213]],
  ["boolq", "dev", [1237, 2033]],
];

describe.skipIf(!existsSync(SHARED))("the real data sets", () => {
  test.each(REAL)("%s %s", async (name, split, totals) => {
    const { examples, bad, warnings } = await load(name, split, {
      data: join(SHARED, name === "boolq" ? "superglue" : "glue"),
    });
    expect(warnings).toEqual([]); // so the number of rows is the published one
    expect(bad).toEqual([]);
    if (typeof totals === "number") {
      expect(examples.reduce((sum, { label }) => sum + label!, 0)).toBeCloseTo(totals, 3);
    } else {
      expect(totals.map((_, c) => examples.filter(({ label }) => label === c).length)).toEqual(totals);
    }
  });

  test("mrpc test, without labels", async () => {
    const { examples, warnings } = await load("mrpc", "test", { data: join(SHARED, "glue") });
    expect([examples.length, warnings.length]).toEqual([1725, 0]);
  });

  test("RTE as the hub has it is RTE as GLUE has it", async () => {
    const folder = join(SHARED, "glue/RTE");
    const rows = await readParquet(
      new Uint8Array(await Bun.file(join(folder, "validation-00000-of-00001.parquet")).arrayBuffer()),
      "x",
    );
    const { examples } = await load("rte", "dev", { data: folder });
    expect(rows.length).toBe(277);
    expect(
      rows.map((row) => [row.get(["sentence1"]), row.get(["sentence2"]), Number(row.get(["label"]))]),
    ).toEqual(examples.map(({ texts, label }) => [texts[0], texts[1], label!]));
  });
});
