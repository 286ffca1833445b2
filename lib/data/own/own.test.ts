import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { TemporaryFolder } from "../../../testing/folders.ts";
import { forgeParquet } from "../../../testing/parquet.ts";
import { UffbError } from "../../base/errors.ts";
import type { TableFormat } from "../../rows/format.ts";
import { chooseColumns } from "./columns.ts";
import { type OwnOptions, readExamples } from "./examples.ts";
import { holdOut } from "./split.ts";
import { readTable } from "./table.ts";

const OPTIONS: OwnOptions = { split: 0, seed: 1 };

/** Reads the examples of a file with this content. */
async function examples(name: string, content: string | Uint8Array, options: Partial<OwnOptions> = {}) {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file(name), content);
  try {
    return await readExamples(folder.file(name), { ...OPTIONS, ...options });
  } catch (error) {
    if (error instanceof UffbError) error.message = error.message.replaceAll(`${folder.path}/`, "");
    throw error;
  }
}

const CSV = 'text,label\n"good, very",yes\n"a ""bad"" one",no\n';

/** A file of one row in each format. */
const SAMPLES: Record<TableFormat, string | Uint8Array> = {
  csv: "text,label\na,x\n",
  tsv: "text\tlabel\na\tx\n",
  jsonl: '{"text":"a","label":"x"}\n',
  parquet: forgeParquet(1, [{ name: "text" }, { name: "label" }]),
};

describe("formats", () => {
  test.each(Object.entries(SAMPLES))("%s is known by its ending", async (ending, content) => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file(`a.${ending}`), content);
    const { format, columns, rows, bad } = await readTable(folder.file(`a.${ending}`));
    expect([format, columns, rows.length, bad]).toEqual([ending as TableFormat, ["text", "label"], 1, []]);
  });

  const expected = [
    [["good, very"], 1, 2],
    [['a "bad" one'], 0, 3],
  ];
  const jsonl = '{"text":"good, very","label":"yes"}\n{"text":"a \\"bad\\" one","label":"no"}\n';
  test.each([
    ["a.csv", CSV],
    ["a.CSV", `\ufeff${CSV.replaceAll("\n", "\r\n")}`],
    ["a.csv.gz", gzipSync(CSV)],
    ["a.tsv", 'text\tlabel\ngood, very\tyes\na "bad" one\tno\n'],
    ["tabs", 'text\tlabel\ngood, very\tyes\na "bad" one\tno\n'],
    ["commas.txt", CSV],
  ])("%s", async (name, content) => {
    const { train } = await examples(name, content);
    expect(train.map(({ texts, target, line }) => [texts, target, line])).toEqual(expected);
  });

  test.each([["a.jsonl"], ["a.json"], ["lines"]])("%s, JSON lines", async (name) => {
    const { train } = await examples(name, jsonl);
    expect(train.map(({ texts, target }) => [texts, target])).toEqual(expected.map((row) => row.slice(0, 2)));
  });

  test("Parquet", async () => {
    const path = fileURLToPath(new URL("../../../fixtures/glue/hub", import.meta.url));
    const [file] = [...new Bun.Glob("**/*validation*.parquet").scanSync(path)].sort();
    const { format, columns, rows } = await readTable(`${path}/${file}`);
    expect(format).toBe("parquet");
    expect(columns).toContain("label");
    expect(rows.length).toBeGreaterThan(0);
  });

  test.each([
    ["a.csv", "", "a.csv: has no rows"],
    ["a.csv", "text,label\n", "a.csv: has no rows"],
    ["a.csv.gz", Uint8Array.of(0x1f, 0x8b, 8, 0), "cannot be unpacked as gzip"],
    ["a.csv", "text;label\na;b\n", 'separated by ";"'],
    ["a.csv", "text,text\na,b\n", 'two columns are called "text"'],
    ["a.json", '[{"text":"a"}]', "one object a line".replace("one object", "an object")],
    ["a", "hello\n", "neither its name nor its content"],
    ["a.parquet", "hello\n", "cannot be read as parquet"],
  ])("refuses %s with %j", async (name, content, message) => {
    await expect(examples(name, content)).rejects.toThrow(message);
  });

  test("any bytes are read or refused by a message", async () => {
    const ending = fc.constantFrom(...Object.keys(SAMPLES), "x", "csv.gz");
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.string({ maxLength: 300 }).map((text) => new TextEncoder().encode(text)),
      fc.string().map((text) => new TextEncoder().encode(`text,label\n${text},a\nx,b\n`)),
    );
    await fc.assert(
      fc.asyncProperty(ending, content, async (end, bytes) => {
        await examples(`a.${end}`, bytes, { skipBad: true }).catch((error) => {
          if (!(error instanceof UffbError)) throw error;
        });
      }),
      { numRuns: 200 },
    );
  });
});

