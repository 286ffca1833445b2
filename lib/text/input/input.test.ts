import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UsageError } from "../../base/errors.ts";
import { readLines } from "../../rows/lines.ts";
import { type BadItem, type InputOptions, type Item, itemsOf, openInput, type Source } from "./input.ts";

function source(chunks: Iterable<Uint8Array>, isTTY = false): Source {
  return {
    isTTY,
    async *stream() {
      yield* chunks;
    },
  };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function read(
  options: Partial<InputOptions>,
  stdin: string | Uint8Array = "",
): Promise<(Item | BadItem)[]> {
  const chunk = typeof stdin === "string" ? bytes(stdin) : stdin;
  return Array.fromAsync(itemsOf(await openInput({ texts: [], stdin: source([chunk]), ...options })));
}

describe("texts of the command line", () => {
  test("are taken as they are, tabs and all", async () => {
    expect(await read({ texts: ["a\tb", " c "], tabs: "pairs" })).toEqual([
      { line: 1, text: "a\tb" },
      { line: 2, text: " c " },
    ]);
  });
  test("that are blank are bad", async () => {
    expect(await read({ texts: ["a", "", " "] })).toEqual([
      { line: 1, text: "a" },
      { line: 2, error: "blank text" },
      { line: 3, error: "blank text" },
    ]);
  });
  test("get the second text of --pair, an empty one too", async () => {
    expect(await read({ texts: ["a", "b"], pair: "" })).toEqual([
      { line: 1, text: "a", pair: "" },
      { line: 2, text: "b", pair: "" },
    ]);
  });
  test("may be token ids", async () => {
    expect(await read({ texts: ["1, 2 3", "4,x"], ids: true })).toEqual([
      { line: 1, text: "", ids: Int32Array.of(1, 2, 3) },
      { line: 2, error: '"x" is not a token id' },
    ]);
  });
});

describe("lines of stdin", () => {
  test("LF, CRLF, a BOM at the start and no newline at the end", async () => {
    expect(await read({}, "\uFEFFone\r\ntwo\n\uFEFFthree\r")).toEqual([
      { line: 1, text: "one" },
      { line: 2, text: "two" },
      { line: 3, text: "\uFEFFthree" },
    ]);
  });
  test("a tab separates two texts where it is said to, and only one may stand there", async () => {
    expect(await read({ pair: "p", tabs: "pairs" }, "a\tb\na\t\nc\na\tb\tc\n")).toEqual([
      { line: 1, text: "a", pair: "b" },
      { line: 2, text: "a", pair: "" },
      { line: 3, text: "c", pair: "p" },
      { line: 4, error: "more than one tab; a line holds one text, or two separated by one tab" },
    ]);
  });
  test("what is blank or no UTF-8 is bad, with its number, and the rest still comes", async () => {
    const broken = Buffer.concat([
      bytes("a\n\n \r\n"),
      Uint8Array.of(0xff, 10, 0xc3, 10),
      bytes("é\n"),
      Uint8Array.of(0xed, 0xa0, 0x80),
    ]);
    expect(await read({ texts: ["-"] }, broken)).toEqual([
      { line: 1, text: "a" },
      { line: 2, error: "blank line" },
      { line: 3, error: "blank line" },
      { line: 4, error: "not valid UTF-8" },
      { line: 5, error: "not valid UTF-8" },
      { line: 6, text: "é" },
      { line: 7, error: "not valid UTF-8" },
    ]);
  });
  test("--ids", async () => {
    expect(await read({ ids: true }, "2 5,7\t3\n,\n-1\n2147483648\n1e3\n")).toEqual([
      { line: 1, text: "", ids: Int32Array.of(2, 5, 7, 3) },
      { line: 2, error: "blank line" },
      { line: 3, error: '"-1" is not a token id' },
      { line: 4, error: "2147483648 is not a token id" },
      { line: 5, error: '"1e3" is not a token id' },
    ]);
  });
});

describe("JSON lines", () => {
  const cases: [json: string, expected: Omit<Item, "line"> | string][] = [
    ['{"text":"a"}', { text: "a" }],
    ['{"text":"","text_pair":"","id":0,"more":1}', { text: "", pair: "", id: 0 }],
    ['{"text":"a","text_pair":null,"id":null}', { text: "a" }],
    ['{"text":"a\\tb\\n","id":"x"}', { text: "a\tb\n", id: "x" }],
    ['{"id":7,"ids":[2,3],"tokens":["a"]}', { id: 7, text: "", ids: Int32Array.of(2, 3) }],
    ['{"text":5,"text_pair":1}', { text: "5", pair: "1" }],
    ['{"text":"a","ids":[1]}', { text: "a" }],
    ["{", "not valid JSON"],
    ["{}", 'no text in column "text"'],
    ['{"text":" "}', { text: " " }],
    ['{"text":null}', 'no text in column "text"'],
    ['{"text":[1]}', 'column "text" holds no text'],
    ['{"text":"a","text_pair":{}}', 'column "text_pair" holds no text'],
    ['{"text":"a","id":{}}', '"id" is neither text nor a number'],
    ['{"text":"a","id":true}', '"id" is neither text nor a number'],
    [
      '{"text":"a","id":12345678901234567890}',
      '"id" is too large for a number to keep exactly; write it as text',
    ],
    ['{"text":"\\ud800"}', 'column "text" is not valid Unicode (half of a surrogate pair)'],
    [
      '{"text":"a","text_pair":"\\udfff"}',
      'column "text_pair" is not valid Unicode (half of a surrogate pair)',
    ],
    ['{"ids":"1"}', '"ids" is not a list'],
    ['{"ids":[]}', "no token ids"],
    ['{"ids":[1.5]}', "1.5 is not a token id"],
    ['{"ids":[[1]]}', "[1] is not a token id"],
    ["", "blank line"],
    ["[".repeat(100_000), "not a JSON object"],
    [`{"ids":${"[".repeat(60_000)}${"]".repeat(60_000)}}`, "JSON nested more than 256 deep"],
    ['{"error":"blank line","id":4}', "blank line"],
  ];
  for (const [json, expected] of cases) {
    test(json.slice(0, 60) || "a blank line", async () => {
      const rest = typeof expected === "string" ? { error: expected } : expected;
      const [first, second] = await read({ inputFormat: "jsonl" }, `${json}\n{"text":"z"}`);
      expect(first).toMatchObject({ line: 1, ...rest } as Item);
      expect("error" in first!).toBe(typeof expected === "string");
      expect(second).toEqual({ line: 2, text: "z" });
    });
  }
});

describe("no text at all", () => {
  const outcome = async (options: InputOptions) => Array.fromAsync(itemsOf(await openInput(options)));
  test("stdin empty: usage, unless it was asked for", async () => {
    expect(outcome({ texts: [], stdin: source([]) })).rejects.toThrow(UsageError);
    expect(await outcome({ texts: ["-"], stdin: source([]) })).toEqual([]);
  });
  test("stdin a terminal: usage, unless it was asked for", async () => {
    expect(outcome({ texts: [], stdin: source([bytes("a\n")], true) })).rejects.toThrow("no text: give one");
    expect(await outcome({ texts: ["-"], stdin: source([bytes("a\n")], true) })).toHaveLength(1);
  });
  test("options that exclude each other", () => {
    expect(outcome({ texts: ["a"], ids: true, pair: "b" })).rejects.toThrow(UsageError);
    expect(outcome({ texts: ["-", "a"] })).rejects.toThrow(UsageError);
  });
});

test("a place is a line, an argument, or a file's line", async () => {
  const place = async (options: InputOptions) => (await openInput(options)).place(3);
  const stdin = source([bytes("a\n")]);
  expect(await place({ texts: [], stdin })).toBe("line 3");
  expect(await place({ texts: ["-"], stdin })).toBe("line 3");
  expect(await place({ texts: ["a"] })).toBe("argument 3");
});

describe("chunks", () => {
  const line = fc.oneof(
    fc.string(),
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("", "\r", "a\r", "\uFEFF", "é中😀"),
  );

  test("however the bytes are cut, the lines are the same", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(line.map((text) => text.replaceAll("\n", ""))),
        fc.constantFrom("\n", "\r\n"),
        fc.boolean(),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        async (texts, newline, ends, sizes) => {
          const all = bytes(texts.join(newline) + (ends ? newline : ""));
          const chunks: Uint8Array[] = [];
          for (let at = 0, i = 0; at < all.length; at += sizes[i++ % sizes.length]!) {
            chunks.push(all.subarray(at, at + sizes[i % sizes.length]!));
          }
          const lines = (await Array.fromAsync(readLines(source(chunks).stream(), 1000))).flat();
          const expected = new TextDecoder("utf-8", { ignoreBOM: false }).decode(all).split("\n");
          if (all.length === 0 || all.at(-1) === 10) expected.pop();
          expect(lines).toEqual(
            expected.map((text, i) => ({
              line: i + 1,
              text: text.endsWith("\r") ? text.slice(0, -1) : text,
            })),
          );
        },
      ),
    );
  });

  test("any bytes give as many lines as they have, each read or bad", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1 })), async (chunks) => {
        const lines = (await Array.fromAsync(readLines(source(chunks).stream(), 16))).flat();
        const all = Buffer.concat(chunks);
        const newlines = all.filter((byte) => byte === 10).length;
        expect(lines.length).toBe(newlines + (all.length > 0 && all.at(-1) !== 10 ? 1 : 0));
        expect(lines.map((one) => one.line)).toEqual(lines.map((_, i) => i + 1));
      }),
    );
  });

  test("a stream that fills the same chunk again does no harm", async () => {
    const chunk = new Uint8Array(3);
    const stdin = {
      isTTY: false,
      async *stream() {
        for (const part of ["a\nb", "c\nd", "e\nf"]) {
          chunk.set(bytes(part));
          yield chunk;
        }
      },
    };
    const items = await Array.fromAsync(itemsOf(await openInput({ texts: [], stdin })));
    expect(items.map((item) => (item as Item).text)).toEqual(["a", "bc", "de", "f"]);
  });

  test("a line that is too long is bad, and the lines around it are read", async () => {
    const long = "x".repeat(100);
    for (const size of [1, 7, 1000]) {
      const all = bytes(`short\n${long}\n${"y".repeat(20)}\n${long}`);
      const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
        all.subarray(i * size, i * size + size),
      );
      const lines = (await Array.fromAsync(readLines(source(chunks).stream(), 20))).flat();
      expect(lines).toEqual([
        { line: 1, text: "short" },
        { line: 2, error: "longer than 20 bytes" },
        { line: 3, text: "y".repeat(20) },
        { line: 4, error: "longer than 20 bytes" },
      ]);
    }
  });

  test("an endless line costs no memory", async () => {
    const chunk = new Uint8Array(1 << 20).fill(97);
    const stdin = source(
      (function* () {
        for (let i = 0; i < 100; i++) yield chunk;
        yield bytes("\nend");
      })(),
    );
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    const lines = (await Array.fromAsync(readLines(stdin.stream(), 1 << 20))).flat();
    expect(lines).toEqual([
      { line: 1, error: "longer than 1048576 bytes" },
      { line: 2, text: "end" },
    ]);
    expect(process.memoryUsage.rss() - before).toBeLessThan(50 * 2 ** 20);
  });

  test("no more is read than is asked for", async () => {
    let given = 0;
    const stdin = source(
      (function* () {
        for (; given < 1000; given++) yield bytes("line\n".repeat(1000));
      })(),
    );
    for await (const items of (await openInput({ texts: [], stdin })).batches) {
      expect(items).toHaveLength(1000);
      if (given >= 3) break;
    }
    expect(given).toBeLessThan(6);
  });
});
