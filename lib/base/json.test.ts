import { expect, test } from "bun:test";
import fc from "fast-check";
import { UffbError } from "./errors.ts";
import { readJson, tryJson } from "./json.ts";

test("reads what JSON.parse reads", () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 8 }), (text) =>
      expect(tryJson(text)).toEqual({ value: JSON.parse(text) }),
    ),
  );
});

test("what is nested too deeply is an error", () => {
  const deep = { error: "JSON nested more than 256 deep" };
  for (const depth of [257, 1000, 60_000]) {
    expect(tryJson("[".repeat(depth) + "]".repeat(depth))).toEqual(deep);
    expect(tryJson(`[0,{"a":${'[{"b":'.repeat(depth)}1${"}]".repeat(depth)}}]`)).toEqual(deep);
  }
  expect(tryJson("[".repeat(256) + "]".repeat(256))).toHaveProperty("value");
});

test("brackets in strings and side by side are not nested", () => {
  for (const value of ["[".repeat(1000), `\\"${"{[".repeat(500)}`, Array.from({ length: 1000 }, () => [{}])])
    expect(tryJson(JSON.stringify([value]))).toEqual({ value: [value] });
});

test("an error names the file and quotes nothing of it", () => {
  expect(() => readJson("root:x:0:0 secret", "model/config.json")).toThrow(
    new UffbError("model/config.json: not valid JSON; get the file again"),
  );
});
