/** The compiled binary, in the places it will be started from. Absent (no `npm run build` yet), all of it is skipped. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { version } from "../package.json";

const CHECKOUT = fileURLToPath(new URL("../", import.meta.url));
const BUILT = `${CHECKOUT}dist/uffb`;
const QUESTION = ["infer", "The film was [MASK] by Steven Spielberg."];

const root = mkdtempSync(join(tmpdir(), "uffb-binary-"));
const binary = join(root, "uffb");
chmodSync(root, 0o755);
if (existsSync(BUILT)) copyFileSync(BUILT, binary);
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Whether a command works here: namespaces and other users are not to be had everywhere. */
const can = (...line: string[]) => existsSync(BUILT) && spawn(line).exitCode === 0;
const canMount = can("unshare", "-rm", "true");
const canChangeUser = can("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "true");

let folders = 0;
function emptyFolder(): string {
  const path = join(root, `folder-${++folders}`);
  mkdirSync(path);
  return path;
}

function spawn(line: string[], env: Record<string, string> = {}, cwd = root) {
  try {
    const { exitCode, stdout, stderr } = Bun.spawnSync(line, {
      cwd,
      env: { PATH: process.env.PATH!, ...env },
    });
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  } catch {
    return { exitCode: 127, stdout: "", stderr: "" };
  }
}

/** Runs the binary after shell commands in a mount namespace of its own; `$1` is the folder given. */
function spawnIn(mounts: string, folder: string, env: Record<string, string>) {
  const script = `${mounts} && cd "$1" && shift && exec "$@"`;
  return spawn(["unshare", "-rm", "sh", "-ec", script, "sh", folder, binary, ...QUESTION], env);
}

function expectAnswer({ exitCode, stdout, stderr }: ReturnType<typeof spawn>): void {
  expect(stderr).toBe("");
  expect(stdout).toContain("directed");
  expect(exitCode).toBe(0);
}

const libraries = (home: string) => {
  const cache = join(home, ".cache/uffb");
  const folder = join(cache, readdirSync(cache)[0]!);
  return readdirSync(folder).map((name) => join(folder, name));
};

describe.skipIf(!existsSync(BUILT))("dist/uffb", () => {
  test("holds no path of the checkout", () => {
    const bytes = readFileSync(binary);
    for (const part of ["node_modules/", "build/", "ffi/", "cmd/"]) {
      expect(bytes.includes(CHECKOUT + part)).toBe(false);
    }
  });

  test("says its version", () => {
    expect(spawn([binary, "--version"])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: "" });
  });

  test("answers from an empty folder, and from its cache then", () => {
    const home = emptyFolder();
    const cwd = emptyFolder();
    for (let start = 0; start < 2; start++) expectAnswer(spawn([binary, ...QUESTION], { HOME: home }, cwd));
    expect(readdirSync(cwd)).toEqual([]);
    expect(libraries(home)).toHaveLength(2);
  });

  test("runs nothing and reads no settings from the folder it is started in", () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./preload.ts"]\n');
    writeFileSync(join(cwd, "preload.ts"), 'console.log("preloaded"); process.exit(9);\n');
    writeFileSync(join(cwd, ".env"), "UFFB_ISA=mmx\n");
    writeFileSync(join(cwd, "package.json"), '{ "name": "other", "version": "9.9.9" }\n');
    expectAnswer(spawn([binary, ...QUESTION], { HOME: emptyFolder() }, cwd));
  });

  test.skipIf(!canMount)("answers with the checkout gone", () => {
    const gone = `mount -t tmpfs none '${CHECKOUT}' && ! test -e '${CHECKOUT}package.json'`;
    expectAnswer(spawnIn(gone, emptyFolder(), { HOME: emptyFolder() }));
  });

  test("answers without HOME, and leaves nothing behind", () => {
    const temporary = emptyFolder();
    expectAnswer(spawn([binary, ...QUESTION], { TMPDIR: temporary }));
    expectAnswer(spawn([binary, ...QUESTION], { TMPDIR: temporary, HOME: join(root, "nowhere") }));
    expect(readdirSync(temporary)).toEqual([]);
  });

  test.skipIf(!canMount)("answers with a read-only HOME", () => {
    const home = emptyFolder();
    expectAnswer(spawnIn(`mount -t tmpfs -o ro,mode=0700 none '${home}'`, root, { HOME: home }));
  });

  test.skipIf(!canMount)("answers where HOME allows no execution, and says so where nothing does", () => {
    const home = emptyFolder();
    const mount = `mount -t tmpfs -o noexec,mode=0700 none '${home}'`;
    expectAnswer(spawnIn(mount, root, { HOME: home }));
    const { exitCode, stdout, stderr } = spawnIn(mount, root, { HOME: home, TMPDIR: home });
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^error: .*cannot load the engine \(in .*noexec\n$/);
  });

  test.skipIf(!canChangeUser)("answers another user", () => {
    const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, ...QUESTION];
    expectAnswer(spawn(asNobody, { HOME: "/nonexistent" }));
    const home = emptyFolder(); // root's, who is not nobody
    expectAnswer(spawn(asNobody, { HOME: home }));
    expect(readdirSync(home)).toEqual([]);
  });

  test("answers several that start at once for the first time", async () => {
    const HOME = emptyFolder();
    const children = Array.from({ length: 4 }, () =>
      Bun.spawn([binary, ...QUESTION], { env: { HOME }, stdout: "pipe", stderr: "pipe" }),
    );
    for (const child of children) {
      const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      expectAnswer({ exitCode: await child.exited, stdout, stderr });
    }
    expect(libraries(HOME)).toHaveLength(2);
  });

  test("repairs a library in the cache that was cut off or changed", () => {
    const HOME = emptyFolder();
    expectAnswer(spawn([binary, ...QUESTION], { HOME }));
    const before = libraries(HOME).map((path) => [path, readFileSync(path)] as const);
    for (const [path, content] of before) {
      for (const damaged of [content.subarray(0, 4096), Buffer.alloc(content.length)]) {
        writeFileSync(path, damaged);
        expectAnswer(spawn([binary, ...QUESTION], { HOME }));
        expect(readFileSync(path).equals(content)).toBe(true);
      }
    }
  });

  test("keeps the CUDA library to itself until a device is asked for, and says why there is none", () => {
    const HOME = emptyFolder();
    const folders = () =>
      readdirSync(join(HOME, ".cache/uffb"))
        .map((folder) => readdirSync(join(HOME, ".cache/uffb", folder)).sort())
        .sort();
    const engine = ["koffi.node", "libuffb.so"];
    expectAnswer(spawn([binary, ...QUESTION], { HOME }));
    expect(folders()).toEqual([engine]);
    const { exitCode, stdout, stderr } = spawn([binary, ...QUESTION, "--device", "cuda"], { HOME });
    if (exitCode === 0) expect(stdout).toContain("directed");
    else expect(stderr).toMatch(/^error: .*(built without CUDA|driver|device).*\n$/);
    const has = !stderr.includes("built without CUDA");
    expect(folders()).toEqual(has ? [engine, ["libuffb_cuda.so"]] : [engine]);
  });

  test("names the instruction sets there are when asked for another", () => {
    const { exitCode, stdout, stderr } = spawn([binary, ...QUESTION], {
      HOME: emptyFolder(),
      UFFB_ISA: "mmx",
    });
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^error: .*mmx.*generic.*\n$/);
  });
});
