import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandsIn } from "../testing/command.ts";
import { reviews } from "../testing/finetune.ts";
import { collisions } from "../testing/svg.ts";
import { writeTinyBert } from "../testing/tiny-bert.ts";

const folder = mkdtempSync(join(tmpdir(), "uffb-ladder-"));
afterAll(() => rmSync(folder, { recursive: true }));
const { start, uffb } = commandsIn(folder);

beforeAll(async () => {
  const rows = (count: number) =>
    `sentence\tlabel\n${reviews(count)
      .map(({ text, label }) => `${text}\t${Number(label === "good")}\n`)
      .join("")}`;
  mkdirSync(join(folder, "data/SST-2"), { recursive: true });
  writeFileSync(join(folder, "data/SST-2/train.tsv"), rows(40));
  writeFileSync(join(folder, "data/SST-2/dev.tsv"), rows(12));
  await writeTinyBert(join(folder, "teacher"), { labels: ["negative", "positive"] });
  // Stands for PyTorch: says its versions, answers a job with logits that name the first class, and each turn after it with seconds.
  writeFileSync(
    join(folder, "peer"),
    `#!/bin/sh
case "$2" in *stdin*) ;; *) echo "PyTorch 0, transformers 0"; exit ;; esac
read -r job
echo "$job" > job.json
printf '{"logits": ['
for i in 1 2 3 4 5 6 7 8 9 10 11; do printf '[1, 0], '; done
echo '[1, 0]]}'
turn=7
while read -r again; do
  turn=$((turn + 1))
  echo "{\\"seconds\\": $turn}"
done
`,
  );
  chmodSync(join(folder, "peer"), 0o755);
  writeFileSync(join(folder, "no-torch"), "#!/bin/sh\nexit 1\n");
  chmodSync(join(folder, "no-torch"), 0o755);
});

const LINE = ["ladder", "sst2", "--teacher", "teacher", "--data", "data", "--epochs", "2"];
const ENGINE = ["--rungs", "fixed,dynamic,distilled,int8,instances"];

interface Row {
  name: string;
  seconds: number;
  speed_up: number;
  factor: number | null;
  score: number;
  bytes: number;
  dollars_per_100_million: number;
}
const ladderOf = (name: string): { rungs: Row[]; notes: string[] } =>
  JSON.parse(readFileSync(join(folder, name, "ladder.json"), "utf8"));

test("climbs from the peer to an instance a core, and does nothing twice", async () => {
  const line = [...LINE, "--python", "./peer", "--price", "3.6", "--repeat", "3", "-o", "all"];
  const { code, out, err } = await uffb(...line);
  expect([code, err]).toEqual([0, expect.stringContaining("all/ladder.md, ladder.csv")]);
  expect(out).toContain("PyTorch, fixed length 64 ");
  const { rungs } = ladderOf("all");
  // The tiny model takes 64 tokens, so that the peer's two lengths are one.
  expect(rungs.map(({ name }) => name)).toEqual([
    "pytorch-512",
    "pytorch-128",
    "fixed",
    "dynamic",
    "distilled",
    "pruned",
    "trees",
    "int8",
    "instances",
  ]);
  const [peer, beside, fixed, dynamic, distilled, pruned, trees, int8, instances] = rungs as [
    Row,
    Row,
    Row,
    Row,
    Row,
    Row,
    Row,
    Row,
    Row,
  ];
  expect([peer.seconds, peer.speed_up, peer.factor, peer.score]).toEqual([9, 1, null, 0.5]);
  expect(peer.dollars_per_100_million).toBeCloseTo((9 / 12) * 1e8 * 0.001, 6);
  expect(beside.factor).toBeNull();
  expect(fixed.factor).toBe(peer.seconds / fixed.seconds);
  expect(dynamic.score).toBe(fixed.score);
  expect(distilled.bytes).toBeLessThan(dynamic.bytes);
  expect(pruned.bytes).toBeLessThan(distilled.bytes);
  expect(trees.factor).toBe(pruned.seconds / trees.seconds);
  expect(int8.bytes).toBeLessThan(pruned.bytes);
  expect([instances.bytes, instances.score]).toEqual([int8.bytes, int8.score]);
  const job = JSON.parse(readFileSync(join(folder, "job.json"), "utf8"));
  expect([job.length, job.inputs.length, job.model]).toEqual([64, 12, "teacher"]);
  const picture = readFileSync(join(folder, "all/ladder.svg"), "utf8");
  expect([picture.match(/<rect class="f0"/g)!.length, collisions(picture)]).toEqual([9, []]);
  expect(readFileSync(join(folder, "all/ladder.csv"), "utf8").trim().split("\n").length).toBe(10);
  const model = join(folder, "all/distilled/model/model.safetensors");
  const before = statSync(model).mtimeMs;
  const again = await uffb(...line, "--json");
  expect(JSON.parse(again.out).rungs).toEqual(rungs);
  expect(statSync(model).mtimeMs).toBe(before);
  const other = await uffb(...line, "--width", "8");
  expect([other.code, other.err.trim().split("\n").length]).toEqual([1, 1]);
  expect(other.err).toContain("distilled holds a model that was made with other settings");
}, 120_000);

