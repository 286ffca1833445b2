/** Every command of README.md is run, in its order, in a folder with the files that it names. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TemporaryFolder } from "./folders.ts";

const root = join(import.meta.dir, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");

/** Lines of code that begin with the program. Those of the list of commands say what one is for, after its name and spaces. */
const COMMANDS = Array.from(readme.matchAll(/^ {4}(?:\$ )?(uffb .*)$/gm), ([, line]) => line!).filter(
  (line) => !/^uffb \w+ {2,}\w/.test(line),
);

/** What needs the network or a GPU cannot end well here, but it is no wrong usage. */
const ELSEWHERE =
  /^uffb download|MiniLM|pbelcak\/|ufb\.uffb|--device cuda|^uffb glue (?!compare)|^uffb ladder/;

/** Layers and times that a test has time for. */
const SMALL = "--hidden 16 --depth 2 --seconds 0.01 --batch 1,4 --warm";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

beforeAll(() => {
  const write = (name: string, lines: readonly string[]) =>
    writeFileSync(folder.file(name), lines.map((line) => `${line}\n`).join(""));
  const praise = Array.from({ length: 12 }, (_, i) => `a fine film ${i}`);
  const blame = Array.from({ length: 12 }, (_, i) => `a dull book ${i}`);
  write("reviews.csv", [
    "text,label",
    ...praise.map((text) => `${text},good`),
    ...blame.map((text) => `${text},bad`),
  ]);
  write("new.csv", ["id,text", "r1,a fine day", 'r2,"dull, and long"']);
  for (const name of ["new.txt", "lines.txt", "texts.txt"]) write(name, ["a fine day", "save some money"]);
  write(
    "corpus.txt",
    Array.from(
      { length: 400 },
      (_, i) => `Conditional computation evaluates surprisingly few neurons, number ${i}.`,
    ),
  );
  const prediction = (index: number, prediction: number) =>
    JSON.stringify({ index, label: 1, prediction, logits: [0, prediction] });
  for (const name of ["a.jsonl", "b.jsonl"])
    write(name, [prediction(0, 1), prediction(1, name === "a.jsonl" ? 1 : 0)]);
  symlinkSync(join(root, "fixtures"), folder.file("fixtures"));
  mkdirSync(folder.file("bin"));
  writeFileSync(
    folder.file("bin/uffb"),
    `#!/bin/sh\nexec '${process.execPath}' '${join(root, "cmd/main.ts")}' "$@"\n`,
  );
  chmodSync(folder.file("bin/uffb"), 0o755);
});

function run(line: string) {
  const env = {
    ...{ PATH: `${folder.file("bin")}:${process.env.PATH}`, HOME: folder.path, HF_HUB_OFFLINE: "1" },
    CUDA_VISIBLE_DEVICES: "",
  };
  const { exitCode, stdout, stderr } = Bun.spawnSync(["sh", "-c", line], { cwd: folder.path, env });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

describe("README.md", () => {
  test("has commands", () => expect(COMMANDS.length).toBeGreaterThan(20));

  test.each(COMMANDS)("%s", (line) => {
    const small = /^uffb bench(?!.*--model)/.test(line) ? `${line} ${SMALL}` : line;
    const { exitCode, stderr } = run(small);
    if (ELSEWHERE.test(line)) expect([exitCode, stderr]).toEqual([1, expect.stringMatching(/^error: /m)]);
    else expect([exitCode, stderr]).toEqual([0, expect.not.stringContaining("error")]);
  });

  test("shows what the first command answers", () => {
    const [, shown] = /\$ uffb infer .*\n((?: {4}.*\n)+)/.exec(readme)!;
    const [filled, ...candidates] = shown!.replaceAll(/^ {4}/gm, "").trimEnd().split("\n");
    const { stdout } = run('uffb infer --format text "The film was [MASK] by Steven Spielberg."');
    expect(stdout).toContain(filled!);
    for (const candidate of candidates) expect(stdout).toContain(candidate.trimEnd());
  });
});
