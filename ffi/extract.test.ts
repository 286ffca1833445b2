import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { fstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { UffbError } from "../lib/base/errors.ts";
import { type Bundle, extract } from "./extract.ts";

const { TMPDIR } = process.env;
let root: string;
let temporary: string;
let bundle: Bundle;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "uffb-extract-"));
  temporary = join(root, "tmp");
  mkdirSync(temporary);
  bundle = { "koffi.node": join(root, "a"), "libuffb.so": join(root, "b") };
  writeFileSync(bundle["koffi.node"]!, "koffi".repeat(100_000));
  writeFileSync(bundle["libuffb.so"]!, "engine".repeat(100_000));
  process.env.TMPDIR = temporary;
});

afterEach(() => {
  if (TMPDIR === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = TMPDIR;
  rmSync(root, { recursive: true, force: true });
});

/** Reads what would be loaded, and sees what others could. */
function load(paths: Record<string, string>) {
  expect(Object.keys(paths)).toEqual(["koffi.node", "libuffb.so"]);
  const files = Object.values(paths).map((path) => Number(/^\/proc\/self\/fd\/(\d+)$/.exec(path)![1]));
  for (const file of files) expect(fstatSync(file).nlink).toBe(0);
  expect(readdirSync(temporary)).toEqual([]);
  return Object.values(paths).map((path) => readFileSync(path, "utf8"));
}

/** Refuses the first place, as a system does that allows no code in memory. */
function loadSecond(): typeof load {
  let calls = 0;
  return (paths) => {
    if (++calls === 1) throw new Error("failed to map segment from shared object");
    return load(paths);
  };
}

const whole = ["koffi".repeat(100_000), "engine".repeat(100_000)];

describe("extract", () => {
  test("loads exactly what the bundle holds, from files without a name", () => {
    expect(extract("the engine", bundle, load)).toEqual(whole);
  });

  test("keeps a library's path from being another's later", () => {
    const seen = Array.from({ length: 3 }, () =>
      extract("the engine", bundle, (paths) => Object.values(paths)),
    );
    expect(new Set(seen.flat()).size).toBe(6);
  });

  test("goes to the temporary folder when memory holds no code, and leaves nothing there", () => {
    expect(extract("the engine", bundle, loadSecond())).toEqual(whole);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test("takes a temporary folder by a relative path, too", () => {
    process.env.TMPDIR = relative(process.cwd(), temporary);
    expect(extract("the engine", bundle, loadSecond())).toEqual(whole);
  });

  test("says in one line what was tried when nothing works", () => {
    process.env.TMPDIR = join(root, "nowhere");
    const fail = () => {
      throw new Error("failed to map segment");
    };
    expect(() => extract("the engine", bundle, fail)).toThrow(UffbError);
    expect(() => extract("the engine", bundle, fail)).toThrow(
      /^cannot load the engine \(in memory: failed to map segment; in a temporary file: ENOENT.*nowhere.*\); set TMPDIR to .*noexec$/,
    );
  });

  test("passes an error of ours on", () => {
    const calls: unknown[] = [];
    const fail = (paths: unknown) => {
      calls.push(paths);
      throw new UffbError("ABI version 9");
    };
    expect(() => extract("the engine", bundle, fail)).toThrow("ABI version 9");
    expect(calls).toHaveLength(1);
  });
});
