import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { REFERENCE, TemporaryFolder } from "../testing/folders.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

function inspect(folder: TemporaryFolder, line: string[], stdin = "") {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, MAIN, "inspect", ...line], {
    cwd: folder.path,
    env: { ...process.env, UFFB_DEBUG: "" },
    stdin: Buffer.from(stdin),
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test("shows the built-in model, and does not wait for stdin", () => {
  using folder = new TemporaryFolder();
  const { exitCode, stdout, stderr } = inspect(folder, []);
  expect([exitCode, stderr]).toEqual([0, ""]);
  expect(stdout).toStartWith("model ");
  expect(stdout).toContain("1 tree of depth 8 with 256 leaves");
  expect(stdout).not.toContain("fall through");
});

test("--tensors lists each", () => {
  using folder = new TemporaryFolder();
  const { stdout } = inspect(folder, [`${REFERENCE}fff-1x5`, "--tensors"]);
  expect(stdout).toMatch(
    /\nencoder\.layers\.1\.ffn\.linear_out\.weight +layer\.1\.fff\.out\.weight +F32 +\[64, 63\] +16,128\n/,
  );
});

test("texts from arguments and from stdin fall alike; --svg draws them, --json is one object", () => {
  using folder = new TemporaryFolder();
  const texts = ["The film was good.", "Water boils."];
  const direct = inspect(folder, ["--json", ...texts.flatMap((text) => ["--text", text])]);
  const piped = inspect(folder, ["--json", "--text", "-", "--svg", "trees.svg"], `${texts.join("\n")}\n`);
  expect(direct).toEqual(piped);
  expect(direct.exitCode).toBe(0);
  const { paths } = JSON.parse(direct.stdout);
  expect(paths).toMatchObject({ texts: 2, cut: 0, depth: 8 });
  expect(paths.layers.length).toBe(4);
  expect(readFileSync(folder.file("trees.svg"), "utf8")).toMatch(/^<svg .*>Layer 3<.*<\/svg>\n$/s);
});

test("token ids, for a model without tokenizer; a bad text is named and the others are shown", () => {
  using folder = new TemporaryFolder();
  const line = [`${REFERENCE}fff-3x2`, "--ids", "--text", "1 2 3", "--text", "1 9999"];
  const { exitCode, stdout, stderr } = inspect(folder, line);
  expect(exitCode).toBe(1);
  expect(stdout).toContain("How 3 tokens of 1 text fall");
  expect(stderr).toMatch(/^error: argument 2: token id 9999 is not in the model's vocabulary/);
});

describe("wrong usage and failures", () => {
  const cases: [string[], number, RegExp][] = [
    [["--svg", "trees.svg"], 2, /--svg draws what texts do/],
    [["--threads", "1"], 2, /are for --text/],
    [["none"], 1, /none: no such file/],
    [[`${REFERENCE}dense-ff`, "--ids", "--text", "1"], 1, /feedforward layers are dense/],
    [["--text", "a", "--svg", "nowhere/trees.svg"], 1, /nowhere/],
  ];
  test.each(cases)("%p", (line, code, message) => {
    using folder = new TemporaryFolder();
    const { exitCode, stdout, stderr } = inspect(folder, line);
    expect([exitCode, stdout]).toEqual([code, ""]);
    expect(stderr).toMatch(message);
    expect(readdirSync(folder.path)).toEqual([]);
  });
});

test.each([80, 140])("nothing is wider than a terminal of %d columns", (columns) => {
  using folder = new TemporaryFolder();
  const { COLUMNS: _, ...env } = process.env;
  const wide = Bun.spawnSync(
    [process.execPath, MAIN, "inspect", "--tensors", "--text", "The film was good."],
    {
      cwd: folder.path,
      env: { ...env, COLUMNS: String(columns) },
    },
  ).stdout.toString();
  expect(wide).toContain("token \\ layer");
  expect(wide.split("\n").filter((line) => Bun.stringWidth(line) > columns)).toEqual([]);
});
