import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { TemporaryFolder } from "../../../testing/folders.ts";
import { forgeParquet } from "../../../testing/parquet.ts";
import { type InputOptions, itemsOf, openInput } from "./input.ts";

type Content = string | Uint8Array;

/** The items of a file of this name, its note and its place of line 3. */
async function file(name: string, content: Content, options: Partial<InputOptions> = {}) {
  using folder = new TemporaryFolder();
  writeFileSync(folder.file(name), content);
  try {
    const input = await openInput({ input: folder.file(name), ...options });
    const items = await Array.fromAsync(itemsOf(input));
    const short = (text: string) => text.replaceAll(`${folder.path}/`, "");
    return { items, note: input.note && short(input.note), place: short(input.place(3)), kept: input.kept };
  } catch (error) {
    (error as Error).message = (error as Error).message.replaceAll(`${folder.path}/`, "");
    throw error;
  }
}

/** The items of what comes on stdin, in pieces of a byte or all at once. */
async function stdin(content: Content, options: Partial<InputOptions> = {}, name?: string) {
  const bytes = Buffer.from(content as string);
  async function* stream() {
    for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
  }
  const input = await openInput({ texts: [], stdin: { isTTY: false, stream, file: name }, ...options });
  return Array.fromAsync(itemsOf(input));
}

const CSV = 'id,text,label\r\nx,"a ""b"", c\r\nd",1\r\n\r\ny,,2\r\nz,e\r\n,f,3\r\n';
const CSV_ITEMS = [
  { line: 2, id: "x", text: 'a "b", c\r\nd' },
  { line: 4, error: "blank line" },
  { line: 5, id: "y", error: 'no text in column "text"' },
  { line: 6, error: "2 cells, and the header names 3 columns" },
  { line: 7, text: "f" },
];

describe("a file", () => {
  test.each([
    ["a.csv", CSV],
    ["a.csv.gz", gzipSync(CSV)],
    ["a.CSV", `\ufeff${CSV}`],
  ])("%s: every row, bad ones among them", async (name, content) => {
    const { items, note, place } = await file(name, content);
    expect(items as unknown[]).toEqual(CSV_ITEMS);
    expect([note, place]).toEqual([undefined, `${name}:3`]);
  });

  test("packed twice in one file, as cat makes it", async () => {
    const { items } = await file("a.csv.gz", Buffer.concat([gzipSync("text\na\n"), gzipSync("b\n")]));
    expect(items.map((item) => "text" in item && item.text)).toEqual(["a", "b"]);
  });

  test("that is damaged gives what could be read, then says so", async () => {
    const packed = gzipSync(Buffer.from("text\n".repeat(10_000)));
    await expect(file("a.csv.gz", packed.subarray(0, packed.length - 9))).rejects.toThrow(
      "a.csv.gz: cannot be unpacked as gzip",
    );
  });

  test("TSV, JSON lines and Parquet", async () => {
    expect((await file("a.tsv", 'id\ttext\n1\ta "b"\n')).items).toEqual([
      { line: 2, id: "1", text: 'a "b"' },
    ]);
    const jsonl = '{"id":1,"text":"a"}\n\n{"text":"b","text_pair":"c"}\n{oops\n';
    expect((await file("a.jsonl", jsonl)).items as unknown[]).toEqual([
      { line: 1, id: 1, text: "a" },
      { line: 2, error: "blank line" },
      { line: 3, text: "b", pair: "c" },
      { line: 4, error: "not valid JSON" },
    ]);
    const parquet = forgeParquet(2, [{ name: "text" }, { name: "n" }], "a text");
    for (const name of ["a.parquet", "a.txt"])
      expect((await file(name, parquet)).items).toEqual([
        { line: 1, text: "a text" },
        { line: 2, text: "a text" },
      ]);
    expect((await file("a.parquet.gz", gzipSync(parquet))).items).toHaveLength(2);
  });

  test("plain lines, whatever its name", async () => {
    expect((await file("a", "one\n\ntwo\tthree\n")).items as unknown[]).toEqual([
      { line: 1, text: "one" },
      { line: 2, error: "blank line" },
      { line: 3, text: "two\tthree" },
    ]);
    expect((await file("a.csv", "a,b\n", { inputFormat: "lines" })).items).toEqual([
      { line: 1, text: "a,b" },
    ]);
  });

  test.each([
    ["a.txt", "text,label\na,b\n", "a.txt looks like CSV, by its first line; say --input-format csv, or"],
    ["a.txt", "id\tReview\n1\ta\n", "a.txt looks like TSV"],
    ["a.csv", "a;text\n1;b\n", 'separated by ";"'],
    ["a.csv", "a,b\n1,2\n", 'which column is the text? Say --text-column; a.csv has the columns "a", "b"'],
    ["a.json", '[\n{"text":"a"}]', "is one JSON array"],
    ["a.txt", Uint8Array.of(0xff, 0xfe, 97, 0), "is UTF-16"],
    ["a.parquet", "hello\n", "cannot be read as parquet"],
    ["a.jsonl", '{"body_html":1,"title_html":2}\n', "which column is the text?"],
  ] as const)("%s with %j: %s", async (name, content, message) => {
    await expect(file(name, content)).rejects.toThrow(message);
  });

  test("what excludes each other", async () => {
    await expect(file("a.csv", CSV, { ids: true, inputFormat: "csv" })).rejects.toThrow(
      "--ids are plain lines",
    );
    await expect(file("a.txt", "a\n", { textColumn: "a", inputFormat: "lines" })).rejects.toThrow(
      "--text-column is for tables",
    );
    await expect(file("a.csv", CSV, { texts: ["-"] })).rejects.toThrow('"-" reads stdin');
    await expect(file("a.csv", CSV, { pairColumn: "no" })).rejects.toThrow(
      "--pair-column no is not a column",
    );
  });
});

