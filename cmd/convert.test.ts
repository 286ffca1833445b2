import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openTensorFile } from "../lib/files/safetensors/safetensors.ts";
import { openModel } from "../lib/model/model.ts";
import { REFERENCE, reference, TemporaryFolder, writeModel } from "../testing/folders.ts";

const PICKLES = fileURLToPath(new URL("../fixtures/pickle/", import.meta.url));
const BUILTIN = fileURLToPath(new URL("../fixtures/model/model-tiny.uffb.safetensors", import.meta.url));
const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

function convert(folder: TemporaryFolder, ...line: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, MAIN, "convert", ...line], {
    cwd: folder.path,
    env: { ...process.env, UFFB_DEBUG: "" },
  });
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
}

test("packs a folder and prints the file's path", async () => {
  using folder = new TemporaryFolder();
  const { exitCode, stdout, stderr } = convert(folder, `${REFERENCE}fff-1x5/`);
  expect([exitCode, stdout]).toEqual([0, "fff-1x5.uffb.safetensors\n"]);
  expect(stderr).toMatch(/\n26 tensors as f32, 335 kB\n$/);
  using model = await openModel(folder.file("fff-1x5.uffb.safetensors"));
  expect(model.config.arch.depth).toBe(5);
});

test("stores in the dtype asked for, and packs what is packed", () => {
  using folder = new TemporaryFolder();
  expect(convert(folder, `${REFERENCE}cls-2`, "--dtype", "bf16", "-o", "half").stdout).toBe("half\n");
  expect(openTensorFile(folder.file("half")).tensors.get("embed.word")!.dtype).toBe("BF16");
  expect(convert(folder, "half", "--output", "whole").exitCode).toBe(0);
  expect(openTensorFile(folder.file("whole")).tensors.get("embed.word")!.dtype).toBe("F32");
});

test("leaves nothing behind when it fails", () => {
  using folder = new TemporaryFolder();
  const { exitCode, stdout, stderr } = convert(folder, "none");
  expect([exitCode, stdout, stderr]).toEqual([
    1,
    "",
    expect.stringMatching(/^error: none: no such file or folder, .*\n$/),
  ]);
  expect(convert(folder).exitCode).toBe(2);
  expect(convert(folder, `${REFERENCE}cls-2`, "--dtype", "f8").exitCode).toBe(2);
  expect(convert(folder, `${REFERENCE}cls-2`, "-o", "no/such/place").stderr).toContain(
    "no/such/place: cannot be written",
  );
  expect(readdirSync(folder.path)).toEqual([]);
});

test("warns of weights that are no numbers, and still packs them", () => {
  using folder = new TemporaryFolder();
  using broken = new TemporaryFolder();
  const { config, tensors } = reference("cls-2");
  tensors.set("head.bias", { ...tensors.get("head.bias")!, data: new Uint8Array(8).fill(255) });
  const { exitCode, stderr } = convert(folder, writeModel(broken, { config, tensors }), "-o", "out");
  expect(exitCode).toBe(0);
  expect(stderr).toContain("tensor head.bias has NaNs or infinities");
  expect(existsSync(folder.file("out"))).toBe(true);
});

test("unpacks to a folder, and takes tensors out of a pickle", () => {
  using folder = new TemporaryFolder();
  expect(convert(folder, `${REFERENCE}fff-3x2`).exitCode).toBe(0);
  expect(convert(folder, "fff-3x2.uffb.safetensors", "--to", "hf").stdout).toBe("fff-3x2-hf\n");
  expect(readdirSync(folder.file("fff-3x2-hf")).sort()).toEqual(["config.json", "model.safetensors"]);
  expect(convert(folder, "fff-3x2.uffb.safetensors", "--to", "hf").stderr).toContain("is there already");

  const taken = convert(folder, `${PICKLES}training.bin`, "--to", "safetensors");
  expect([taken.exitCode, taken.stdout]).toEqual([0, "training.safetensors\n"]);
  expect(taken.stderr).toMatch(
    /^Left out, because it is not part of the model: optimizer, epoch\n4 tensors as they are, 416 B\n$/,
  );
  expect(convert(folder, `${PICKLES}refused/evil.zip.bin`, "--to", "safetensors").stderr).toMatch(
    /^error: .*evil\.zip\.bin: the pickle asks for posix\.system.*nothing was run/,
  );
});

test("verifies before anything is there", () => {
  using folder = new TemporaryFolder();
  const expected = `${REFERENCE}fff-1x5/expected.safetensors`;
  const line = [`${REFERENCE}fff-1x5`, "-o", "out", "--verify", expected];
  const bad = convert(folder, ...line, "--dtype", "bf16");
  expect(bad.exitCode).toBe(1);
  expect(bad.stdout).toBe("");
  expect(bad.stderr).toContain("FAILED");
  expect(bad.stderr).toEndWith("does not reproduce it; nothing was written\n");
  expect(readdirSync(folder.path)).toEqual([]);
  const close = convert(folder, ...line, "--dtype", "f16", "--tolerance", "0.01");
  expect([close.exitCode, close.stdout]).toEqual([0, "out\n"]);
  expect(close.stderr).toContain("warning: what f16 changes could not be measured: ");
  expect(convert(folder, ...line).exitCode).toBe(0);
});

test("tells what a narrower dtype changes", () => {
  using folder = new TemporaryFolder();
  const { exitCode, stderr } = convert(folder, BUILTIN, "--dtype", "int8", "-o", "out");
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(
    / tensors as int8, 10\.\d MB\nThis CPU multiplies in int8 \d+\.\d times as fast as in f32 \(\w+\); whole models gain less\nWhat int8 changes, on 48 built-in sentences of \d+ tokens:\n {2}paths /,
  );
  expect(readdirSync(folder.path)).toEqual(["out"]);
});

test.each([
  [["--to", "safetensors", "--dtype", "f16"], "--to safetensors keeps every tensor as it is; drop --dtype"],
  [["--to", "safetensors", "--ignore-unknown"], "drop --ignore-unknown"],
  [["--to", "hf", "--dtype", "int8"], "--dtype int8 is for packed files"],
  [["--tolerance", "1"], "--tolerance is for --verify"],
  [["-o", `${REFERENCE}cls-2`], "is the input itself; give another path with -o"],
])("%p is wrong usage", (flags, message) => {
  using folder = new TemporaryFolder();
  const { exitCode, stderr } = convert(folder, `${REFERENCE}cls-2`, ...flags);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(message);
});
