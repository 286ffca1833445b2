import { expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openModel } from "../lib/model.ts";
import { openTensorFile } from "../lib/safetensors.ts";
import { REFERENCE, reference, TemporaryFolder, writeModel } from "../lib/test/folders.ts";

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
  expect(stderr).toMatch(/\n26 tensors as f32, 0\.\d MB\n$/);
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
  expect([exitCode, stdout, stderr]).toEqual([1, "", "error: none: no such file or folder\n"]);
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
