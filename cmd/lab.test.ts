import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "uffb-lab-"));
afterAll(() => rmSync(folder, { recursive: true }));
const corpus = join(folder, "corpus.txt");
writeFileSync(corpus, "the big cat sees a small bird and then finds it again .\n".repeat(400));

function uffb(...line: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["bun", join(import.meta.dir, "main.ts"), ...line]);
  return { code: exitCode, out: stdout.toString(), err: stderr.toString() };
}

test("iso trains, times and reports, and the same command finds all there", () => {
  const output = join(folder, "out");
  const line = [
    "lab",
    "iso",
    corpus,
    "--preset",
    "tiny",
    "--seeds",
    "1",
    "--shapes",
    "none,dense:2,1x2",
    "-o",
    output,
  ];
  const first = uffb(...line);
  expect(first.err).toContain("1x2, seed 1: held-out loss");
  expect([first.code, first.out.split("\n")[0]]).toEqual([
    0,
    "feedforward  active    loss       ±  accuracy  bits  µs/token",
  ]);
  expect(first.out).toContain("1x2: ");
  for (const name of ["iso.md", "iso.csv", "iso.svg"]) expect(existsSync(join(output, name))).toBe(true);
  const again = uffb(...line);
  expect(again.err).not.toContain("held-out loss");
  const losses = (text: string) =>
    text
      .split("\n")
      .slice(1, 4)
      .map((row) => row.split(/ +/)[2]);
  expect(losses(again.out)).toEqual(losses(first.out));
  expect(readFileSync(join(output, "iso.csv"), "utf8").split("\n").length).toBe(5);
}, 120_000);

test.each([
  [["lab", "-o", "x"], "EXPERIMENT"],
  [["lab", "abc", corpus, "-o", "x"], "unknown experiment abc; there is iso"],
  [["lab", "iso", corpus], "--output"],
  [["lab", "iso", corpus, "-o", "x", "--shapes", "none,none"], "none is there twice"],
  [["lab", "iso", corpus, "-o", "x", "--shapes", "glu:8:balanced"], "only trees can be balanced"],
])("%p is refused", (line, message) => {
  const { code, err } = uffb(...line);
  expect(code).toBe(2);
  expect(err).toContain(message);
});
