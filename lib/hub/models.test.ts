import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { TemporaryFolder } from "../../testing/folders.ts";
import { repositoryOf, requireModel, SHORT_NAMES } from "./models.ts";
import { parseRepo } from "./names.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
let cache: TemporaryFolder;
const before = process.env.HF_HUB_CACHE;
beforeEach(() => {
  cache = new TemporaryFolder();
  process.env.HF_HUB_CACHE = cache.path;
});
afterEach(() => {
  cache[Symbol.dispose]();
  if (before === undefined) delete process.env.HF_HUB_CACHE;
  else process.env.HF_HUB_CACHE = before;
});

/** Puts a downloaded model into the cache; gives its folder. */
function downloaded(name: string): string {
  const folder = cache.file(`models--${name.replaceAll("/", "--")}`);
  mkdirSync(`${folder}/refs`, { recursive: true });
  mkdirSync(`${folder}/snapshots/${COMMIT}`, { recursive: true });
  writeFileSync(`${folder}/refs/main`, COMMIT);
  return `${folder}/snapshots/${COMMIT}`;
}

test("a downloaded model is found by its name, the last part of it, and a short name, whatever the case", () => {
  const mini = downloaded("sentence-transformers/all-MiniLM-L6-v2");
  const mrpc = downloaded(SHORT_NAMES.mrpc!);
  const bare = downloaded("gpt");
  for (const name of ["sentence-transformers/all-MiniLM-L6-v2", "all-MiniLM-L6-v2", "all-minilm-l6-v2"])
    expect(requireModel(name)).toBe(mini);
  for (const name of ["mrpc", "MRPC", "bert-base-uncased-mrpc"]) expect(requireModel(name)).toBe(mrpc);
  expect(requireModel("gpt")).toBe(bare);
});

test("several of one name are an error that lists them", () => {
  downloaded("a/model");
  downloaded("b/Model");
  expect(() => requireModel("model")).toThrow(
    "model: several downloaded models are called so; say which: a/model, b/Model",
  );
});

test("what is not there says how to get it", () => {
  expect(() => requireModel("sst2")).toThrow(
    `sst2: no such file or folder; ${SHORT_NAMES.sst2} is not in the cache`,
  );
  expect(() => requireModel("sst2")).toThrow(`download it first: uffb download ${SHORT_NAMES.sst2}`);
  expect(() => requireModel("a/b")).toThrow("uffb download a/b");
  expect(() => requireModel("nothing")).toThrow('"uffb download --help" lists the short names');
  for (const path of ["./a", "a/b/c", "/a", "a/", "model.safetensors"])
    expect(() => requireModel(path)).toThrow(/^\S+: no such file or folder$/);
});

test("short names stand for repositories, and are told apart by more than case", () => {
  const names = Object.keys(SHORT_NAMES);
  for (const name of names) expect(parseRepo(repositoryOf(name)!).name).toBe(SHORT_NAMES[name]!);
  expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(names.length);
  expect(names.filter((name) => name.includes("/"))).toEqual([]);
});
