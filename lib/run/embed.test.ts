import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { isas } from "../../ffi/engine.ts";
import { type Json, pack, TemporaryFolder } from "../../testing/folders.ts";
import { sentenceFiles, writeSentenceModel } from "../../testing/sentence.ts";
import { UffbError } from "../base/errors.ts";
import { convertModel } from "../convert/convert.ts";
import { verify } from "../eval/verify/verify.ts";
import { openCheckpoint } from "../files/checkpoint.ts";
import { openSafetensors, parseTensorFile } from "../files/safetensors/safetensors.ts";
import { type Model, openModel } from "../model/model.ts";
import { ArraySink } from "./arrays.ts";
import type { Embedding } from "./heads.ts";
import { type InferOptions, infer } from "./infer.ts";
import { normaliseRows } from "./normalise.ts";
import { readQueries, SimilarSink } from "./similar.ts";

const MINILM = fileURLToPath(new URL("../../../shared/models/all-MiniLM-L6-v2/", import.meta.url));

async function embed(model: Model, texts: string[], options: InferOptions = {}): Promise<Embedding[]> {
  async function* items() {
    for (const [i, text] of texts.entries()) yield { line: i + 1, text };
  }
  return (await Array.fromAsync(infer(model, items(), options))).flat() as Embedding[];
}
const lengthOf = (vector: Float32Array) => Math.hypot(...vector);

/** Opens the small model after a change to its files. */
async function opened(change: (files: Record<string, Json>) => void): Promise<Model> {
  const folder = owned.use(new TemporaryFolder());
  const files = sentenceFiles();
  change(files);
  return await openModel(writeSentenceModel(folder, files));
}

const owned = new DisposableStack();
let folder: TemporaryFolder;
let model: Model;
beforeAll(async () => {
  folder = new TemporaryFolder();
  model = await openModel(writeSentenceModel(folder));
});
afterAll(() => {
  model[Symbol.dispose]();
  folder[Symbol.dispose]();
  owned.dispose();
});

