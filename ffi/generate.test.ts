import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { FILES, generate, readHeader } from "./generate.ts";

const { header } = FILES["bindings.ts"];

test.each(Object.entries(FILES))(
  "%s is what its header generates: run `bun ffi/generate.ts` after a change",
  (name, { header, setting }) => {
    const bindings = readFileSync(new URL(`./${name}`, import.meta.url), "utf8");
    expect(generate(header, setting)).toBe(bindings);
  },
);

test.each(Object.entries(FILES))("%s has every function, constant and struct of its header", (_, file) => {
  const { header } = file;
  const names = (pattern: RegExp) => [...header.matchAll(pattern)].map(([, name]) => name!);
  const found = readHeader(header);
  const of = (kind: string) => found.filter((one) => one.kind === kind).map(({ name }) => name);
  expect(of("function")).toEqual(names(/^UFFB_API [^;(]*?(\w+)\(/gm));
  expect(of("constant")).toEqual(names(/#define (UFFB_\w+) \d/g));
  expect(of("struct")).toEqual(names(/typedef struct (\w+) \{/g));
  expect(of("function").length).toBeGreaterThan(15);
});

test("a line that is not understood is an error", () => {
  expect(() => readHeader("UFFB_API int32_t uffb_x(void)\n")).toThrow("uffb_x");
  expect(() => readHeader("typedef struct a {\n    float x;\n} a;\n")).toThrow("float x");
  expect(() => readHeader("UFFB_API void f(int a[3]);\n")).toThrow("a[3]");
  expect(() => generate("UFFB_API void f(const float **x);\n")).toThrow("no TypeScript type");
  expect(() => generate("UFFB_API float f(void);\n")).toThrow("result of f");
});

test("a changed value, field or signature changes the bindings", () => {
  const before = generate(header);
  for (const [from, to] of [
    ["UFFB_CANCELLED 4", "UFFB_CANCELLED 5"],
    ["int32_t tied;", "int64_t tied;"],
    ["int64_t k, int32_t *ids", "int32_t k, int32_t *ids"],
  ] as const) {
    expect(header).toContain(from);
    expect(generate(header.replace(from, to))).not.toBe(before);
  }
});
