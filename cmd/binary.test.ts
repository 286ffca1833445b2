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

  test("answers from an empty folder, and leaves nothing anywhere", () => {
    const [HOME, TMPDIR, cwd] = [emptyFolder(), emptyFolder(), emptyFolder()];
    expectAnswer(spawn([binary, ...QUESTION], { HOME, TMPDIR }, cwd));
    const nearest = spawn([binary, "infer", "--similar", "how to save money", "a cheap meal", "a deep sea"]);
    expect(nearest.stdout).toMatch(/a cheap meal[\s\S]*a deep sea/);
    for (const folder of [HOME, TMPDIR, cwd]) expect(readdirSync(folder)).toEqual([]);
  });

  test("loads its libraries from memory, and nothing that lies in a cache", async () => {
    const HOME = emptyFolder();
    const cache = join(HOME, ".cache/uffb", "0123456789abcdef0123456789abcdef");
    mkdirSync(cache, { recursive: true });
    for (const name of ["koffi.node", "libuffb.so"]) writeFileSync(join(cache, name), "not a library");
    await using child = Bun.spawn([binary, "infer"], { env: { HOME }, stdin: "pipe", stdout: "pipe" });
    child.stdin.write("a [MASK]\n");
    child.stdin.flush();
    await child.stdout.getReader().read(); // it answers, so that they are loaded
    const maps = readFileSync(`/proc/${child.pid}/maps`, "utf8");
    for (const name of ["koffi.node", "libuffb.so"])
      expect(maps).toMatch(new RegExp(`r-xp .* /memfd:${name} \\(deleted\\)`));
    expect(maps).not.toContain(HOME);
    child.kill();
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

  test.skipIf(!canMount)("answers where no folder allows execution, or has space", () => {
    const home = emptyFolder();
    for (const options of ["noexec,mode=0700", "ro,mode=0700", "size=4k,mode=0700"]) {
      const mount = `mount -t tmpfs -o ${options} none '${home}'`;
      expectAnswer(spawnIn(mount, root, { HOME: home, TMPDIR: home }));
    }
  });

  test.skipIf(!canChangeUser)("answers another user", () => {
    const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, ...QUESTION];
    expectAnswer(spawn(asNobody, { HOME: "/nonexistent" }));
    const home = emptyFolder(); // root's, who is not nobody
    expectAnswer(spawn(asNobody, { HOME: home }));
    expect(readdirSync(home)).toEqual([]);
  });

  test("answers many that start at once for the first time", async () => {
    const env = { HOME: emptyFolder(), TMPDIR: emptyFolder() };
    const children = Array.from({ length: 24 }, () =>
      Bun.spawn([binary, ...QUESTION], { env, stdout: "pipe", stderr: "pipe" }),
    );
    for (const child of children) {
      const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      expectAnswer({ exitCode: await child.exited, stdout, stderr });
    }
    for (const folder of Object.values(env)) expect(readdirSync(folder)).toEqual([]);
  });

  test("says why there is no device", () => {
    const { exitCode, stdout, stderr } = spawn([binary, ...QUESTION, "--device", "cuda"], {
      HOME: emptyFolder(),
    });
    if (exitCode === 0) expect(stdout).toContain("directed");
    else expect(stderr).toMatch(/^error: .*(built without CUDA|driver|device).*\n$/);
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
