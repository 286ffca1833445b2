import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UsageError } from "../../lib/base/errors.ts";
import type { Args, Positional } from "./args.ts";
import { parse } from "./parse.ts";

const ARGS = {
  model: { type: "string", description: "", alias: "m" },
  topK: { type: "number", description: "", integer: true, min: 1, max: 100, default: 5, alias: "k" },
  bias: { type: "number", description: "", multiple: true },
  pooling: { type: "enum", description: "", options: ["mean", "first", "max"] },
  json: { type: "boolean", description: "" },
  truncate: { type: "boolean", description: "", default: true },
} as const satisfies Args;
const TEXTS: Positional[] = [{ name: "text", description: "", multiple: true }];

const read = (...line: string[]) => parse(line, ARGS, TEXTS);
const failure = (...line: string[]) => {
  try {
    read(...line);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as Error).message;
  }
  throw new Error(`accepted ${line.join(" ")}`);
};

describe("parse", () => {
  test("gives defaults, false and empty lists for what is not given", () => {
    const { args, positionals } = read();
    expect(args).toEqual({
      model: undefined,
      topK: 5,
      bias: [],
      pooling: undefined,
      json: false,
      truncate: true,
    });
    expect(positionals).toEqual([]);
  });

  test("takes flags before, between and after positionals, in every spelling", () => {
    const { args, positionals } = read(
      "--model=a=b",
      "one",
      "--top-k",
      "7",
      "-",
      "--json",
      "--no-truncate",
      "two",
    );
    expect(args).toMatchObject({ model: "a=b", topK: 7, json: true, truncate: false });
    expect(positionals).toEqual(["one", "-", "two"]);
    expect(read("-k", "9", "-mx").args).toMatchObject({ topK: 9, model: "x" });
    expect(read("--model=").args.model).toBe("");
    expect(read("--model", "-").args.model).toBe("-");
  });

  test("ends flags at --", () => {
    const { args, positionals } = read("--json", "--", "--model", "-5", "--");
    expect(args).toMatchObject({ json: true, model: undefined });
    expect(positionals).toEqual(["--model", "-5", "--"]);
  });

  test("reads negative and exponential numbers as values", () => {
    expect(read("--bias", "-5", "--bias=-1.5e-3", "--bias", ".5").args.bias).toEqual([-5, -0.0015, 0.5]);
  });

  test("refuses what it does not know, with the closest match", () => {
    expect(failure("--topk", "3")).toBe("unknown flag --topk; did you mean --top-k?");
    expect(failure("--modle=x")).toContain("did you mean --model?");
    expect(failure("--no-trunc")).toContain("did you mean --no-truncate?");
    expect(failure("--frobnicate")).toContain("--help");
    expect(failure("-z")).toStartWith("unknown flag -z");
    expect(failure("--no-model")).toContain("unknown flag --no-model");
    expect(failure("-5 degrees")).toContain("goes after --");
    expect(failure("--constructor")).toContain("unknown flag");
    expect(failure("--__proto__=1")).toContain("unknown flag");
  });

  test("refuses repeated flags", () => {
    expect(failure("--model", "a", "--model", "b")).toBe("--model was given more than once");
    expect(failure("--json", "--json")).toContain("more than once");
    expect(failure("--truncate", "--no-truncate")).toContain("more than once");
    expect(failure("-k", "1", "--top-k=1")).toContain("more than once");
  });

  test("refuses values that are missing, superfluous or wrong", () => {
    expect(failure("--model")).toBe("--model needs a value");
    expect(failure("--model", "--json")).toContain("--model=--json");
    expect(failure("--json=true")).toBe("--json takes no value");
    expect(failure("--pooling", "men")).toBe(
      '--pooling is one of mean, first, max, not "men"; did you mean mean?',
    );
    for (const text of ["", "x", "1.5", "0", "101", "0x10", "1e999", "NaN", "Infinity", "5 "]) {
      expect(failure(`--top-k=${text}`)).toBe(`--top-k is a whole number from 1 to 100, not "${text}"`);
    }
  });

  test("checks the positionals", () => {
    const specs: Positional[] = [
      { name: "model", description: "", required: true },
      { name: "expected", description: "", required: true },
    ];
    expect(() => parse(["a"], {}, specs)).toThrow("EXPECTED is missing");
    expect(() => parse(["a", "b", "c"], {}, specs)).toThrow('unexpected argument "c"');
    expect(parse(["a", "b"], {}, specs).positionals).toEqual(["a", "b"]);
    expect(() => parse([], { to: { type: "string", description: "", required: true } }, [])).toThrow(
      "--to is missing",
    );
  });

  test("either parses a line or throws a UsageError, and passes everything after -- on", () => {
    const word = fc.oneof(
      fc.constantFrom(
        "--model",
        "--top-k",
        "-k",
        "--json",
        "--no-json",
        "--",
        "-",
        "--bias",
        "5",
        "-1",
        "--x",
      ),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), fc.array(fc.string()), (line, rest) => {
        try {
          const { positionals } = read(...line, "--", ...rest);
          if (!line.includes("--")) expect(positionals.slice(positionals.length - rest.length)).toEqual(rest);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
    );
  });
});
