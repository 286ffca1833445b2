import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import {
  UFFB_FFN_FFF,
  UFFB_FFN_GLU,
  UFFB_LEARNED,
  UFFB_POOL_FIRST,
  UFFB_RELU,
  UFFB_TANH,
} from "../../ffi/bindings.ts";
import { type Json, REFERENCE, reference } from "../../testing/folders.ts";
import { UffbError } from "../base/errors.ts";
import { parseConfig } from "./config.ts";

const text = readFileSync(`${REFERENCE}cls-2/config.json`, "utf8");

/** Parses the reference classifier's config with changes to its `arch`, whose keys may have dots. */
function parse(changes: Record<string, unknown>, top: Record<string, unknown> = {}) {
  const config: Json = { ...JSON.parse(text), ...top };
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split(".");
    const last = keys.pop()!;
    keys.reduce((section, key) => section[key], config.arch)[last] = value;
  }
  return parseConfig(JSON.stringify(config), "x/config.json");
}

test.each(readdirSync(REFERENCE))("reads %s", (name) => {
  const { config } = reference(name);
  const { arch, task } = parseConfig(JSON.stringify(config), name);
  expect(arch.layers).toBe(config.arch.num_transformer_layers);
  expect(arch.hidden).toBe(config.arch.hidden_size);
  expect(arch.heads).toBe(config.arch.attention.num_attention_heads);
  expect(task).toBe(name.startsWith("cls") ? (name === "cls-reg" ? "regression" : "classification") : "mlm");
});

test("reads a classifier", () => {
  const { arch, labels } = parse({}, { id2label: { "0": "bad", "1": "good" } });
  expect(arch).toMatchObject({
    feedforward: UFFB_FFN_FFF,
    trees: 1,
    depth: 5,
    width: 0,
    normEps: 1e-12,
    maxLength: 128,
  });
  expect(arch).toMatchObject({
    pooling: UFFB_POOL_FIRST,
    poolActivation: UFFB_TANH,
    poolWidth: 64,
    labels: 2,
    tied: 0,
  });
  expect(labels).toEqual(["bad", "good"]);
  expect(parse({}).labels).toEqual(["LABEL_0", "LABEL_1"]);
  expect(parse({}, { id2label: { "0": 5, "01": true } }).labels).toEqual(["5", "true"]);
  expect(parse({}, { id2label: { "0": null, "1": "b" } }).labels).toEqual(["LABEL_0", "b"]);
});

test("reads variants", () => {
  const glu = parse({
    intermed_type: "ff",
    nonlin: "ReLUglu",
    intermed_size: 96,
    "embedding.pos_embedding": "learned",
  });
  expect(glu.arch).toMatchObject({
    feedforward: UFFB_FFN_GLU,
    activation: UFFB_RELU,
    width: 96,
    positions: UFFB_LEARNED,
  });
  expect(parse({ "classification_head.include_ff_layer": false }).arch.poolWidth).toBe(0);
  expect(
    [...parse({ use_bias: true, "attention.qkv_bias": true, decoder_bias: true }).switches].sort(),
  ).toEqual(
    ["bias", "decoderBias", "positionScale", "qkvBias"], //
  );
  expect(parse({ something_new: null, "embedding.other": false }).arch.hidden).toBe(64);
});

describe("refuses, naming key and value,", () => {
  test.each<[string, unknown, string?]>([
    ["norm", "RMSNorm"],
    ["norm_scheme", "post"],
    ["ffn_layer_frequency", 2],
    ["nonlin", "SiLU"],
    ["nonlin", "GELUglu", "no gates"],
    ["intermed_type", "moe"],
    ["attention.rotary_embedding", true],
    ["attention.causal_attention", true],
    ["attention.skip_output_projection", true],
    ["attention.sequence_op", "cumsum"],
    ["attention.type", "fourier"],
    ["embedding.pos_embedding", "rotary"],
    ["embedding.embedding_dim", 32],
    ["classification_head.pooler", "last"],
    ["classification_head.nonlin", "constructor"],
    ["layer_drop", 0.5, "not known"],
    ["embedding.factorised", true, "not known"],
    ["attention.num_attention_heads", 7, "does not divide"],
    ["attention.num_attention_heads", 0],
    ["intermed_depth", 40, "from 0 to 24"],
    ["intermed_depth", -1],
    ["intermed_depth", 2.5],
    ["intermed_size", 2 ** 24, ""],
    ["hidden_size", -64],
    ["hidden_size", "64"],
    ["hidden_size", 1e300],
    ["hidden_size", null, "missing"],
    ["num_transformer_layers", 1e9],
    ["embedding.vocab_size", 0],
    ["embedding.max_seq_length", 1e6],
    ["num_labels", 1e7],
    ["norm_eps", -1],
    ["norm_eps", "1e-12"],
    ["use_bias", 1],
  ])("%s = %p", (key, value, why = "") => {
    const depth = key === "intermed_size" ? { intermed_depth: 24 } : {};
    const run = () => parse({ ...depth, [key]: value });
    expect(run).toThrow(UffbError);
    expect(run).toThrow(
      `x/config.json: arch.${key} is ${value === null ? "missing" : JSON.stringify(value)}`,
    );
    expect(run).toThrow(why);
  });

  test.each<[string, unknown]>([
    ["model_type", "t5"],
    ["problem_type", "regression"],
    ["id2label", { x: "y" }],
    ["id2label", { "0": ["a"] }],
    ["architectures", "BertModel"],
  ])("top-level %s = %p", (key, value) => {
    expect(() => parse({}, { [key]: value })).toThrow(`x/config.json: ${key} is ${JSON.stringify(value)}`);
  });

  test("what is no config", () => {
    expect(() => parseConfig("{", "c")).toThrow("c: not valid JSON");
    expect(() => parseConfig("[]", "c")).toThrow("c: the file must be a JSON object");
    expect(() => parse({}, { arch: 3 })).toThrow("arch must be a JSON object");
    expect(() => parse({ embedding: null })).toThrow("arch.embedding must be a JSON object");
  });
});

test("any change of a value gives a config or one clear error", () => {
  const paths: string[][] = [];
  const collect = (value: Json, path: string[]) => {
    if (path.length > 0) paths.push(path);
    if (value && typeof value === "object")
      for (const key of Object.keys(value)) collect(value[key], [...path, key]);
  };
  collect(JSON.parse(text), []);
  const value = fc.oneof(
    fc.jsonValue(),
    fc.integer(),
    fc.constantFrom(0, -1, 1e9, 2 ** 53, 1e308, "", "GELU", [], {}),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom(...paths), value), { minLength: 1, maxLength: 3 }),
      (changes) => {
        const config = JSON.parse(text);
        for (const [path, changed] of changes) {
          const parent = path.slice(0, -1).reduce((section: Json, key) => section?.[key], config);
          if (parent && typeof parent === "object") parent[path.at(-1)!] = structuredClone(changed);
        }
        try {
          const { arch } = parseConfig(JSON.stringify(config), "x");
          const { layerHeads, ...numbers } = arch;
          expect(Object.values(numbers).every(Number.isFinite)).toBe(true);
          expect(arch.heads * arch.headSize).toBeLessThanOrEqual(arch.hidden);
          expect(layerHeads?.length ?? arch.layers).toBe(arch.layers);
        } catch (error) {
          if (!(error instanceof UffbError)) throw error;
          expect(error.message).not.toContain("\n");
        }
      },
    ),
    { numRuns: 2000 },
  );
});