test("later rungs are made of trees where these pay, and of what was before where they do not", async () => {
  const line = [...LINE, "--rungs", "trees,int8", "--trees", "dense:8+1x2", "--repeat", "1"];
  const climbed = async (name: string, ...flags: string[]) => {
    expect((await uffb(...line, ...flags, "-o", name)).code).toBe(0);
    const { rungs, notes } = ladderOf(name);
    return { trees: rungs[0] as Row & { title: string }, int8: rungs[1]!, notes: notes.join("\n") };
  };
  const key = (name: string) => readFileSync(join(folder, name, "int8/made-of"), "utf8");
  // A trial that is there is not run again, so that its times can be set here.
  const tried = (from: string, name: string, before: number) => {
    cpSync(join(folder, from), join(folder, name), { recursive: true });
    rmSync(join(folder, name, "int8"), { recursive: true });
    const path = join(folder, name, "trees/trial.json");
    const trial = JSON.parse(readFileSync(path, "utf8"));
    trial.kept[0].rounds = [before];
    trial.kept[1].rounds = [1];
    writeFileSync(path, JSON.stringify(trial));
  };
  await climbed("as-it-is", "--most-lost", "100");
  tried("as-it-is", "slow", 0.5);
  const slow = await climbed("slow", "--most-lost", "100");
  expect([slow.trees.title, slow.notes]).toEqual([
    "trees, dense:8+1x2: set aside",
    expect.stringContaining("0.50 times as fast, and"),
  ]);
  expect(slow.notes).toContain("later rungs are made of the model before");
  tried("as-it-is", "fast", 2);
  const fast = await climbed("fast", "--most-lost", "100");
  expect([fast.trees.title, fast.notes]).toEqual([
    "trees, dense:8+1x2",
    expect.stringContaining("That pays"),
  ]);
  expect(key("fast")).not.toBe(key("slow"));
}, 120_000);

test("rounds that are there are not run again", async () => {
  const line = [...LINE, "--rungs", "dynamic,int8", "-o", "rounds"];
  const rounds = (): number[][] =>
    JSON.parse(readFileSync(join(folder, "rounds/times.json"), "utf8")).kept.map(
      (one: { rounds: number[] }) => one.rounds,
    );
  expect((await uffb(...line, "--repeat", "2")).code).toBe(0);
  const first = rounds();
  expect(first.map(({ length }) => length)).toEqual([2, 2]);
  expect((await uffb(...line, "--repeat", "5")).code).toBe(0);
  expect(rounds().map(({ length }) => length)).toEqual([5, 5]);
  expect(rounds().map((all) => all.slice(0, 2))).toEqual(first);
}, 60_000);

test("an interrupted training goes on to the same student", async () => {
  const long = [...LINE.slice(0, -1), "200", "--rungs", "distilled"];
  const state = join(folder, "broken/distilled/model.run");
  const child = start(...long, "-o", "broken");
  while (!existsSync(join(state, "log.jsonl")) && child.exitCode === null) await Bun.sleep(5);
  await Bun.sleep(50);
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(existsSync(join(state, "state.safetensors"))).toBe(true);
  expect((await uffb(...long, "-o", "broken")).code).toBe(0);
  expect((await uffb(...long, "-o", "whole")).code).toBe(0);
  const weights = (name: string) => readFileSync(join(folder, name, "distilled/model/model.safetensors"));
  expect(weights("broken").equals(weights("whole"))).toBe(true);
}, 120_000);

test("without PyTorch the ladder starts with the engine, and says so", async () => {
  const child = Bun.spawn(
    [
      process.execPath,
      join(import.meta.dir, "main.ts"),
      ...LINE,
      "--rungs",
      "pytorch-512,dynamic,int8",
      "-o",
      "alone",
    ],
    { cwd: folder, env: { ...process.env, PATH: folder }, stdout: "pipe", stderr: "pipe" },
  );
  expect(await child.exited).toBe(0);
  expect(await child.stdout.text()).toContain("Left out: PyTorch, fixed length 64: no Python with torch");
  expect(ladderOf("alone").rungs.map(({ name }) => name)).toEqual(["dynamic", "int8"]);
}, 60_000);

test.each([
  [["ladder", "--teacher", "t", "-o", "x"], 2, "TASK is missing"],
  [["ladder", "sst2", "--teacher", "teacher"], 2, "--output is missing"],
  [["ladder", "sst2", "-o", "x"], 2, "--teacher is missing"],
  [["ladder", "sst2", "mrpc", "--teacher", "teacher", "-o", "x"], 2, "mrpc"],
  [[...LINE, "-o", "x", "--rungs", "int8,up"], 2, "--rungs: there is no up; give pytorch-512, "],
  [[...LINE, "-o", "x", "--rungs", "int8,int8"], 2, "--rungs: int8 is there twice"],
  [[...LINE, "-o", "x", "--trees", "dense:8"], 2, "--trees dense:8: give trees, such as 4x8"],
  [[...LINE, "-o", "x", "--layers", "a"], 2, "--layers a: give numbers"],
  [[...LINE, "-o", "x", "--python", "./no-torch"], 2, "--python ./no-torch: is no program with torch"],
  [["ladder", "mnli-m", "--teacher", "teacher", "-o", "x", "--data", "data"], 1, "no MNLI-m dev data"],
  [[...LINE, ...ENGINE, "-o", "x", "--layers", "0,9"], 2, "--layers 0,9: give numbers from 0 to 2"],
] as const)("refuses %j", async (line, status, message) => {
  const { code, out, err } = await uffb(...line);
  expect([code, out]).toEqual([status, ""]);
  expect(err).toContain(message);
  expect(
    err
      .trim()
      .split("\n")
      .filter((text) => !text.includes("warning")).length,
  ).toBe(1);
});
