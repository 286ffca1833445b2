/** Every input has its row: as many come out as went in, in every format, with bad ones anywhere. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { csvCells } from "../rows/delimited.ts";
import { type BadItem, type InputFormat, type Item, itemsOf, openInput } from "../text/input/input.ts";
import { ArraySink } from "./arrays.ts";
import type { Result } from "./heads.ts";
import { columnsOf, exporter } from "./output.ts";

/** What a row of each format may look like: good ones, and those that cannot be used. */
const GOOD: Record<Exclude<InputFormat, "parquet">, readonly string[]> = {
  lines: ["a text", "1,2", "é中😀", '{"not": "json'],
  csv: ['1,"a ""quoted"", text"', '2,"over\ntwo lines"', '3,"\r\n,"', "é,ü"],
  tsv: ["1\ta text", '2\t"quotes"', "é\tü"],
  jsonl: ['{"id":1,"text":"a"}', '{"text":"a\\nb","n":[1,{"m":null}]}', '{"ids":[1,2]}', '{"text":""}'],
};
const BAD: Record<Exclude<InputFormat, "parquet">, readonly string[]> = {
  lines: ["", "  ", "\xff"],
  csv: ["", "1", "1,2,3", "1,", "1,\xff", '"\xfe\n",a'],
  tsv: ["", "1", "1\t2\t3", "1\t", "\xff\t2"],
  jsonl: ["", "{oops", '{"text":[]}', "{}", '{"id":{},"text":"a"}', "[1]", '{"text":"\\ud800"}', '"\xff"'],
};
const HEADERS: Partial<Record<InputFormat, string>> = { csv: "id,text", tsv: "id\ttext" };

const MODEL = { labels: ["no", "yes, indeed"], width: 3 };
const VECTOR = Float32Array.of(1, 2, 3);
const SCORES = MODEL.labels.map((label) => ({ label, probability: 0.5, logit: 0 }));

/** What a model might say of an item. */
function resultOf(task: "classify" | "embed", item: Item | BadItem): Result | BadItem {
  if ("error" in item) return item;
  const common = { item, tokens: 3, dropped: 0 };
  if (task === "embed") return { ...common, task, vector: VECTOR };
  return { ...common, task, label: MODEL.labels[1]!, probability: 0.5, scores: SCORES };
}

async function read(format: InputFormat, rows: readonly string[], final: boolean, keep: boolean) {
  const lines = [...(HEADERS[format] === undefined ? [] : [HEADERS[format]]), ...rows];
  const file = Buffer.from(lines.join("\n") + (final ? "\n" : ""), "latin1");
  async function* stream() {
    yield file;
  }
  const stdin = { isTTY: false, stream };
  const input = await openInput({ texts: ["-"], inputFormat: format, keep, stdin });
  return { items: await Array.fromAsync(itemsOf(input)), kept: keep ? input.kept : undefined };
}

describe.each(Object.keys(GOOD) as (keyof typeof GOOD)[])("%s", (format) => {
  const row = fc.oneof(
    fc
      .constantFrom(...GOOD[format])
      .map((text) => ({ text: Buffer.from(text).toString("latin1"), good: true })),
    fc.constantFrom(...BAD[format]).map((text) => ({ text, good: false })),
  );
  test("rows in are rows out", async () => {
    await fc.assert(
      fc.asyncProperty(
        // Without a line end, a blank line at the end is none.
        fc.array(row, { minLength: 1, maxLength: 12 }).filter((rows) => rows.at(-1)!.text.trim() !== ""),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom("classify" as const, "embed" as const),
        async (rows, final, keep, task) => {
          const { items, kept } = await read(
            format,
            rows.map(({ text }) => text),
            final,
            keep,
          );
          expect(items.map((item) => !("error" in item))).toEqual(rows.map(({ good }) => good));
          const results = items.map((item) => resultOf(task, item));
          const columns = columnsOf(task, MODEL, true);
          const write = (name: "tsv" | "csv" | "jsonl" | "json") => {
            const { head, record, tail } = exporter(name, { columns, header: true, kept });
            return head + results.map(record).join("") + tail;
          };
          const width = 1 + columns.length + (kept?.names.length ?? 0);
          const tsv = write("tsv")
            .trimEnd()
            .split("\n")
            .map((line) => line.split("\t").length);
          const csv = [...csvCells(Buffer.from(write("csv")))].map(
            (one) => "cells" in one && one.cells.length,
          );
          // trimEnd takes tabs of a last bad row, too.
          expect(tsv.slice(0, -1)).toEqual(Array(rows.length).fill(width));
          expect(csv).toEqual(Array(rows.length + 1).fill(width));
          const objects = JSON.parse(write("json")) as { error?: string }[];
          expect(objects.map(({ error }) => error === undefined)).toEqual(rows.map(({ good }) => good));
          expect(
            write("jsonl")
              .trimEnd()
              .split("\n")
              .map((line) => JSON.parse(line)),
          ).toEqual(objects);
          if (task !== "embed") return;
          using array = new ArraySink("npy", "f32", 3);
          for (const result of results) array.add(result);
          expect(Buffer.concat([...array.finish()]).toString("latin1")).toContain(`(${rows.length}, 3)`);
        },
      ),
    );
  });
});

test("a kept column that is called like a result comes out as input_NAME", async () => {
  const { items, kept } = await read("jsonl", ['{"id":4,"text":"a","label":"x","p":null,"n":1}'], true, true);
  const results = items.map((item) => resultOf("classify", item));
  const csv = exporter("csv", { columns: columnsOf("classify", MODEL, true), kept });
  expect(csv.head + csv.record(results[0]!)).toBe(
    'id,label,p,p_no,"p_yes, indeed",text,input_label,input_p,n\n4,"yes, indeed",0.5,0.5,0.5,a,x,,1\n',
  );
  const json = JSON.parse(exporter("jsonl", { kept }).record(results[0]!));
  expect(json).toMatchObject({
    id: 4,
    text: "a",
    label: "yes, indeed",
    input_label: "x",
    input_p: null,
    n: 1,
  });
});
