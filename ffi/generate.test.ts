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
  const listed = names(/^UFFB_ACTIVATION\((\w+)/gm).map((name) => `UFFB_${name}`);
  const constants = [...names(/#define (UFFB_\w+) \d/g), ...listed, ...names(/^ +(UFFB_\w+_COUNT)$/gm)];
  expect(of("constant").toSorted()).toEqual(constants.toSorted());
  expect(of("struct")).toEqual(names(/typedef struct (\w+) \{/g));
  expect(of("function").length).toBeGreaterThan(15);
});

test("a line that is not understood is an error", () => {
  expect(() => readHeader("UFFB_API int32_t uffb_x(void)\n")).toThrow("uffb_x");
  expect(() => readHeader("typedef struct a {\n    float x;\n} a;\n")).toThrow("float x");
  expect(() => readHeader("typedef struct a {\n    const char *x;\n} a;\n")).toThrow("char *x");
  expect(() => readHeader("typedef struct a {\n    const int32_t *x[3];\n} a;\n")).toThrow("x[3]");
  expect(() => readHeader("UFFB_API void f(int a[3]);\n")).toThrow("a[3]");
  const list = (line: string) =>
    readHeader(
      `enum {\n#define UFFB_A(CONSTANT, name) UFFB_##CONSTANT,\n${line}\n#undef UFFB_A\n    UFFB_A_COUNT\n};\n`,
    );
  expect(list("UFFB_A(X, x)").length).toBe(3);
  expect(() => list("UFFB_A(X)")).toThrow("UFFB_A(X)");
  expect(() => list("UFFB_A(X, x, y)")).toThrow("UFFB_A(X, x, y)");
  expect(() => generate("UFFB_API void f(const float **x);\n")).toThrow("no TypeScript type");
  expect(() => generate("UFFB_API float f(void);\n")).toThrow("result of f");
});

test("a changed value, field or signature changes the bindings", () => {
  const before = generate(header);
  for (const [from, to] of [
    ["UFFB_CANCELLED 4", "UFFB_CANCELLED 5"],
    ['UFFB_ACTIVATION(RELU, relu, "ReLU", "relu")\n', ""],
    ["int32_t tied;", "int64_t tied;"],
    ["int64_t k, int32_t *ids", "int32_t k, int32_t *ids"],
  ] as const) {
    expect(header).toContain(from);
    expect(generate(header.replace(from, to))).not.toBe(before);
  }
});
