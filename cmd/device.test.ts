/** The commands with --device, on the simulator in place of a device; skipped where it was not built. */
import { describe, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { hasSimulator } from "../testing/cuda.ts";
import { TemporaryFolder } from "../testing/folders.ts";

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const DENSE = path("fixtures/reference/dense-ff");

async function uffb(...line: string[]): Promise<{ code: number; out: string; err: string }> {
  const program = [
    process.execPath,
    "--preload",
    path("testing/cuda-preload.ts"),
    path("cmd/main.ts"),
    ...line,
  ];
  const child = Bun.spawn(program, { stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err };
}

describe.skipIf(!hasSimulator)("--device cuda", () => {
  test("infer gives what it gives on the CPU, batch by batch", async () => {
    const line = ["infer", "--model", DENSE, "--embed", "--ids", "1 2 3", "4", "5 6 7 8"];
    const own = await uffb(...line);
    const there = await uffb(...line, "--device", "cuda", "--batch-tokens", "4", "--threads", "1");
    expect(there.code).toBe(0);
    const numbers = ({ out }: { out: string }) => out.trim().split(/\s/).map(Number);
    expect(numbers(there).length).toBe(numbers(own).length);
    for (const [i, value] of numbers(there).entries()) expect(value).toBeCloseTo(numbers(own)[i]!, 4);
    const half = await uffb(...line, "--device", "cuda:0", "--device-dtype", "bf16");
    expect(half.out).not.toBe(there.out);
    expect(half.code).toBe(0);
  });

  test("a device that is not there is named", async () => {
    expect(await uffb("infer", "--device", "cuda:7", "a [MASK]")).toEqual({
      code: 1,
      out: "",
      err: "error: there is no device cuda:7, only cuda:0\n",
    });
  });

  test("bench lists devices", async () => {
    const { code, out } = await uffb("bench", "--list", "--device", "cuda");
    expect([code, out]).toEqual([0, expect.stringMatching(/^cuda:0 +\S.*; \d.* GB, L2 .*; .* cuBLAS\n$/)]);
  });

  test("bench times layers and models, and fills every output", async () => {
    using folder = new TemporaryFolder();
    const [json, svg, db] = ["r.json", "r.svg", "r.db"].map((name) => folder.file(name));
    const outputs = ["--export", json!, "--svg", svg!, "--db", db!];
    const tiny = ["--hidden", "32", "--depth", "2", "--batch", "2", "--seconds", "0.01"];
    const layer = await uffb(
      "bench",
      "--device",
      "cuda",
      "--dtype",
      "f32",
      "--dtype",
      "bf16",
      ...tiny,
      ...outputs,
    );
    expect(layer.code).toBe(0);
    expect(layer.out).toMatch(/^1x2 +fff ours, f32 /m);
    expect(layer.out).toMatch(/^1x2 +fff ours, bf16 /m);
    const records = await Bun.file(json!).json();
    expect(new Set(records.map((one: { dtype: string }) => one.dtype))).toEqual(new Set(["f32", "bf16"]));
    for (const { device, machine } of records) expect(machine.device.name).toBe(device);
    expect(await Bun.file(svg!).text()).toContain(`${records[0].device}, bf16`);
    const model = await uffb(
      ...["bench", "--device", "cuda", "--dtype", "f32", "--model", path("fixtures/reference/fff-1x5")],
      ...["--length", "16", "--batch", "1", "--seconds", "0.01", "--format", "jsonl"],
    );
    const [first] = model.out.split("\n").map((line) => line && JSON.parse(line));
    expect(first).toMatchObject({ kind: "model", dtype: "f32", paths: "real", threads: null });
    expect(first.error).toBeLessThan(1e-4);
  }, 60_000);
});
