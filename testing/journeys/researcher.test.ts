/** A researcher's first hour: does it run, is it as fast as the paper says, does it score the same? On a terminal of 80 x 24. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { TemporaryFolder } from "../folders.ts";
import { collisions } from "../svg.ts";
import { onTerminal, tooWide } from "../terminal.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const uffb = `'${process.execPath}' '${root}cmd/main.ts'`;
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

beforeAll(() => {
  mkdirSync(folder.file("glue/SST-2"), { recursive: true });
  const rows = (count: number) =>
    Array.from({ length: count }, (_, i) => (i % 2 ? `a fine film ${i}\t1` : `a dull book ${i}\t0`));
  for (const [name, count] of [
    ["train", 64],
    ["dev", 20],
  ] as const)
    writeFileSync(
      folder.file(`glue/SST-2/${name}.tsv`),
      `${["sentence\tlabel", ...rows(count)].join("\n")}\n`,
    );
});

/** The layer of a test that has no half minute: what is shown of it has the same form. */
const SMALL = "--hidden 64 --depth 5 --seconds 0.05 --warm";

const JOURNEY: readonly [command: string, shown: RegExp][] = [
  ["uffb --help", /bench +Time fast feedforward layers/],
  ["uffb bench --help", /EXAMPLES\n +uffb bench --quick\n/],
  [`uffb bench --quick ${SMALL} --svg layers.svg`, /Against the fastest dense one, FFF makes the layer/],
  [`uffb bench --blas ours --level 1 --level 2 --level 3 ${SMALL} --batch 1,16`, /fff level 2, ours/],
  ["uffb bench --fields", /seconds_per_token +the median call/],
  [`uffb bench --batch 1,128 ${SMALL} --format md > layers.md`, /^$/],
  ["uffb glue sst2 --data glue --epochs 1 --predictions a.jsonl", /SST-2 +accuracy/],
  ["uffb glue sst2 --data glue --epochs 2 --seed 2 --predictions b.jsonl", /SST-2 +accuracy/],
  ["uffb glue compare a.jsonl b.jsonl", /McNemar's exact test: p = /],
];

test.each(JOURNEY)("%s", async (line, expected) => {
  // Messages are lines of any length, for logs, too: what is shown here is the result.
  const command = `${line.replace("uffb ", `${uffb} `)} 2> messages`;
  const { shown, exitCode } = await onTerminal(command, { cwd: folder.path });
  expect([exitCode, Bun.stripANSI(shown)]).toEqual([0, expect.stringMatching(expected)]);
  expect(tooWide(shown)).toEqual([]);
});

test("what was written is whole", () => {
  const svg = readFileSync(folder.file("layers.svg"), "utf8");
  expect(svg).toContain("Feedforward layer 1x5, hidden 64");
  expect(collisions(svg)).toEqual([]);
  expect(readFileSync(folder.file("layers.md"), "utf8")).toMatch(
    /^1x5, hidden 64; .*\n\n\| contender \| 1 \| 128 \|/,
  );
  expect(readFileSync(folder.file("a.jsonl"), "utf8").trimEnd().split("\n")).toHaveLength(20);
});
