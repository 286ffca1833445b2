/** An engineer's first hour: a large CSV, not all of it in order, to JSON lines, CSV and a database, on a terminal of 80 x 24. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { csvCells } from "../../lib/rows/delimited.ts";
import { writeClassifier } from "../classifier.ts";
import { TemporaryFolder } from "../folders.ts";
import { onTerminal } from "../terminal.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const ROWS = 100_000;
/** Every so many rows are bad, each in its own way. */
const BAD_EVERY = 1000;

interface Review {
  id: string;
  /** Undefined where it cannot be read. */
  text?: string;
  stars: string;
}

const folder = new TemporaryFolder();
const reviews: Review[] = [];
const uffb = `'${process.execPath}' '${root}cmd/main.ts'`;
const run = (line: string) =>
  onTerminal(line.replaceAll("uffb ", `${uffb} `), { cwd: folder.path, env: { UFFB_MODEL: "model" } });

beforeAll(() => {
  writeClassifier(folder.file("model"));
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const rows: Buffer[] = [Buffer.from("id,review,stars\r\n")];
  for (let i = 0; i < ROWS; i++) {
    const id = `r${i}`;
    const stars = String(1 + (i % 5));
    const text = [`A film, ${i}`, `"Great" film`, `Two\nlines\r\nor three`, "Né plain"][i % 4]!;
    if (i % BAD_EVERY !== 7) {
      reviews.push({ id, text, stars });
      rows.push(Buffer.from(`${id},${i % 4 === 3 ? text : quoted(text)},${stars}\r\n`));
      continue;
    }
    reviews.push({ id, stars });
    const ways = ["", `${id},one cell is missing`, `${id},\xff,3`, `${id},,3`, `${id},"never closed, 3`];
    rows.push(Buffer.from(`${ways[Math.floor(i / BAD_EVERY) % ways.length]}\r\n`, "latin1"));
  }
  writeFileSync(folder.file("reviews.csv"), Buffer.concat(rows));
});
afterAll(() => folder[Symbol.dispose]());

const bad = () => reviews.filter(({ text }) => text === undefined).length;
const file = (name: string) => readFileSync(folder.file(name));

test("what a newcomer types first is answered with what to type", async () => {
  const name = await run("uffb infer reviews.csv");
  expect([name.exitCode, name.shown]).toEqual([2, expect.stringContaining("say --input reviews.csv")]);
  const stdin = await run("uffb infer < reviews.csv");
  expect([stdin.exitCode, stdin.shown]).toEqual([2, expect.stringContaining("say --input-format csv")]);
  const typo = await run("uffb infer --input review.csv");
  expect([typo.exitCode, typo.shown]).toEqual([1, expect.stringContaining("review.csv: no such file")]);
});

test("CSV in, JSON lines out: a line for each row, in order, with its id", async () => {
  const { shown, exitCode } = await run("uffb infer --input reviews.csv --format jsonl > out.jsonl");
  expect(exitCode).toBe(1);
  expect(shown).toContain('text from column "review"');
  expect(shown).toContain("texts/s"); // progress
  expect(shown).toContain(`${bad()} inputs could not be used; the first 10 are named above`);
  const records = file("out.jsonl")
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(records.length).toBe(ROWS);
  for (const [i, { id, text, label, error }] of records.entries()) {
    const review = reviews[i]!;
    if ((error === undefined) !== (review.text !== undefined) || text !== review.text)
      throw new Error(`row ${i}`);
    if (error === undefined) expect([id, label]).toEqual([review.id, expect.stringMatching(/^LABEL_[01]$/)]);
  }
});

test("CSV in, CSV out: the rows with their columns, and results behind them", async () => {
  const { exitCode } = await run("uffb infer -i reviews.csv --format csv --keep --quiet > out.csv");
  expect(exitCode).toBe(1);
  const [header, ...rows] = [...csvCells(file("out.csv"))].map((row) => ("cells" in row ? row.cells : []));
  expect(header).toEqual(["id", "label", "p", "p_LABEL_0", "p_LABEL_1", "review", "stars"]);
  expect(rows.length).toBe(ROWS);
  for (const [i, cells] of rows.entries()) {
    const { id, text, stars } = reviews[i]!;
    if (text === undefined) expect(cells[1]).toBe("");
    else expect([cells[0], cells[5], cells[6]]).toEqual([id, text, stars]);
  }
});

test.skipIf(!Bun.which("sqlite3"))("a database reads it", async () => {
  const { shown, exitCode } = await run(
    `sqlite3 reviews.db ".import --csv out.csv r" "select count(*), count(nullif(label, '')), max(length(review)) from r where stars <> '' or label = '';"`,
  );
  expect([exitCode, shown.trim()]).toEqual([0, `${ROWS}|${ROWS - bad()}|${"Two\nlines\r\nor three".length}`]);
});

test("without the rows that cannot be used, and packed", async () => {
  const { exitCode } = await run(
    "gzip -k reviews.csv && uffb infer -i reviews.csv.gz --header --skip-bad -q > out.tsv",
  );
  expect(exitCode).toBe(0);
  const [header, ...rows] = file("out.tsv").toString().trimEnd().split("\n");
  expect(header).toBe("id\tlabel\tp\tp_LABEL_0\tp_LABEL_1");
  expect(rows.map((row) => row.split("\t")[0])).toEqual(
    reviews.filter(({ text }) => text !== undefined).map(({ id }) => id),
  );
});