describe("columns", () => {
  const choose = (columns: string[], flags = {}) => {
    const { texts, labels, guessed } = chooseColumns({ source: "f", columns }, flags);
    return [texts, labels, guessed];
  };
  test.each([
    [
      ["id", "Text", "Label"],
      {},
      [["Text"], ["Label"], 'text from column "Text", label from column "Label"'],
    ],
    [
      ["premise", "hypothesis", "label"],
      {},
      [["premise", "hypothesis"], ["label"], expect.stringContaining("second text")],
    ],
    [["a", "sentiment"], {}, [["a"], ["sentiment"], expect.any(String)]],
    [["text", "x"], {}, [["text"], ["x"], expect.any(String)]],
    [["a", "b", "c"], { text: "b", label: ["a"] }, [["b"], ["a"], ""]],
    [["a", "b", "c"], { text: "b", textPair: "c", label: ["a"] }, [["b", "c"], ["a"], ""]],
    [["text", "x", "y"], { label: ["x", "y"] }, [["text"], ["x", "y"], 'text from column "text"']],
    [["question", "label"], { text: "question" }, [["question"], ["label"], 'label from column "label"']],
  ])("%j with %j", (columns, flags, expected) => {
    expect(choose(columns, flags)).toEqual(expected);
  });

  test.each([
    [["a", "b", "c"], {}, "which column is the text?"],
    [["text", "b", "c"], {}, "which column is the label?"],
    [
      ["text", "label"],
      { label: ["lable"] },
      '--label lable is not a column; f has the columns "text", "label"',
    ],
    [["text", "label"], { textPair: "label" }, "name the first one, too"],
    [["text", "label"], { text: "label", label: ["label"] }, "named twice"],
  ])("refuses %j with %j", (columns, flags, message) => {
    expect(() => choose(columns, flags)).toThrow(message);
  });
});

