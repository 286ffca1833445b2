/**
 * Kills the program at random moments and looks at what is left: bun testing/kill.ts [--kills N] [--seed N] [--binary PATH], after npm
 * run build.
 *
 * Each job is run once whole, to know what it makes and how long that takes. Then it is killed (SIGKILL) somewhere in that time, again and
 * again. Under a final name nothing but a whole result may ever lie, the old one or the new; and what the killed process left beside must be
 * gone when the next run has ended. The exit code is 1 when something was not so.
 */
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkpoint, op, storage, tensor } from "./forge.ts";
import { Random } from "./fuzz/mutate.ts";
import { FakeHub } from "./hub/fake-hub.ts";
import { pattern } from "./hub/setup.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const MODEL = join(ROOT, "fixtures/reference/fff-1x5");

interface Job {
  name: string;
  line: readonly string[];
  /** Puts what the job needs into a folder that is its current, home and temporary one. */
  prepare(folder: string): void;
  /** Paths in the folder that never hold anything but a whole file. */
  final(path: string): boolean;
  environment?: Record<string, string>;
  /** What is there is not replaced: a run that finds it whole has nothing to do. */
  output?: string;
}

/** What a file holds; of a download's note, whose last line is the time, its other lines. */
function hashOf(path: string): string {
  const bytes = readFileSync(path);
  const hash = createHash("sha256");
  const [commit, etag, time, end] = path.endsWith(".metadata") ? bytes.toString().split("\n") : [];
  return (end === "" && Number(time) > 0 ? hash.update(`${commit} ${etag}`) : hash.update(bytes)).digest(
    "hex",
  );
}

/** Files below a folder, links followed, with a hash of each. */
function contents(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) continue;
    found.set(relative(folder, path), hashOf(path));
  }
  return found;
}

let binary = join(ROOT, "dist/uffb");

function start({ line, environment }: Job, folder: string) {
  return Bun.spawn([binary, ...line], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      TMPDIR: folder,
      HF_HOME: join(folder, "hf"),
      ...environment,
    },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
}

async function complete(job: Job, folder: string): Promise<void> {
  const child = start(job, folder);
  const errors = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`${job.name} fails: ${errors}`);
}

/** Kills a job so many times. Gives what was wrong. */
async function torment(job: Job, kills: number, random: Random, folder: string): Promise<string[]> {
  const fresh = () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    job.prepare(folder);
  };
  fresh();
  const old = contents(folder);
  const began = performance.now();
  await complete(job, folder);
  const ms = performance.now() - began;
  const whole = contents(folder);
  const wrong: string[] = [];
  for (let kill = 0; kill < kills; kill++) {
    fresh();
    const child = start(job, folder);
    await Bun.sleep((random.next() / 2 ** 32) * 1.1 * ms);
    child.kill("SIGKILL");
    await child.exited;
    for (const [path, hash] of contents(folder)) {
      if (job.final(path) && hash !== whole.get(path) && hash !== old.get(path))
        wrong.push(`${job.name}: half-written: ${path}`);
    }
    const done = job.output !== undefined && existsSync(join(folder, job.output));
    if (!done) await complete(job, folder);
    const after = contents(folder);
    for (const path of after.keys()) if (!whole.has(path)) wrong.push(`${job.name}: stays behind: ${path}`);
    for (const [path, hash] of whole)
      if (after.get(path) !== hash) wrong.push(`${job.name}: is wrong afterwards: ${path}`);
  }
  return wrong;
}

/** A pickle with two tensors of some megabytes. */
function bigPickle(): Uint8Array {
  const elements = 4_000_000;
  return checkpoint(
    op.dict(
      ...["a", "b"].flatMap((name, i) => [
        op.text(name),
        tensor(storage(`${i}`, elements), 0, [elements], [1]),
      ]),
    ),
    { 0: pattern(4 * elements, 1), 1: pattern(4 * elements, 2) },
  );
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: "string", default: "500" },
      seed: { type: "string", default: "1" },
      binary: { type: "string", default: binary },
    },
  });
  binary = resolve(values.binary);
  if (!existsSync(binary)) throw new Error(`${binary} is missing; run npm run build`);
  const hub = await FakeHub.start({
    "config.json": "{}\n",
    "1_Pooling/config.json": '{"a": 1}\n',
    "model.safetensors": pattern(3_000_000),
    "other.safetensors": pattern(2_000_000, 7),
  });
  const pickle = bigPickle();
  const never = () => false;
  const jobs: Job[] = [
    {
      name: "download",
      line: ["download", hub.name],
      prepare: () => {},
      final: (path) => !path.endsWith(".incomplete") && !path.endsWith(".tmp"),
      environment: { HF_ENDPOINT: hub.endpoint },
    },
    {
      name: "download to a folder",
      line: ["download", hub.name, "--local-dir", "here"],
      prepare: () => {},
      final: (path) => path.startsWith("here/") && !path.endsWith(".incomplete") && !path.endsWith(".tmp"),
      environment: { HF_ENDPOINT: hub.endpoint },
    },
    {
      name: "convert tensors",
      line: ["convert", "m.bin", "--to", "safetensors", "-o", "out.safetensors"],
      prepare(folder) {
        writeFileSync(join(folder, "m.bin"), pickle);
        writeFileSync(join(folder, "out.safetensors"), "the old one");
      },
      final: (path) => path === "out.safetensors",
    },
    {
      name: "convert to a packed file",
      line: ["convert", "m", "-o", "out"],
      prepare: (folder) => cpSync(MODEL, join(folder, "m"), { recursive: true }),
      final: (path) => path === "out",
    },
    {
      name: "convert to a folder",
      line: ["convert", "m", "--to", "hf", "-o", "out"],
      prepare: (folder) => cpSync(MODEL, join(folder, "m"), { recursive: true }),
      final: (path) => path.startsWith("out/"),
      output: "out",
    },
    {
      name: "learn a vocabulary",
      line: ["vocab", "text.txt", "--size", "200", "-o", "out"],
      prepare: (folder) =>
        writeFileSync(join(folder, "text.txt"), "the red dog sees a blue cat\n".repeat(50_000)),
      final: (path) => path.startsWith("out/"),
      output: "out",
    },
    { name: "first start", line: ["infer", "A [MASK]."], prepare: () => {}, final: never },
    {
      name: "export a picture",
      line: ["inspect", "--text", "A text.", "--svg", "trees.svg"],
      prepare: (folder) => writeFileSync(join(folder, "trees.svg"), "the old one"),
      final: (path) => path === "trees.svg",
    },
    {
      name: "export vectors",
      line: ["infer", "--embed", "--format", "npy", "A text."],
      prepare: () => {},
      final: never,
    },
  ];
  const root = mkdtempSync(join(tmpdir(), "uffb-kill-"));
  const random = new Random(Number(values.seed), 0);
  const each = Math.ceil(Number(values.kills) / jobs.length);
  let wrong = 0;
  for (const job of jobs) {
    const found = await torment(job, each, random, join(root, "run"));
    wrong += found.length;
    console.log(`${job.name}: ${each} kills, ${found.length} wrong`);
    for (const line of new Set(found)) console.log(`  ${line}`);
  }
  rmSync(root, { recursive: true });
  hub.stop();
  console.log(`seed ${values.seed}: ${each * jobs.length} kills, ${wrong} wrong`);
  process.exitCode = wrong > 0 ? 1 : 0;
}

await main();