describe("stdin", () => {
  test("is plain lines, or what it begins like", async () => {
    expect(await stdin("a, b\nc\n")).toHaveLength(2);
    expect(await stdin('\n{"text":"a"}\n')).toMatchObject([{ error: "blank line" }, { text: "a" }]);
    expect(await stdin(gzipSync("a\nb\n"))).toMatchObject([{ text: "a" }, { text: "b" }]);
    expect(await stdin(forgeParquet(2, [{ name: "text" }]))).toHaveLength(2);
    expect((await stdin(CSV, { inputFormat: "csv" })) as unknown[]).toEqual(CSV_ITEMS);
    expect(await stdin("n,words\n1,a\n", { textColumn: "words" })).toMatchObject([{ text: "a" }]);
  });

  test("is no CSV in silence, by its first line or its name", async () => {
    await expect(stdin(CSV)).rejects.toThrow(
      "stdin looks like CSV, by its first line; say --input-format csv",
    );
    await expect(stdin("id,body_html,n\n")).rejects.toThrow("stdin looks like CSV");
    expect(await stdin("Well, no\n")).toHaveLength(1);
    await expect(stdin("a;b\n", {}, "/data/a.csv")).rejects.toThrow(
      "stdin is /data/a.csv; say --input-format",
    );
  });

  test("that was said to be JSON lines and is not has a remedy", async () => {
    const [item] = await stdin("a\n", { inputFormat: "jsonl" });
    expect(item).toEqual({
      line: 1,
      error: "not a JSON object",
      remedy: "for plain lines say --input-format lines",
    });
  });
});

describe("columns", () => {
  const table = "id,Review,other,key\n1,a,b,k\n";
  test("obvious ones are found, and it is said", async () => {
    const { items, note } = await file("a.csv", table);
    expect(items).toEqual([{ line: 2, id: "1", text: "a" }]);
    expect(note).toBe('a.csv: text from column "Review"; --text-column chooses another');
  });

  test("named ones win", async () => {
    const { items, note } = await file("a.csv", table, {
      textColumn: "other",
      pairColumn: "Review",
      idColumn: "key",
    });
    expect(items).toEqual([{ line: 2, id: "k", text: "b", pair: "a" }]);
    expect(note).toBeUndefined();
  });

  test("pairs are found for a model that compares, and not for one that takes one text", async () => {
    const pairs = "premise,hypothesis,text\na,b,c\n";
    expect((await file("a.csv", pairs, { count: 2 })).items).toMatchObject([{ text: "a", pair: "b" }]);
    expect((await file("a.csv", pairs, { count: 1 })).items).toEqual([{ line: 2, text: "c" }]);
  });

  test("are kept, all but the id, with bad rows that have them", async () => {
    const { items, kept } = await file("a.csv", "id,text,n\n1,a,7\n2,,8\n", { keep: true });
    expect(items as unknown[]).toEqual([
      { line: 2, id: "1", text: "a", kept: { text: "a", n: "7" } },
      { line: 3, id: "2", error: 'no text in column "text"', kept: { text: "", n: "8" } },
    ]);
    expect(kept).toEqual({ names: ["text", "n"], texts: ["text"] });
    const json = await file("a.jsonl", '{"text":"a","a.b":{"c":1},"n":null}\n', { keep: true });
    expect(json.items).toMatchObject([{ kept: { text: "a", "a.b": { c: 1 }, n: null } }]);
  });
});
