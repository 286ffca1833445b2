/**
 * Fuzzes every reader of files that strangers send. Run: bun testing/fuzz/fuzz.ts [--seconds N] [--seed S] [--target NAME] [--cases FROM..TO]
 * [--file PATH] [--limit-seconds N]
 *
 * A damaged file must be read or refused with a UffbError, in at most 1 s (--limit-seconds) and 128 MiB beyond its own size. Cases run
 * in another process, which may crash or hang; each depends on seed and number alone, so that the same seed finds the same things. A
 * case that goes wrong is written to a file, with the command that runs it again; the exit code then is 1.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Target } from "./targets.ts";
import { type Counts, type Job, makeCase, type Report, work } from "./worker.ts";

/** A case that takes so many times the limit hangs. */
const HANG = 30;
/** Cases a process runs before a fresh one goes on. */
const CASES = 10_000;

type Plan = Omit<Job, "progress">;
type Finding = Omit<Report, "problem"> & { problem: Report["problem"] | "crash" | "hang" };

interface Ended {
  reports: Report[];
  counts: Counts["counts"] | undefined;
  /** The case under way when the process died or was ended for hanging. */
  lost: { index: number; problem: "crash" | "hang"; detail: string } | undefined;
}

/** Runs a job in a process of its own. */
async function runJob(job: Plan, folder: string): Promise<Ended> {
  const path = join(folder, "progress");
  writeFileSync(path, new Uint8Array(8).fill(255)); // -1: no case is under way
  const progress = new BigInt64Array(Bun.mmap(path, { shared: true }).buffer, 0, 1);
  const worker = Bun.spawn(
    [process.execPath, import.meta.path, "--job", JSON.stringify({ ...job, progress: path })],
    {
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  let hangs = false;
  let last = -1n;
  let since = Date.now();
  const watch = setInterval(() => {
    const now = Atomics.load(progress, 0);
    if (now < 0 || now !== last) [last, since] = [now, Date.now()];
    else if (Date.now() - since > HANG * 1000 * job.limitSeconds) {
      hangs = true;
      worker.kill("SIGKILL");
    }
  }, 200);
  const [output, errors] = await Promise.all([
    new Response(worker.stdout).text(),
    new Response(worker.stderr).text(),
  ]);
  const code = await worker.exited;
  clearInterval(watch);
  const lines = output
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Report | Counts);
  const reports = lines.filter((line): line is Report => "problem" in line);
  const counts = lines.find((line): line is Counts => "counts" in line)?.counts;
  if (counts && code === 0) return { reports, counts, lost: undefined };
  const detail = hangs
    ? `more than ${HANG * job.limitSeconds} s`
    : `${worker.signalCode ?? `exit code ${code}`} ${errors.slice(-2000)}`;
  return {
    reports,
    counts,
    lost: { index: Number(Atomics.load(progress, 0)), problem: hangs ? "hang" : "crash", detail },
  };
}

/** Runs cases until the deadline or the last; what took too much must do so again in a process of its own. */
async function fuzz(job: Plan, folder: string, found: (finding: Finding) => Promise<void>) {
  const totals: Counts["counts"] = {};
  let from = job.from;
  while (from < job.to && Date.now() < job.deadline) {
    const to = Math.min(from + CASES, job.to);
    const { reports, counts, lost } = await runJob({ ...job, from, to }, folder);
    for (const [name, { read, refused }] of Object.entries(counts ?? {})) {
      totals[name] ??= { read: 0, refused: 0 };
      totals[name].read += read;
      totals[name].refused += refused;
    }
    for (const report of reports) {
      const { index, target } = report;
      if (report.problem === "threw" || job.alone) {
        await found(report);
        continue;
      }
      // Time and memory are also other programs' and the garbage of other cases.
      const again = { ...job, from: index, to: index + 1, alone: true, deadline: Number.MAX_SAFE_INTEGER };
      const ended = await runJob(again, folder);
      const [confirmed = ended.lost] = ended.reports;
      if (confirmed) await found({ target, ...confirmed });
    }
    if (lost && lost.index < 0) throw new Error(`no case could be run: ${lost.detail}`);
    if (lost) await found({ ...lost, target: "" });
    from = lost ? lost.index + 1 : to;
  }
  return totals;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "60" },
      seed: { type: "string", default: "1" },
      target: { type: "string", default: "" },
      cases: { type: "string", default: "0.." },
      file: { type: "string" },
      "limit-seconds": { type: "string", default: "1" },
      targets: { type: "string", default: new URL("./targets.ts", import.meta.url).pathname },
      job: { type: "string" },
    },
  });
  if (values.job !== undefined) return work(JSON.parse(values.job) as Job);
  const path = resolve(values.targets);
  const { TARGETS: targets } = (await import(path)) as { TARGETS: Record<string, Target> };
  if ((values.target || values.file !== undefined) && !(values.target in targets)) {
    throw new Error(`--target must be one of ${Object.keys(targets).join(", ")}`);
  }
  const [first, last] = values.cases.split("..");
  const job = {
    targets: path,
    only: values.target,
    seed: Number(values.seed),
    from: Number(first),
    to: values.file !== undefined ? Number(first) + 1 : Number(last) || Number.MAX_SAFE_INTEGER,
    ...(values.file !== undefined && { file: values.file }),
    alone: values.file !== undefined,
    limitSeconds: Number(values["limit-seconds"]),
    deadline: Date.now() + 1000 * Number(values.seconds),
  };
  const folder = mkdtempSync(join(tmpdir(), "uffb-fuzz-"));
  let findings = 0;
  const totals = await fuzz(job, folder, async ({ index, problem, detail }) => {
    findings++;
    const { name, bytes } = await makeCase(job, targets, index);
    const kept = join(tmpdir(), "uffb-fuzz-found");
    mkdirSync(kept, { recursive: true });
    const file = values.file ?? join(kept, `${name}-${job.seed}-${index}`);
    if (values.file === undefined) writeFileSync(file, bytes);
    console.log(`${name}, case ${index}: ${problem}: ${detail}`);
    console.log(`  again: bun testing/fuzz/fuzz.ts --target ${name} --file ${file}`);
  });
  rmSync(folder, { recursive: true });
  let cases = 0;
  for (const [name, { read, refused }] of Object.entries(totals)) {
    console.log(`${name}: ${read} read, ${refused} refused`);
    cases += read + refused;
  }
  if (cases === 0) console.log("no case ran");
  console.log(`seed ${job.seed}: ${cases} cases, ${findings} went wrong`);
  process.exitCode = findings > 0 || cases === 0 ? 1 : 0;
}

await main();
