import { expect, test } from "bun:test";
import { relative, resolve, win32 } from "node:path";
import fc from "fast-check";
import { UffbError, UsageError } from "../base/errors.ts";
import { checkFileName, checkRevision, parseRepo } from "./names.ts";

test.each(["pbelcak/UltraFastBERT-1x11-long", "nyu-mll/glue", "gpt2", "a/b.c_d-e"])(
  "%s is a repository",
  (name) => {
    expect(parseRepo(name)).toEqual({ type: "model", name });
  },
);

test.each([
  "",
  "a/b/c",
  "../x",
  "a/..",
  "a--b/c",
  "-a/b",
  "a/b.",
  "a b/c",
  "https://huggingface.co/a/b",
  `a/${"b".repeat(100)}`,
])("%j is no repository", (name) => {
  expect(() => parseRepo(name)).toThrow(UsageError);
});

test.each(["main", "v1.0", "refs/pr/1", "feature/x", "0123456789abcdef0123456789abcdef01234567"])(
  "%s is a revision",
  (name) => {
    expect(checkRevision(name)).toBe(name);
  },
);

test.each(["", "../x", "a/../b", "/x", "a//b", "a/", "-x", "a b", "a/.b", "a.lock"])(
  "%j is no revision",
  (name) => {
    expect(() => checkRevision(name)).toThrow(UsageError);
  },
);

test("a name that passes stays below its folder on every system; one that does not is an UffbError", () => {
  const piece = fc.oneof(
    fc.constantFrom("..", ".", "", "/", "\\", "C:", ".git", "a", "\u0000", "~", "..."),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), fc.constantFrom("", "/", "\\"), (pieces, glue) => {
      const name = pieces.join(glue);
      try {
        checkFileName(name);
      } catch (error) {
        expect(error).toBeInstanceOf(UffbError);
        return;
      }
      const inside = relative("/base", resolve("/base", name));
      expect(inside).not.toBe("");
      expect(inside.split("/")).not.toContain("..");
      expect(inside.startsWith("/")).toBe(false);
      expect(win32.resolve("C:\\base", name).startsWith("C:\\base\\")).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test("ordinary names pass", () => {
  for (const name of [
    "config.json",
    "1_Pooling/config.json",
    ".gitattributes",
    "a..b",
    "日本語.txt",
    "…/x y",
  ]) {
    expect(checkFileName(name)).toBe(name);
  }
});