describe("a folder of sentence-transformers", () => {
  test("says how vectors are made", async () => {
    expect(model.sentence()).toEqual({
      pooling: { kind: "Pooling", poolings: ["mean"], includesPrompt: true },
      after: [{ kind: "Normalize" }],
      width: 32,
      maxLength: 12,
      lowercase: false,
      named: {},
      usual: "",
      similarity: "cosine",
    });
    expect(model.config.task).toBe("embedding");
    const [short, long] = await embed(model, ["a film", "word ".repeat(30)]);
    expect(lengthOf(short!.vector)).toBeCloseTo(1, 6);
    expect([short!.dropped, long!.tokens, long!.dropped]).toEqual([0, 12, 19]);
  });

  test("the caller's wishes win", async () => {
    const [first] = await embed(model, ["a film"], { pooling: "first" });
    expect(first!.vector).not.toEqual((await embed(model, ["a film"]))[0]!.vector);
  });

  test("keeps its ways when it is packed, and when that is unpacked", async () => {
    using out = new TemporaryFolder();
    await pack(folder.path, out.file("packed"));
    await convertModel(openCheckpoint(out.file("packed")), out.file("hf"), { to: "hf", dtype: "F32" });
    const [expected] = await embed(model, ["a film"]);
    for (const path of [out.file("packed"), out.file("hf")]) {
      using copy = await openModel(path);
      expect(copy.sentence()).toEqual(model.sentence());
      expect((await embed(copy, ["a film"]))[0]!.vector).toEqual(expected!.vector);
    }
  });

  test("other poolings, and no normalisation", async () => {
    using max = await opened((files) => {
      files["1_Pooling/config.json"].pooling_mode_mean_tokens = false;
      files["1_Pooling/config.json"].pooling_mode_max_tokens = true;
      files["modules.json"].pop();
    });
    expect(max.sentence()).toMatchObject({ pooling: { poolings: ["max"] }, after: [] });
    const [own] = await embed(max, ["a film"]);
    const [same] = await embed(model, ["a film"], { pooling: "max" });
    expect(normaliseRows(own!.vector, 32)).toEqual(same!.vector);
  });

  test("a prompt of its own comes first, and texts are made small where it says so", async () => {
    using other = await opened((files) => {
      files["config_sentence_transformers.json"] = {
        prompts: { query: "the query: " },
        default_prompt_name: "query",
      };
      files["sentence_bert_config.json"].do_lower_case = true;
    });
    expect(other.sentence()).toMatchObject({ usual: "the query: ", lowercase: true });
    const [prompted] = await embed(other, ["a film "]);
    const [plain] = await embed(model, ["the query: a film"]);
    expect(prompted!.vector).toEqual(plain!.vector);
  });

  test("a model without these files gives means as they are", async () => {
    using other = await opened((files) => {
      for (const name of Object.keys(files)) if (name !== "tokenizer_config.json") delete files[name];
    });
    expect(other.sentence()).toBeUndefined();
    const [result] = await embed(other, ["word ".repeat(30)]);
    expect(result!.tokens).toBe(31);
    expect(lengthOf(result!.vector)).not.toBeCloseTo(1, 2);
  });

  test.each<[string, (files: Record<string, Json>) => void, string]>([
    [
      "a module of another kind",
      (files) => files["modules.json"].push({ type: "sentence_transformers.models.LSTM", path: "3_LSTM" }),
      'module 3.type is "sentence_transformers.models.LSTM"; supported: Transformer, Pooling, Dense',
    ],
    [
      "code of the model's own",
      (files) => {
        files["modules.json"][2].type = "custom_code.Normalize";
      },
      'module 2.type is "custom_code.Normalize"; supported:',
    ],
    ["another order", (files) => files["modules.json"].reverse(), "module 0.type is"],
    [
      "two poolings, one after another",
      (files) => {
        files["modules.json"][2] = { ...files["modules.json"][1] };
      },
      "module 2.type is",
    ],
    ["no pooling", (files) => files["modules.json"].splice(1), "does not list a text model and its pooling"],
    [
      "a model elsewhere",
      (files) => {
        files["modules.json"][0].path = "0_Transformer";
      },
      'module 0.path is "0_Transformer"; only ""',
    ],
    [
      "a path that leads out",
      (files) => {
        files["modules.json"][1].path = "../../etc";
      },
      "module 1.path is",
    ],
    [
      "another pooling",
      (files) => {
        files["1_Pooling/config.json"] = { pooling_mode: "median" };
      },
      'pooling_mode is "median"; supported: cls, max, mean',
    ],
    [
      "another pooling's flag",
      (files) => {
        files["1_Pooling/config.json"].pooling_mode_median = true;
      },
      '"pooling_mode_median" is no setting that the library knows',
    ],
    [
      "an empty list of poolings",
      (files) => {
        files["1_Pooling/config.json"] = { pooling_mode: [] };
      },
      "pooling_mode is []; it must name a pooling",
    ],
    ["no pooling file", (files) => delete files["1_Pooling/config.json"], "has no 1_Pooling/config.json"],
    [
      "an invalid length",
      (files) => {
        files["sentence_bert_config.json"].max_seq_length = 0;
      },
      "max_seq_length is 0",
    ],
    [
      "a prompt that is not there",
      (files) => {
        files["config_sentence_transformers.json"] = { prompts: {}, default_prompt_name: "search" };
      },
      'default_prompt_name is "search"; prompts has no such text',
    ],
    [
      "an object for modules",
      (files) => {
        files["modules.json"] = { idx: 0 };
      },
      "does not list a text model",
    ],
  ])("is refused with %s, when vectors are asked of it", async (_, change, message) => {
    using folder = new TemporaryFolder();
    const files = sentenceFiles();
    change(files);
    using other = await openModel(writeSentenceModel(folder, files));
    await expect(embed(other, ["a"])).rejects.toThrow(UffbError);
    await expect(embed(other, ["a"])).rejects.toThrow(message);
  });
});

describe.skipIf(!existsSync(MINILM))("all-MiniLM-L6-v2", () => {
  test.each(isas())("every stage of seven texts agrees to 1e-5 on %s", async (isa) => {
    using minilm = await openModel(MINILM);
    const { passed, tensors } = await verify(minilm, `${MINILM}expected.safetensors`, { isa });
    expect([passed, tensors.length]).toEqual([true, 9]);
  });

  test("60 texts, one of them empty, have the library's vectors to 1e-5", async () => {
    using minilm = await openModel(MINILM);
    const expected = readFileSync(`${MINILM}expected-embed.jsonl`, "utf8").trim().split("\n");
    const lines = expected.map(
      (line) => JSON.parse(line) as { text: string; tokens: number; embedding: number[] },
    );
    expect(lines.some(({ text }) => text === "")).toBe(true);
    const results = await embed(
      minilm,
      lines.map(({ text }) => text),
      { isa: isas()[0]! },
    );
    expect(results.map(({ tokens }) => tokens)).toEqual(lines.map(({ tokens }) => tokens));
    results.forEach(({ vector }, i) => {
      const worst = vector.reduce((most, x, k) => Math.max(most, Math.abs(x - lines[i]!.embedding[k]!)), 0);
      expect(worst).toBeLessThan(1e-5);
    });
  });
});

