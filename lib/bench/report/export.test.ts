import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { record } from "../../../testing/bench-record.ts";
import { exportTo } from "./export.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-export-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a file appears with the first records and is replaced as a whole", async () => {
  const path = join(folder, "results.jsonl");
  const write = exportTo(path);
  expect(readdirSync(folder)).toEqual([]);
  await write([record()]);
  await write([record(), record({ batch: 1 })]);
  expect(readFileSync(path, "utf8").trimEnd().split("\n")).toHaveLength(2);
  expect(readdirSync(folder)).toEqual(["results.jsonl"]);
});

test("what an older run left stays until there is something new", async () => {
  const path = join(folder, "old.md");
  writeFileSync(path, "old");
  const write = exportTo(path);
  expect(readFileSync(path, "utf8")).toBe("old");
  await write([record()]);
  expect(readFileSync(path, "utf8")).toStartWith("| shape");
});

test.each([
  ["results", "end it in .md, .csv, .json, .jsonl, .sql"],
  ["results.xlsx", "end it in .md"],
  ["no/such/folder/results.json", "cannot be written: no such folder"],
])("%p is refused at once", (name, message) => {
  expect(() => exportTo(join(folder, name))).toThrow(message);
});
