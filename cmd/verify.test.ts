import { describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const model = `${root}fixtures/reference/fff-3x2`;
const expected = `${model}/expected.safetensors`;

function verify(args: string[], env: Record<string, string> = {}) {
  const { stdout, stderr, exitCode } = Bun.spawnSync(
    [process.execPath, `${root}cmd/main.ts`, "verify", ...args],
    {
      env: { PATH: process.env.PATH, NO_COLOR: "1", ...env },
    },
  );
  return { stdout: stdout.toString(), stderr: stderr.toString(), exitCode };
}

describe("verify", () => {
  test("prints a table and a verdict", () => {
    const { stdout, stderr, exitCode } = verify([model, expected, "--threads", "2"], { UFFB_ISA: "generic" });
    expect([stderr, exitCode]).toEqual(["", 0]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^tensor +compared +skipped +max error +paths differ +near-ties$/);
    expect(lines[1]).toMatch(/^embedding +36 +0 +\d\.\d\de-\d+ +ok$/);
    expect(lines[2]).toMatch(/^path\.0 +36 +0 +0 +0 +ok$/);
    expect(lines.at(-1)).toBe(
      "ok: all 32 tensors within 0.00001, 0.0001 (3 sequences, 36 tokens, generic, 2 threads)",
    );
  });

  test("--json is one object", () => {
    const { stdout, exitCode } = verify([model, expected, "--json", "--threads", "1"]);
    expect(exitCode).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      model,
      expected,
      passed: true,
      tolerance: 1e-5,
      threads: 1,
      sequences: 3,
      tokens: 36,
    });
    expect(report.tensors.map(({ name }: { name: string }) => name)).toEqual([
      "embedding",
      "path.0",
      "layer.0",
      "path.1",
      "layer.1",
      "final",
      "logits",
      "loss",
      ...report.tensors.slice(8).map(({ name }: { name: string }) => name),
    ]);
    expect(report.tensors.slice(8).every(({ name }: { name: string }) => name.startsWith("grad."))).toBe(
      true,
    );
    expect([report.tensors.length, report.ignored]).toEqual([32, []]);
    expect(report.tensors[7]).toMatchObject({ name: "loss", compared: 1, tolerance: 1e-4, passed: true });
    expect(report.tensors[0]).toEqual({
      name: "embedding",
      compared: 36,
      skipped: 0,
      max_error: expect.any(Number),
      passed: true,
    });
    expect(report.tensors[1]).toEqual({
      name: "path.0",
      compared: 36,
      skipped: 0,
      differ: 0,
      near_ties: 0,
      passed: true,
    });
  });

  test("fails above the tolerance", () => {
    const { stdout, stderr, exitCode } = verify([model, expected, "--tolerance", "1e-9"]);
    expect([stderr, exitCode]).toEqual(["", 1]);
    expect(stdout).toMatch(/^final .* FAILED$/m);
    expect(stdout).toMatch(/^FAILED: \d+ of 32 tensors/m);
  });

  test("fails when nothing can be compared, or the file is another's", () => {
    const nothing = verify([model, `${model}/model.safetensors`]);
    expect([nothing.stdout, nothing.exitCode]).toEqual(["", 1]);
    expect(nothing.stderr).toContain("no tensor input_ids");
    const other = verify([`${root}fixtures/reference/fff-1x5`, expected]);
    expect([other.stdout, other.exitCode]).toEqual(["", 1]);
    expect(other.stderr).toContain("shape [3, 17, 48], and [3, 17, 64] is needed");
    const missing = verify([model, "nowhere.safetensors"]);
    expect([missing.exitCode, missing.stderr]).toEqual([1, "error: nowhere.safetensors: no such file\n"]);
  });

  test("replays a run", () => {
    const run = `${root}fixtures/reference-train/cls-fff`;
    const steps = `${run}/steps.safetensors`;
    const { stdout, exitCode } = verify([run, steps, "--threads", "1"]);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^loss +30 +0 +\d\.\d\de-\d+ +ok$/m);
    expect(stdout).toMatch(/^end\.head\.weight +1 .* ok$/m);
    expect(stdout).toMatch(/^ok: all 33 tensors within .* \(240 sequences, /m);
    const other = verify([`${root}fixtures/reference/cls-2`, steps]);
    expect([other.stdout, other.exitCode]).toEqual(["", 1]);
  });

  test("wrong usage", () => {
    expect(verify([model])).toMatchObject({ exitCode: 2, stderr: "error: EXPECTED is missing\n" });
    expect(verify([model, expected, "--tolerance", "-1"]).exitCode).toBe(2);
  });
});
