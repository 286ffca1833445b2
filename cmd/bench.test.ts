import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "uffb-bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function uffb(...line: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = Bun.spawn([process.execPath, MAIN, "bench", ...line], { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err };
}

const TINY = ["--quick", "--hidden", "16", "--depth", "2", "--batch", "4", "--seconds", "0.02"];

test("a small run prints a table and fills every output; a second one is compared with it", async () => {
  const [path, svg, db] = ["r.json", "r.svg", "r.db"].map((name) => join(folder, name));
  const line = [...TINY, "--export", path!, "--svg", svg!, "--db", db!];
  const first = await uffb(...line);
  expect([first.code, first.out.split("\n")[0]!.split(/ {2,}/)[0]]).toEqual([0, "shape"]);
  expect(first.out).toContain("fff ours");
  const records = JSON.parse(readFileSync(path!, "utf8"));
  expect(records.map(({ case_shape }: { case_shape: string }) => case_shape)).toContain("1x2");
  expect(readFileSync(svg!, "utf8")).toStartWith("<svg");
  expect((await uffb("report", db!)).err).toContain("no case that was measured twice");
  await uffb(...line, "--format", "jsonl");
  const { out } = await uffb("report", db!);
  expect(out).toMatch(/^(same|faster|slower) .*layer 1x2 fff ours/m);
});

test("without a BLAS library the engine's own stands in at every level, and a sentence ends it", async () => {
  const { code, out, err } = await uffb(...TINY, "--blas", "ours");
  expect(code).toBe(0);
  for (const level of [1, 2, 3]) {
    expect(out).toContain(`fff level ${level}, ours`);
    expect(out).toContain(`dense level ${level}, ours`);
  }
  expect(out.replaceAll("\n", " ")).toMatch(
    / Against the fastest dense one, FFF makes the layer [\d.]+ times as fast\. At the same BLAS level/,
  );
  expect(err).toContain("no BLAS library: our own dot, axpy, gemv and gemm stand in at each level");
});

test("a whole model, real paths, and what the machine has", async () => {
  const model = await uffb(
    "--model",
    "fixtures/model/model-tiny.uffb.safetensors",
    "--seconds",
    "0.01",
    "--format",
    "csv",
    "--length",
    "8",
    "--batch",
    "1",
  );
  expect(model.out.split("\n")[1]).toStartWith("model,1x8,1x8,256,");
  const real = await uffb(
    "--paths",
    "real",
    "--batch",
    "2",
    "--seconds",
    "0.01",
    "--level",
    "1",
    "--format",
    "md",
  );
  expect(real.out).toContain("| 1x8 | fff ours");
  expect(real.out).toContain("real (layer 2)");
  expect((await uffb("--list")).out).toMatch(
    /^CPU .*\ncompiler .*\none thread .* GFLOP\/s in f32, .* GOP\/s in int8; memory/,
  );
}, 20_000);

test.each([
  [["--batch", "0"], 2, "--batch: 0 is not 1 to"],
  [["--batch", "1-8*1"], 2, "never ends"],
  [["--cold", "--warm"], 2, "--cold and --warm exclude each other"],
  [["--warm", "--rotated"], 2, "--rotated and --warm exclude each other"],
  [["--preset", "2x2"], 2, "unknown preset 2x2"],
  [["--preset", "1x11", "--depth", "3"], 2, "drop it, or --depth"],
  [["--paths", "real", "--depth", "3"], 2, "has the shape of its model"],
  [["--text", "x"], 2, "--text is for --paths real"],
  [["--model", "1x11", "--length", "500"], 2, "1x11 takes 128 tokens"],
  [["--trees", "0", "--svg", "x.svg"], 2, "--svg draws models and layers with trees"],
  [["--roofline"], 2, "--roofline is part of the picture; add --svg"],
  [["--export", "results"], 2, "end it in"],
  [["--export", "/no/such/folder/r.json"], 1, "cannot be written: no such folder"],
  [["--blas", "nothing"], 1, "no BLAS called nothing found"],
  [["--blas", "nothing"], 1, "ours; "],
  [["--blas", "/no/such/lib.so"], 1, "cannot open the BLAS"],
  [["--preset", "gpt3", "--batch", "16777216"], 1, "are free; use a smaller --batch"],
  [["--svgg", "x"], 2, "--svg"],
  [["--device", "gpu"], 2, "--device is cpu, cuda or a numbered one"],
  [
    ["--dtype", "bf16", "--model", "1x11"],
    2,
    "--dtype bf16 is for layers with trees deeper than 3, or for --",
  ],
  [["--dtype", "f32", "--dtype", "bf16", "--depth", "3"], 2, "--dtype bf16 is for layers with trees deeper"],
  [["--dtype", "f16"], 2, "--dtype f16 is for --device cuda; add that, or drop it"],
  [["--dtype", "int8"], 2, "--dtype int8 is for whole models; add --model, or drop it"],
  [["--device", "cuda", "--level", "1"], 2, "--level is for the CPU; drop it, or --device cuda"],
  [["--device", "cuda:1", "--dtype", "int8"], 2, "--dtype int8 is for the CPU; drop it, or --device cuda:1"],
  [["--device", "cuda", "--threads", "2"], 2, "--threads is for the CPU"],
  [["--device", "cuda", "--blas", "mkl"], 2, "--blas is for the CPU"],
  [["--device", "cuda", "--as-published"], 2, "--as-published is for the CPU"],
  [["--device", "cuda", "--cold"], 2, "--cold is for the CPU; drop it, or --device cuda"],
  [["compare"], 2, "uffb bench report results.db"],
  [["report", "/no/such.db"], 1, "does not exist"],
] as const)("%j is refused before anything long starts", async (line, status, message) => {
  const { code, out, err } = await uffb(...line);
  expect([code, out]).toEqual([status, ""]);
  expect(err).toContain(message);
  expect(existsSync("x.svg")).toBe(false);
});
