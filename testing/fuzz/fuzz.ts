/**
 * Fuzzes every reader of files that strangers send. Run: bun testing/fuzz/fuzz.ts [--seconds N] [--seed S] [--target NAME] [--cases FROM..TO]
 * [--file PATH] [--limit-seconds N] [--record FILE] [--total FILE]
 *
 * A damaged file must be read or refused with a UffbError, in at most 1 s (--limit-seconds) and 128 MiB beyond its own size. Cases run
 * in another process, which may crash or hang. Targets take turns of equal time. A case depends on seed, target and number alone, so that
 * it can be run again; one that goes wrong is written to a file, with the command that does so, and the exit code then is 1.
 *
 * --record appends a line about the run to a file, and takes a seed that no run in it had; --total sums such a file.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { addRun, freshSeed, readRuns, summary, type Totals } from "./record.ts";
import { watch } from "./watch.ts";
import { type Job, makeCase, type Report, type Slice, type Targets, work } from "./worker.ts";

/** How long a process goes on before a fresh one does. */
const PROCESS_MS = 600_000;
/** Where files are written in memory. */
const MEMORY = "/dev/shm";

type Plan = Omit<Job, "progress">;
type Finding = Omit<Report, "problem"> & { problem: Report["problem"] | "crash" | "hang" };

interface Ended {
  reports: Report[];
  slices: Slice[];
  /** The case under way when the process died or was ended for hanging. */
  lost: Finding | undefined;
}

/** Runs a job in a process of its own. */
async function runJob(job: Plan, targets: Targets, folder: string): Promise<Ended> {
  const path = join(folder, "progress");
  writeFileSync(path, new Uint8Array(new Float64Array([0, -1]).buffer)); // no case is under way
  const progress = new Float64Array(Bun.mmap(path, { shared: true }).buffer, 0, 2);
  const worker = Bun.spawn(
    [process.execPath, import.meta.path, "--job", JSON.stringify({ ...job, progress: path })],
    { stdout: "pipe", stderr: "pipe", env: { ...process.env, TMPDIR: folder } },
  );
  const endWatch = watch(worker, progress, job.limitSeconds);
  const [output, errors] = await Promise.all([
    new Response(worker.stdout).text(),
    new Response(worker.stderr).text(),
  ]);
  const code = await worker.exited;
  const hang = endWatch();
  const lines = output
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Report | Slice);
  const reports = lines.filter((line): line is Report => "problem" in line);
  const slices = lines.filter((line): line is Slice => "next" in line);
  const [target, index] = progress as unknown as [number, number];
  if (code === 0 && hang === undefined && index < 0) return { reports, slices, lost: undefined };
  const detail = hang ?? `${worker.signalCode ?? `exit code ${code}`} ${errors.slice(-2000)}`;
  const name = Object.keys(targets)[target]!;
  return { reports, slices, lost: { target: name, index, problem: hang ? "hang" : "crash", detail } };
}

/** Runs cases until the deadline or the last; what took too much must do so again in a process of its own. */
async function fuzz(
  job: Plan,
  targets: Targets,
  folder: string,
  found: (finding: Finding) => Promise<void>,
): Promise<Totals> {
  const totals: Totals = {};
  const next = { ...job.next };
  while (Object.keys(next).length > 0 && Date.now() < job.deadline) {
    const deadline = Math.min(job.deadline, Date.now() + PROCESS_MS);
    const { reports, slices, lost } = await runJob({ ...job, next, deadline }, targets, folder);
    for (const slice of slices) {
      totals[slice.target] ??= { read: 0, refused: 0, seconds: 0 };
      const total = totals[slice.target]!;
      total.read += slice.read;
      total.refused += slice.refused;
      total.seconds += slice.seconds;
      next[slice.target] = slice.next;
    }
    for (const report of reports) {
      const { index, target } = report;
      if (report.problem === "threw" || job.alone) {
        await found(report);
        continue;
      }
      // Time and memory are also other programs' and the garbage of other cases.
      const again = { ...job, next: { [target]: index }, alone: true };
      const ended = await runJob(again, targets, folder);
      const [confirmed = ended.lost] = ended.reports;
      if (confirmed) await found(confirmed);
    }
    if (lost && lost.index < 0) throw new Error(`no case could be run: ${lost.detail}`);
    if (lost) {
      await found(lost);
      next[lost.target] = lost.index + 1;
    }
    for (const name of Object.keys(next)) if (job.alone || next[name]! >= job.to) delete next[name];
  }
  return totals;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string" },
      target: { type: "string", default: "" },
      cases: { type: "string", default: "0.." },
      file: { type: "string" },
      "limit-seconds": { type: "string", default: "1" },
      record: { type: "string" },
      total: { type: "string" },
      targets: { type: "string", default: new URL("./targets.ts", import.meta.url).pathname },
      job: { type: "string" },
    },
  });
  if (values.job !== undefined) return work(JSON.parse(values.job) as Job);
  if (values.total !== undefined) return console.log(summary(readRuns(values.total)));
  const path = resolve(values.targets);
  const { TARGETS: targets } = (await import(path)) as { TARGETS: Targets };
  if ((values.target || values.file !== undefined) && !(values.target in targets)) {
    throw new Error(`--target must be one of ${Object.keys(targets).join(", ")}`);
  }
  const [first, last] = values.cases.split("..").map(Number);
  const names = values.target ? [values.target] : Object.keys(targets);
  const seed = Number(values.seed ?? (values.record === undefined ? 1 : freshSeed(readRuns(values.record))));
  const job = {
    targets: path,
    seed,
    next: Object.fromEntries(names.map((name) => [name, first!])),
    to: last || Number.MAX_SAFE_INTEGER,
    ...(values.file !== undefined && { file: values.file }),
    alone: values.file !== undefined,
    limitSeconds: Number(values["limit-seconds"]),
    deadline: Date.now() + 1000 * Number(values.seconds),
  };
  const folder = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "uffb-fuzz-"));
  let findings = 0;
  const totals = await fuzz(job, targets, folder, async ({ target, index, problem, detail }) => {
    findings++;
    const kept = join(tmpdir(), "uffb-fuzz-found");
    mkdirSync(kept, { recursive: true });
    const file = values.file ?? join(kept, `${target}-${seed}-${index}`);
    if (values.file === undefined) writeFileSync(file, await makeCase(job, targets, target, index));
    console.log(`${target}, case ${index}: ${problem}: ${detail}`);
    console.log(`  again: bun testing/fuzz/fuzz.ts --target ${target} --file ${file}`);
  }).finally(() => rmSync(folder, { recursive: true }));
  let cases = 0;
  for (const [name, { read, refused, seconds }] of Object.entries(totals)) {
    const rate = Math.round((read + refused) / seconds);
    console.log(`${name}: ${read} read, ${refused} refused, ${rate} a second`);
    cases += read + refused;
  }
  if (cases === 0) console.log("no case ran");
  console.log(`seed ${seed}: ${cases} cases, ${findings} went wrong`);
  if (values.record !== undefined) addRun(values.record, seed, totals, findings);
  process.exitCode = findings > 0 || cases === 0 ? 1 : 0;
}

await main();
