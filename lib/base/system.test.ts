import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { UffbError } from "./errors.ts";
import { asUffbError, withReason } from "./system.ts";

const thrown = (work: () => unknown): unknown => {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
};

test("what the system refuses is no bug, and says what to do", async () => {
  const missing = thrown(() => readFileSync("/nowhere/at/all"));
  expect(asUffbError(missing)?.message).toBe("/nowhere/at/all: no such file or folder");
  expect(withReason("x: cannot be read", missing)).toBeInstanceOf(UffbError);
  const full = await open("/dev/full", "w");
  const error = await full.write("x").catch((error) => error);
  await full.close();
  expect(asUffbError(error)?.message).toEndWith(": the disk is full; free some space");
  expect(asUffbError(Object.assign(new Error("too many"), { code: "EMFILE" }))?.message).toContain(
    "ulimit -n",
  );
});

test("neither is a lack of memory", () => {
  expect(asUffbError(thrown(() => "x".repeat(2 ** 31)))?.message).toContain("not enough memory");
  expect(asUffbError(thrown(() => new ArrayBuffer(2 ** 53 - 1)))?.message).toContain("not enough memory");
});

test("a bug is one", () => {
  for (const error of [
    new TypeError("x is not a function"),
    new RangeError("Maximum call stack size exceeded."),
    "text",
    undefined,
  ])
    expect(asUffbError(error)).toBeUndefined();
  const bug = new TypeError("x");
  expect(withReason("y", bug)).toBe(bug);
  const own = new UffbError("z");
  expect(asUffbError(own)).toBe(own);
});