const result = (line: number, ...numbers: number[]): Embedding => ({
  task: "embed",
  item: { line, text: `text ${line}` },
  tokens: 1,
  dropped: 0,
  vector: Float32Array.from(numbers),
});

describe("an array of vectors", () => {
  const rows = [result(1, 1, -2, 1 / 3), { line: 2, error: "blank line" }, result(3, 0, 1e-7, 7)];
  const bytesOf = (sink: ArraySink) => {
    using _sink = sink;
    for (const row of rows) expect(sink.add(row)).toBe("");
    return Buffer.concat([...sink.finish()]);
  };
  const NUMBERS = [1, -2, 1 / 3, Number.NaN, Number.NaN, Number.NaN, 0, 1e-7, 7];

  test("npy", () => {
    const bytes = bytesOf(new ArraySink("npy", "f32", 3));
    expect(bytes.subarray(0, 8).toString("latin1")).toBe("\x93NUMPY\x01\x00");
    const length = bytes.readUInt16LE(8);
    expect((10 + length) % 64).toBe(0);
    expect(bytes.subarray(10, 10 + length).toString()).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(3, 3\), \} *\n$/,
    );
    const data = new Float32Array(new Uint8Array(bytes.subarray(10 + length)).buffer);
    expect(Array.from(data)).toEqual(Array.from(Float32Array.from(NUMBERS)));
  });

  test("npy in half precision", () => {
    const bytes = bytesOf(new ArraySink("npy", "f16", 3));
    expect(bytes.toString("latin1")).toContain("'descr': '<f2'");
    const data = new Float16Array(new Uint8Array(bytes.subarray(-18)).buffer);
    expect(Array.from(data)).toEqual(Array.from(Float16Array.from(NUMBERS)));
  });

  test.each([
    ["f32", "F32"],
    ["f16", "F16"],
  ] as const)("safetensors in %s", (dtype, stored) => {
    const { tensors } = parseTensorFile(bytesOf(new ArraySink("safetensors", dtype, 3)), "x");
    const { data, ...rest } = tensors.get("embeddings")!;
    expect(rest).toEqual({ dtype: stored, shape: [3, 3], file: "x" });
    const numbers = dtype === "f32" ? Float32Array : Float16Array;
    expect(Array.from(new numbers(new Uint8Array(data).buffer))).toEqual(Array.from(numbers.from(NUMBERS)));
  });

  test("more than is read back at once", () => {
    using sink = new ArraySink("safetensors", "f32", 1000);
    const numbers = Array.from({ length: 1000 }, (_, i) => i);
    for (let line = 1; line <= 700; line++) sink.add(result(line, ...numbers));
    using folder = new TemporaryFolder();
    writeFileSync(folder.file("all"), Buffer.concat([...sink.finish()]));
    const { shape, data } = openSafetensors(folder.file("all")).get("embeddings")!;
    expect([shape, data.length]).toEqual([[700, 1000], 2_800_000]);
    expect(new Float32Array(new Uint8Array(data.subarray(-4000)).buffer)).toEqual(Float32Array.from(numbers));
  });

  test("takes no memory that grows with it", () => {
    using sink = new ArraySink("npy", "f32", 1000);
    const row = result(1, ...new Array<number>(1000).fill(0.5));
    for (let line = 0; line < 1000; line++) sink.add(row);
    Bun.gc(true);
    const before = process.memoryUsage.rss();
    for (let line = 0; line < 30_000; line++) sink.add(row); // 120 MB
    let bytes = 0;
    for (const piece of sink.finish()) bytes += piece.length;
    expect(bytes).toBeGreaterThan(31_000 * 4000);
    Bun.gc(true);
    expect(process.memoryUsage.rss() - before).toBeLessThan(60e6);
  });
});

