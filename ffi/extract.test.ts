import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
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
import { dirname, join } from "node:path";
import { UffbError } from "../lib/base/errors.ts";
import { type Bundle, extract } from "./extract.ts";

const HASH = "0123456789abcdef";
const { HOME, TMPDIR, XDG_CACHE_HOME } = process.env;
let root: string;
let home: string;
let temporary: string;
let koffi: string;
let bundle: Bundle;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "uffb-extract-"));
  home = join(root, "home");
  temporary = join(root, "tmp");
  for (const folder of [home, temporary]) mkdirSync(folder);
  koffi = join(root, "a");
  const engine = join(root, "b");
  bundle = { files: { "koffi.node": koffi, "libuffb.so": engine }, hash: HASH };
  writeFileSync(koffi, "koffi".repeat(1000));
  writeFileSync(engine, "engine".repeat(1000));
  process.env.HOME = home;
  process.env.TMPDIR = temporary;
  delete process.env.XDG_CACHE_HOME;
});

afterEach(() => {
  for (const [name, value] of Object.entries({ HOME, TMPDIR, XDG_CACHE_HOME })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(root, { recursive: true, force: true });
});

/** Reads what would be loaded. */
function load(folder: string): { folder: string; koffi: string; engine: string } {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  return { folder, koffi: read("koffi.node"), engine: read("libuffb.so") };
}

function expectComplete(loaded: ReturnType<typeof load>): void {
  expect(loaded.koffi).toBe("koffi".repeat(1000));
  expect(loaded.engine).toBe("engine".repeat(1000));
}

describe("extract", () => {
  test("keeps the libraries in the user's cache, private and complete", () => {
    const loaded = extract("the engine", bundle, load);
    expectComplete(loaded);
    expect(loaded.folder).toBe(join(home, ".cache", "uffb", HASH));
    expect(statSync(loaded.folder).mode & 0o777).toBe(0o700);
    expect(readdirSync(loaded.folder).sort()).toEqual(["koffi.node", "libuffb.so"]);
    const { ino } = statSync(join(loaded.folder, "koffi.node"));
    expectComplete(extract("the engine", bundle, load));
    expect(statSync(join(loaded.folder, "koffi.node")).ino).toBe(ino);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("replaces a file that was cut off or changed", () => {
    const { folder } = extract("the engine", bundle, load);
    writeFileSync(join(folder, "koffi.node"), "koffi");
    writeFileSync(join(folder, "libuffb.so"), "other!".repeat(1000));
    expectComplete(extract("the engine", bundle, load));
    expect(readdirSync(folder)).toHaveLength(2);
  });

  test("follows XDG_CACHE_HOME, if it is absolute", () => {
    process.env.XDG_CACHE_HOME = join(root, "home", "xdg");
    expect(extract("the engine", bundle, load).folder).toBe(join(root, "home", "xdg", "uffb", HASH));
    process.env.XDG_CACHE_HOME = "relative";
    expect(extract("the engine", bundle, load).folder).toBe(join(home, ".cache", "uffb", HASH));
  });

  const elsewhere: [string, () => void][] = [
    ["there is no HOME", () => delete process.env.HOME],
    ["HOME does not exist", () => rmSync(home, { recursive: true })],
    ["HOME is a file", () => (process.env.HOME = koffi)],
    ["the cache is writable by others", () => chmodSync(home, 0o777)],
    [
      "our folder in it is writable by others",
      () => {
        mkdirSync(join(home, ".cache", "uffb"), { recursive: true });
        chmodSync(join(home, ".cache", "uffb"), 0o777);
      },
    ],
    [
      "something else has the name of the file",
      () => mkdirSync(join(home, ".cache", "uffb", HASH, "koffi.node"), { recursive: true }),
    ],
  ];
  for (const [name, arrange] of elsewhere) {
    test(`uses a temporary folder and removes it when ${name}`, () => {
      arrange();
      const loaded = extract("the engine", bundle, load);
      expectComplete(loaded);
      expect(dirname(loaded.folder)).toBe(temporary);
      expect(existsSync(loaded.folder)).toBe(false);
      expect(readdirSync(temporary)).toEqual([]);
    });
  }

  test("tries the temporary folder when loading from the cache fails, as from a noexec mount", () => {
    const folders: string[] = [];
    const loaded = extract("the engine", bundle, (folder) => {
      folders.push(folder);
      if (folders.length === 1) throw new Error("failed to map segment from shared object");
      return load(folder);
    });
    expectComplete(loaded);
    expect(folders).toEqual([join(home, ".cache", "uffb", HASH), loaded.folder]);
  });

  test("says what was tried when nothing works", () => {
    const fail = () => {
      throw new Error("failed to map segment");
    };
    expect(() => extract("the engine", bundle, fail)).toThrow(UffbError);
    expect(() => extract("the engine", bundle, fail)).toThrow(
      /in .*home\/\.cache\/uffb\/\w+: failed to map segment; in .*tmp.*: failed to map segment\); set XDG_CACHE_HOME/,
    );
    process.env.TMPDIR = join(root, "nowhere");
    delete process.env.HOME;
    expect(() => extract("the engine", bundle, load)).toThrow(/HOME is not set; .*nowhere/);
  });

  test("passes an error of ours on", () => {
    const calls: string[] = [];
    const fail = (folder: string) => {
      calls.push(folder);
      throw new UffbError("ABI version 9");
    };
    expect(() => extract("the engine", bundle, fail)).toThrow("ABI version 9");
    expect(calls).toHaveLength(1);
  });
});
