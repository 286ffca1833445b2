import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isPrivate, pruneCache } from "./prune.ts";

const { HOME, XDG_CACHE_HOME } = process.env;
const OLD = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
let home: string;
let cache: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "uffb-prune-"));
  cache = join(home, ".cache", "uffb");
  process.env.HOME = home;
  delete process.env.XDG_CACHE_HOME;
});

afterEach(() => {
  for (const [name, value] of Object.entries({ HOME, XDG_CACHE_HOME })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(home, { recursive: true, force: true });
});

function fill(root: string): void {
  for (const version of OLD) {
    mkdirSync(join(root, version), { recursive: true, mode: 0o700 });
    for (const name of ["koffi.node", "libuffb.so", `koffi.node.4711.${crypto.randomUUID()}`])
      writeFileSync(join(root, version, name), "x");
  }
}

test("removes what earlier versions left, wherever XDG_CACHE_HOME is", () => {
  fill(cache);
  pruneCache();
  expect(readdirSync(join(home, ".cache"))).toEqual([]);
  process.env.XDG_CACHE_HOME = join(home, "xdg");
  fill(join(home, "xdg", "uffb"));
  pruneCache();
  expect(readdirSync(join(home, "xdg"))).toEqual([]);
  pruneCache(); // nothing is there
});

test("keeps everything else", () => {
  fill(cache);
  mkdirSync(join(cache, "mine"));
  writeFileSync(join(cache, "mine", "koffi.node"), "x");
  writeFileSync(join(cache, "note"), "x");
  writeFileSync(join(cache, OLD[1]!, "note"), "x");
  pruneCache();
  expect(readdirSync(cache).sort()).toEqual([OLD[1]!, "mine", "note"].sort());
  expect(readdirSync(join(cache, OLD[1]!))).toEqual(["note"]);
  expect(existsSync(join(cache, "mine", "koffi.node"))).toBe(true);
});

test("follows no link", () => {
  const elsewhere = join(home, "elsewhere");
  fill(elsewhere);
  mkdirSync(join(home, ".cache"));
  symlinkSync(elsewhere, cache);
  pruneCache();
  rmSync(cache);
  mkdirSync(cache);
  symlinkSync(join(elsewhere, OLD[0]!), join(cache, OLD[0]!));
  pruneCache();
  for (const version of OLD) expect(readdirSync(join(elsewhere, version))).toHaveLength(3);
});

test.each([
  ["the cache", ".cache/uffb", 0o777],
  ["the cache, to a group", ".cache/uffb", 0o770],
  ["its parent", ".cache", 0o770],
  ["HOME", ".", 0o777],
])("touches nothing where others may write to %s", (_, folder, mode) => {
  fill(cache);
  chmodSync(join(home, folder), mode);
  pruneCache();
  for (const version of OLD) expect(readdirSync(join(cache, version))).toHaveLength(3);
});

test("a folder is private under a sticky one that all may write to", () => {
  const shared = join(home, "shared");
  mkdirSync(join(shared, "own"), { recursive: true, mode: 0o700 });
  chmodSync(shared, 0o1777);
  expect(isPrivate(join(shared, "own"))).toBe(true);
  chmodSync(shared, 0o777);
  expect(isPrivate(join(shared, "own"))).toBe(false);
});