describe("the nearest lines", () => {
  const query = (text: string, ...numbers: number[]) => ({
    text,
    vector: Float32Array.from(numbers),
    closest: [],
  });

  test("are those of the largest cosines", () => {
    const vector = fc.array(fc.constantFrom(-2, -1, 0, 1, 3), { minLength: 2, maxLength: 2 });
    fc.assert(
      fc.property(
        fc.array(vector, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 6 }),
        (all, count) => {
          const sink = new SimilarSink([query("q", 1, 0)], count, "json");
          all.forEach((numbers, i) => void sink.add(result(i + 1, ...numbers)));
          const [{ closest }] = JSON.parse(sink.finish().join(""));
          const cosines = all.map(([x, y], i) => ({
            line: i + 1,
            cosine: x === 0 ? 0 : x! / Math.hypot(x!, y!),
          }));
          const best = cosines.sort((a, b) => b.cosine - a.cosine || a.line - b.line).slice(0, count);
          expect(closest).toHaveLength(best.length);
          for (const [i, { cosine }] of closest.entries()) expect(cosine).toBeCloseTo(best[i]!.cosine, 5);
        },
      ),
    );
  });

  test("stay in order where they are equally near", () => {
    const sink = new SimilarSink([query("q", 1, 0)], 3, "tsv");
    const rows = [result(1, 0, 1), result(2, 3, 3), result(3, 3, 3), result(4, 1, 0), result(5, 3, 3)];
    for (const row of rows) sink.add(row);
    expect(sink.finish().map((row) => row.split("\t")[3])).toEqual(["4", "2", "3"]);
  });

  test("in every format, of each query", () => {
    const outputs = (["tsv", "text", "jsonl"] as const).map((format) => {
      const sink = new SimilarSink([query("x", 1, 0), query("y", 0, 1)], 1, format);
      sink.add(result(1, 2, 0));
      sink.add({ line: 2, error: "blank line" });
      sink.add({ ...result(3, 0, 1), item: { line: 3, id: "c", text: "a\tb", pair: "d" } });
      return sink.finish().join("");
    });
    expect(outputs[0]).toBe("1\t1\t1.000000\t1\ttext 1\n2\t1\t1.000000\tc\ta b / d\n");
    expect(outputs[1]).toBe("x\n 1.0000  text 1\ny\n 1.0000  a b / d\n");
    expect(
      outputs[2]!
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { query: "x", closest: [{ line: 1, cosine: 1, text: "text 1" }] },
      { query: "y", closest: [{ line: 3, id: "c", cosine: 1, text: "a\tb", text_pair: "d" }] },
    ]);
  });

  test("of a text, or of a file's lines", async () => {
    using folder = new TemporaryFolder();
    writeFileSync(folder.file("queries"), "\ufeffone\r\n\ntwo\n");
    writeFileSync(folder.file("none"), "\n \n");
    expect(await readQueries("no such file")).toEqual(["no such file"]);
    expect(await readQueries(folder.path)).toEqual([folder.path]);
    expect(await readQueries(folder.file("queries"))).toEqual(["one", "two"]);
    expect(await readQueries("long ".repeat(2000))).toEqual(["long ".repeat(2000)]); // no name of a file
    expect(readQueries(folder.file("none"))).rejects.toThrow("has no query");
    writeFileSync(folder.file("many"), "query\n".repeat(10_001));
    expect(readQueries(folder.file("many"))).rejects.toThrow("has 10001 queries; at most 10000");
  });

  test("of a pipe's lines", async () => {
    using folder = new TemporaryFolder();
    expect(Bun.spawnSync(["mkfifo", folder.file("pipe")]).exitCode).toBe(0);
    const writer = Bun.spawn(["sh", "-c", `printf 'one\\ntwo\\n' > '${folder.file("pipe")}'`]);
    expect(await readQueries(folder.file("pipe"))).toEqual(["one", "two"]);
    await writer.exited;
  });

  test("keep out what has no number", () => {
    const query = { text: "q", vector: Float32Array.of(1, 0), closest: [] };
    const sink = new SimilarSink([query], 1, "tsv");
    for (const [line, vector] of [
      [1, [Number.NaN, 1]],
      [2, [1, 1]],
      [3, [Number.NaN, 1]],
    ] as const)
      sink.add({
        task: "embed",
        item: { line, text: `text ${line}` },
        tokens: 1,
        dropped: 0,
        vector: Float32Array.from(vector),
      });
    expect([...sink.finish()]).toEqual(["1\t1\t0.707107\t2\ttext 2\n"]);
  });
});
