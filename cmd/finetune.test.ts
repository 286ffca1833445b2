import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { commandsIn } from "../testing/command.ts";
import { expectSameBitsAfterEnds } from "../testing/ended.ts";
import { reviewsCsv } from "../testing/finetune.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "uffb-finetune-"));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "reviews.csv"), reviewsCsv(60));

const { start, uffb } = commandsIn(folder);

const QUICK = ["finetune", "reviews.csv", "--epochs", "2", "--batch", "8", "--lr", "1e-3"];

test("from a CSV to a classifier in a pipeline", async () => {
  const { code, out, err } = await uffb(...QUICK, "--svg", "curves.svg");
  expect([code, err]).toEqual([0, expect.stringContaining("reviews-model is there")]);
  expect(err).toContain('text from column "text", label from column "label"');
  expect(err).toContain("54 texts to train on, 6 to validate on (held out); 2 classes");
  expect(out).toContain("label \\ said");
  expect(readFileSync(join(folder, "curves.svg"), "utf8")).toStartWith("<svg");
  expect(readFileSync(join(folder, "reviews-model/README.md"), "utf8")).toContain(
    "uffb finetune reviews.csv --epochs 2 --batch 8 --lr 1e-3 --svg curves.svg",
  );
  const answer = await uffb("infer", "--model", "reviews-model", "a lovely story", "a boring mess");
  expect(answer.out).toMatch(/^1\tgood\t.*\n2\tbad\t/);
  // The result knows that it takes one text.
  const pair = await uffb("infer", "--model", "reviews-model", "a lovely story", "--pair", "another");
  expect(pair.err).toContain("two texts, and the model takes one");
}, 60_000);

test("products in bf16, where the CPU has no instructions for them", async () => {
  const child = Bun.spawn(
    [process.execPath, MAIN, ...QUICK.slice(0, 2), "--epochs", "1", "--compute", "bf16", "-o", "narrow"],
    { cwd: folder, stdout: "ignore", stderr: "pipe", env: { ...process.env, UFFB_ISA: "generic" } },
  );
  const err = await child.stderr.text();
  expect([await child.exited, err]).toEqual([0, expect.stringContaining("generic, products in bf16")]);
  expect(err).toContain("this CPU has no instructions that multiply bf16 (it runs generic): f32 is faster");
  expect(readFileSync(join(folder, "narrow/README.md"), "utf8")).toMatch(/compute.*bf16/);
}, 120_000);

test("scores and several labels, in JSON", async () => {
  const rows = Array.from({ length: 30 }, (_, i) => ({
    text: `text ${i}`,
    label: i / 7,
    tags: i % 3 === 0 ? ["x"] : ["y", "x"],
  }));
  writeFileSync(join(folder, "rows.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
  const quick = ["finetune", "rows.jsonl", "--epochs", "1", "--json", "--text", "text"];
  const scores = JSON.parse((await uffb(...quick, "--label", "label", "-o", "scores")).out);
  expect([scores.task, scores.labels, Object.keys(scores.scores)]).toEqual([
    "regression",
    [],
    ["pearson", "spearman"],
  ]);
  const several = JSON.parse((await uffb(...quick, "--label", "tags", "-o", "several")).out);
  expect([several.task, several.labels]).toEqual(["multi-label", ["x", "y"]]);
  const { out } = await uffb("infer", "--model", "several", "--jsonl", "--", "text 1");
  expect(JSON.parse(out).scores.map(({ label }: { label: string }) => label)).toEqual(["x", "y"]);
}, 60_000);

const canMount = Bun.spawnSync(["unshare", "-rm", "sh", "-c", "mount -t tmpfs none /tmp"]).success;

/** Runs it with a disk of its own, "small", of so many MB; `meanwhile` is a script that runs beside it. Says what is on the disk then. */
async function onSmallDisk(megabytes: number, meanwhile: string, ...line: string[]) {
  const script = `mount -t tmpfs -o size=${megabytes}m none small; "$@" & run=$!; ${meanwhile}; wait $run; code=$?; ls small >&2; exit $code`;
  const child = Bun.spawn(
    ["unshare", "-rm", "sh", "-c", script, "sh", process.execPath, MAIN, ...line, "-o", "small/out"],
    { cwd: folder, stdout: "ignore", stderr: "pipe" },
  );
  const err = await child.stderr.text();
  return { code: await child.exited, err };
}

test.skipIf(!canMount)(
  "a disk that is too small is told before the first step",
  async () => {
    mkdirSync(join(folder, "small"), { recursive: true });
    const { code, err } = await onSmallDisk(2, ":", ...QUICK);
    expect(code).toBe(1);
    expect(err).toMatch(
      /error: \d+ MB are to be written to small\/out.run, but its disk has only [\d.]+ MB free/,
    );
    expect(err).not.toContain("epoch");
    // Nothing is left on the disk.
    expect(err).not.toMatch(/^out/m);
  },
  60_000,
);

test.skipIf(!canMount)(
  "a disk that another program fills ends the run, which says so",
  async () => {
    mkdirSync(join(folder, "small"), { recursive: true });
    const fill = `while [ ! -e small/out.run/best.safetensors ] && kill -0 $run; do sleep 0.02; done; cat /dev/zero >small/full 2>&-`;
    const { code, err } = await onSmallDisk(
      200,
      fill,
      ...QUICK.slice(0, 2),
      "--epochs",
      "20",
      "--batch",
      "8",
    );
    expect(code).toBe(1);
    expect(err).toMatch(/error: small\/out\S* cannot be written: the disk is full; free some space/);
    // The disk has what fills it and the run, and no result or half of one.
    expect(err).toEndWith("\nfull\nout.run\n");
  },
  120_000,
);

test("a run ended by SIGTERM, and then by kill -9, goes on and ends with the same bits", async () => {
  await expectSameBitsAfterEnds(folder, start, [
    ...QUICK.slice(0, 2),
    "--epochs",
    "30",
    "--batch",
    "8",
    "--lr",
    "1e-4",
  ]);
}, 120_000);

test.each([
  [["finetune"], 2, "DATA is missing"],
  [["finetune", "none.csv"], 1, "none.csv: no such file"],
  [[...QUICK, "--label", "lable"], 2, "--label lable is not a column"],
  [[...QUICK, "--valid", "a.csv", "--split", "0.2"], 2, "leave --split out"],
  [[...QUICK, "--metric", "pearson"], 2, "--metric pearson is not for this task"],
  [[...QUICK, "--task", "regression"], 1, "cannot use line 2"],
  [[...QUICK, "-o", "x", "--freeze", "1", "--head-only"], 2, "leave --freeze out"],
  [[...QUICK, "-o", "x", "--model", "nothing"], 1, "nothing: no such file"],
  [[...QUICK, "-o", "x", "--resume"], 2, "x.run holds no run to go on with"],
] as const)("refuses %j", async (line, status, message) => {
  const { code, out, err } = await uffb(...line);
  expect([code, out]).toEqual([status, ""]);
  expect(err).toContain(message);
  expect(existsSync(join(folder, "x.run"))).toBe(false);
});