describe("labels", () => {
  const read = async (labels: unknown[], options: Partial<OwnOptions> = {}) => {
    const lines = labels.map((label, i) => JSON.stringify({ text: `t${i}`, label }));
    const { labels: found, train } = await examples("a.jsonl", lines.join("\n"), options);
    return [found.kind, found.names, train.map(({ target }) => target)];
  };
  test.each([
    [["b", "a", "b"], {}, ["classification", ["a", "b"], [1, 0, 1]]],
    [[10, 9, 10], {}, ["classification", ["9", "10"], [1, 0, 1]]],
    [[true, false], {}, ["classification", ["false", "true"], [1, 0]]],
    [[0.5, 3], {}, ["regression", [], [0.5, 3]]],
    [["0.5", "3"], {}, ["regression", [], [0.5, 3]]],
    [[1, 2], { kind: "regression" }, ["regression", [], [1, 2]]],
    [
      Array.from({ length: 30 }, (_, i) => i),
      {},
      ["regression", [], Array.from({ length: 30 }, (_, i) => i)],
    ],
    [
      [["x"], ["y", "x"], []],
      {},
      [
        "multi-label",
        ["x", "y"],
        [
          [1, 0],
          [1, 1],
          [0, 0],
        ],
      ],
    ],
    [
      ["x", "y; x", ""],
      { kind: "multi-label" },
      [
        "multi-label",
        ["x", "y"],
        [
          [1, 0],
          [1, 1],
          [0, 0],
        ],
      ],
    ],
  ] as const)("%j with %j", async (labels, options, expected) => {
    expect(await read([...labels], options)).toEqual(expected as never);
  });

  test("several columns are several labels", async () => {
    const options = { label: ["rude", "loud"] };
    const { labels, train } = await examples("a.csv", "text,rude,loud\na,0,1\nb,true,\n", options);
    expect([labels.kind, labels.names]).toEqual(["multi-label", ["rude", "loud"]]);
    expect(train.map(({ target }) => target)).toEqual([
      [0, 1],
      [1, 0],
    ]);
    await expect(examples("a.csv", "text,rude,loud\na,0,2\n", options)).rejects.toThrow(
      'line 2 ("2" in column "loud" is neither 0 nor 1)',
    );
  });

  test.each([
    [["a", "a"], {}, 'every row has the label "a"; there is nothing to learn'],
    [[1.5, 1.5], {}, "every row has the score 1.5"],
    [["a", null, "b"], {}, "line 2 (no label)"],
    [["a", "1.5"], { kind: "regression" }, 'line 1 ("a" is not a number)'],
    [[null, null], {}, 'no row has anything in column "label"'],
  ] as const)("refuses %j with %j", async (labels, options, message) => {
    await expect(read([...labels], options)).rejects.toThrow(message);
  });

  test("names bad rows, or leaves them out", async () => {
    const content = "text,label\na,x\nb\n,y\nc,y\nd,\n";
    await expect(examples("a.csv", content)).rejects.toThrow(
      'a.csv: cannot use line 3 (1 cells, and the header names 2 columns), line 4 (no text in column "text"), line 6 (no label); mend them, or leave them out with --skip-bad',
    );
    const { train, origins, warnings } = await examples("a.csv", content, { skipBad: true });
    expect(train.map(({ line }) => line)).toEqual([2, 5]);
    expect(origins[0]).toMatchObject({ rows: 2, left: 3 });
    expect(warnings[0]).toContain("left out line 3");
  });

  test("a file to validate on may have no label of its own", async () => {
    using folder = new TemporaryFolder();
    const valid = folder.file("v.csv");
    writeFileSync(valid, "text,label\na,z\n");
    await expect(examples("a.csv", CSV, { valid })).rejects.toThrow(
      'v.csv: cannot use line 2 (the label "z" is not among those of the training data: "no", "yes")',
    );
    writeFileSync(valid, "text,label\na,yes\n");
    const read = await examples("a.csv", CSV, { valid });
    expect([read.train.length, read.valid.map(({ target }) => target)]).toEqual([2, [1]]);
    expect(read.warnings).toEqual([
      'no example to validate on has the label "no"; scores say nothing about it',
    ]);
    writeFileSync(valid, "words,label\na,yes\n");
    await expect(examples("a.csv", CSV, { valid })).rejects.toThrow('has no column "text"');
  });
});

describe("holdOut", () => {
  test("takes its share of each class, and the same with the same seed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(4), { minLength: 1, maxLength: 300 }),
        fc.double({ min: 0.01, max: 0.9, noNaN: true }),
        fc.nat(),
        (targets, share, seed) => {
          const held = holdOut(targets, "classification", share, seed);
          expect(holdOut(targets, "classification", share, seed)).toEqual(held);
          expect(new Set(held).size).toBe(held.length);
          for (const [label, all] of Map.groupBy(targets, (target) => target)) {
            const count = held.filter((i) => targets[i] === label).length;
            expect(count).toBeLessThan(all.length);
            if (count < all.length - 1)
              expect(Math.abs(count - share * all.length)).toBeLessThan(1.5 + targets.length / 100);
          }
        },
      ),
    );
  });

  test("takes scores from everywhere", () => {
    const scores = Array.from({ length: 100 }, (_, i) => i / 7);
    const held = holdOut(scores, "regression", 0.2, 3);
    expect(held.length).toBe(20);
    for (let band = 0; band < 10; band++)
      expect(held.filter((i) => Math.floor(i / 10) === band).length).toBe(2);
  });
});
