import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import {
  UFFB_GELU_TANH,
  UFFB_HEAD_CLASS,
  UFFB_HEAD_MLM,
  UFFB_RELU,
  UFFB_TAP_FINAL,
  UFFB_TAP_LAYER,
} from "../../../ffi/bindings.ts";
import { NativeContext } from "../../../ffi/context.ts";
import { isas } from "../../../ffi/engine.ts";
import { NativeTaps } from "../../../ffi/taps.ts";
import {
  type Json,
  pack,
  REFERENCE,
  REFERENCE_BERT,
  reference,
  TemporaryFolder,
  type Tensors,
  writeModel,
} from "../../../testing/folders.ts";
import { UffbError } from "../../base/errors.ts";
import { convertModel } from "../../convert/convert.ts";
import { verify } from "../../eval/verify/verify.ts";
import { openCheckpoint } from "../../files/checkpoint.ts";
import { openSafetensors } from "../../files/safetensors/safetensors.ts";
import { infer } from "../../run/infer.ts";
import { FAMILIES, parseConfig } from "../config.ts";
import { openModel } from "../model.ts";
import { openTrainable } from "../trainable.ts";

const FOLDERS = readdirSync(REFERENCE_BERT).sort();
const expectedOf = (name: string) => join(REFERENCE_BERT, name, "expected.safetensors");

/** The reference model after a change, in a folder of its own. */
function changed(
  folder: TemporaryFolder,
  name: string,
  change: (tensors: Tensors, config: Json) => Tensors | undefined,
): string {
  const { config, tensors } = reference(name, REFERENCE_BERT);
  return writeModel(folder, { config, tensors: change(tensors, config) ?? tensors });
}

const renamed = (tensors: Tensors, rename: (name: string) => string): Tensors =>
  new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));

/** What the encoder's tensors begin with, such as "bert.". */
const prefixOf = (tensors: Tensors): string =>
  [...tensors.keys()]
    .map((name) => /^(.*)embeddings\.(?:word|tok)_embeddings\.weight$/.exec(name)?.[1])
    .find(Boolean)!;

/** Families whose encoders have no pooler, or a classifier that is all of it. */
const NO_POOLER = ["distilbert", "electra", "albert", "modernbert"];
/** Families whose embeddings know nothing of positions. */
const NO_POSITIONS = ["modernbert"];

/** Names of the encoder's stages in `expected.safetensors`. */
function stagesOf(name: string): string[] {
  const { config } = reference(name, REFERENCE_BERT);
  const layers = config.num_hidden_layers ?? config.n_layers;
  return ["embedding", ...Array.from({ length: layers }, (_, l) => `layer.${l}`), "final"];
}

const INPUTS = ["input_ids", "attention_mask", "token_type_ids"];

/** Heads that are not run, so that they are neither compared nor packed. */
const NO_HEAD = /^discriminator_/;
const hasHead = (name: string) =>
  ![...reference(name, REFERENCE_BERT).tensors.keys()].some((key) => NO_HEAD.test(key));

function f32(shape: number[], seed: number) {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) =>
    Math.sin((i + 1) * seed),
  );
  return { values, tensor: { dtype: "F32", shape, data: new Uint8Array(values.buffer) } };
}

test("there is a reference model of each family", () => {
  const crammed = readdirSync(REFERENCE).map((name) => reference(name).config.model_type);
  const others = FOLDERS.map((name) => reference(name, REFERENCE_BERT).config.model_type);
  const families = FAMILIES.map(({ modelType }) => modelType);
  expect([...new Set([...crammed, ...others])].sort()).toEqual([...families].sort());
});

describe.each(FOLDERS)("%s", (name) => {
  test.each(isas())("agrees with transformers to 1e-5 on %s", async (isa) => {
    using model = await openModel(join(REFERENCE_BERT, name));
    for (const threads of [1, 2]) {
      const { passed, tensors } = await verify(model, expectedOf(name), { isa, threads });
      expect(tensors.map((report) => report.name)).toEqual([
        ...stagesOf(name),
        ...(hasHead(name) ? ["logits"] : []),
      ]);
      expect([passed, ...tensors.map(({ compared }) => compared > 0)]).not.toContain(false);
    }
  });

  test("the same when packed, and nearly so in 8 bits", async () => {
    using folder = new TemporaryFolder();
    await pack(join(REFERENCE_BERT, name), folder.file("packed"));
    using packed = await openModel(folder.file("packed"));
    expect((await verify(packed, expectedOf(name))).passed).toBe(true);
    await pack(join(REFERENCE_BERT, name), folder.file("narrow"), "I8");
    using narrow = await openModel(folder.file("narrow"));
    const { passed, tensors } = await verify(narrow, expectedOf(name), { tolerance: 1 });
    expect(passed).toBe(true);
    const { maxError } = tensors.find((report) => report.name === "final")!;
    expect(maxError).toBeGreaterThan(1e-5);
    expect(maxError).toBeLessThan(0.05);
  });

  test("converts back to what transformers wrote, bit by bit", async () => {
    using folder = new TemporaryFolder();
    await pack(join(REFERENCE_BERT, name), folder.file("packed"));
    await convertModel(openCheckpoint(folder.file("packed")), folder.file("hf"), { to: "hf", dtype: "F32" });
    const all = reference(name, REFERENCE_BERT).tensors;
    const before = new Map([...all].filter(([key]) => !NO_HEAD.test(key)));
    const after = openSafetensors(join(folder.file("hf"), "model.safetensors"));
    const own = [...after.keys()].filter(
      (key) => before.has(key) || !/decoder\.weight|projector\.weight|lm_head\.weight/.test(key),
    );
    expect(own.sort()).toEqual([...before.keys()].sort());
    for (const [key, tensor] of before) {
      expect([key, after.get(key)!.shape]).toEqual([key, tensor.shape]);
      expect([key, Buffer.compare(after.get(key)!.data, tensor.data)]).toEqual([key, 0]);
    }
  });

  const variants: [string, (tensors: Tensors, config: Json) => Tensors | undefined][] = [
    [
      "without the encoder's prefix",
      (all) => {
        const prefix = prefixOf(all);
        return renamed(all, (key) => (key.startsWith(prefix) ? key.slice(prefix.length) : key));
      },
    ],
    [
      "with gamma and beta",
      (all) =>
        renamed(all, (key) =>
          key
            .replace(/(LayerNorm|layer_norm)\.weight$/, "$1.gamma")
            .replace(/(LayerNorm|layer_norm)\.bias$/, "$1.beta"),
        ),
    ],
    [
      "with buffers and heads of other uses",
      (all, config) => {
        const prefix = prefixOf(all);
        const ids = { dtype: "I64", shape: [1, 40], data: new Uint8Array(320) };
        if (!NO_POSITIONS.includes(config.model_type)) all.set(`${prefix}embeddings.position_ids`, ids);
        if (prefix === "bert.") all.set("cls.seq_relationship.weight", f32([2, 64], 1).tensor);
        const pooler = `${prefix}pooler.dense.bias`;
        if (!NO_POOLER.includes(config.model_type) && !all.has(pooler)) all.set(pooler, f32([64], 1).tensor);
      },
    ],
  ];
  test.each(variants)("reads a checkpoint %s", async (_, change) => {
    using folder = new TemporaryFolder();
    using model = await openModel(changed(folder, name, change));
    expect((await verify(model, expectedOf(name))).passed).toBe(true);
  });

  test("without a head it embeds, and only that", async () => {
    using folder = new TemporaryFolder();
    const path = changed(folder, name, (tensors, config) => {
      config.architectures = [config.architectures[0].replace(/For.*/, "Model")];
      const prefix = prefixOf(tensors);
      for (const key of [...tensors.keys()]) if (!key.startsWith(prefix)) tensors.delete(key);
    });
    using model = await openModel(path);
    expect(model.config).toMatchObject({ task: "embedding", labels: [], arch: { headsPresent: 0, tied: 0 } });
    const { passed, ignored, tensors } = await verify(model, expectedOf(name));
    const known = new Set([...INPUTS, ...stagesOf(name)]);
    const ofHead = [...openSafetensors(expectedOf(name)).keys()].filter((key) => !known.has(key));
    expect(ofHead).toContain("logits");
    expect([passed, ignored, tensors.length]).toEqual([true, ofHead, stagesOf(name).length]);
    async function* items() {
      yield { line: 1, text: "", ids: Int32Array.of(5, 6, 7) };
    }
    const [[result]] = (await Array.fromAsync(infer(model, items()))) as [[Json]];
    expect([result.task, result.vector.length]).toEqual(["embed", 64]);
  });
});

describe("the MLM head", () => {
  test.each([
    ["bert-mlm", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "cls.predictions.bias"],
    ["distilbert-mlm", "vocab_projector.weight", "", ""],
  ])(
    "%s: its decoder may be there, too, with the embedding's bits or its own",
    async (name, decoder, twin, bias) => {
      using folder = new TemporaryFolder();
      const word = (all: Tensors) =>
        all.get([...all.keys()].find((key) => key.includes("word_embeddings"))!)!;
      const tied = changed(folder, name, (all) => {
        all.set(decoder, word(all));
        if (twin !== "") all.set(twin, all.get(bias)!);
      });
      using model = await openModel(tied);
      expect(model.config.arch.tied).toBe(1);
      expect((await verify(model, expectedOf(name))).passed).toBe(true);

      using other = new TemporaryFolder();
      using untied = await openModel(
        changed(other, name, (all) => void all.set(decoder, f32([512, 64], 0.3).tensor)),
      );
      expect(untied.config.arch.tied).toBe(0);
      const { tensors } = await verify(untied, expectedOf(name));
      expect(tensors.filter(({ passed }) => !passed).map((report) => report.name)).toEqual(["logits"]);
    },
  );

  test("must be whole", async () => {
    using folder = new TemporaryFolder();
    const path = changed(
      folder,
      "bert-mlm",
      (all) => void all.delete("cls.predictions.transform.dense.weight"),
    );
    await expect(openModel(path)).rejects.toThrow("lacks the tensor cls.predictions.transform.dense.weight");
  });

  test("that is not there makes an encoder", async () => {
    using folder = new TemporaryFolder();
    const path = changed(folder, "distilbert-mlm", (all) =>
      renamed(new Map([...all].filter(([key]) => !key.startsWith("vocab_"))), (key) => key),
    );
    using model = await openModel(path);
    expect(model.config.task).toBe("embedding");
  });

  test("of RoBERTa has names of its own", async () => {
    using folder = new TemporaryFolder();
    const head = {
      "dense.weight": [64, 64],
      "dense.bias": [64],
      "layer_norm.weight": [64],
      "layer_norm.bias": [64],
      bias: [512],
    };
    const path = changed(folder, "roberta-cls", (all, config) => {
      config.architectures = ["RobertaForMaskedLM"];
      const encoder = [...all].filter(([key]) => key.startsWith("roberta."));
      const heads = Object.entries(head).map(
        ([key, shape], i) => [`lm_head.${key}`, f32(shape, i + 0.2).tensor] as const,
      );
      return new Map([...encoder, ...heads]);
    });
    using model = await openModel(path);
    expect(model.config).toMatchObject({ task: "mlm", arch: { tied: 1, positionOffset: 2, maxLength: 40 } });
  });
});

test("DistilBERT's classifier is a dense layer, ReLU, and another, on the first token", async () => {
  using folder = new TemporaryFolder();
  const parts = {
    "pre_classifier.weight": f32([64, 64], 0.7),
    "pre_classifier.bias": f32([64], 0.9),
    "classifier.weight": f32([3, 64], 1.1),
    "classifier.bias": f32([3], 1.3),
  };
  const path = changed(folder, "distilbert-mlm", (all, config) => {
    config.architectures = ["DistilBertForSequenceClassification"];
    for (const [name, { tensor }] of Object.entries(parts)) all.set(name, tensor);
  });
  using model = await openModel(path);
  expect(model.config).toMatchObject({ task: "classification", labels: ["LABEL_0", "LABEL_1", "LABEL_2"] });
  using context = new NativeContext(model.native, { threads: 1 });
  using taps = new NativeTaps();
  const states = new Float32Array(5 * 64);
  taps.add(UFFB_TAP_FINAL, 0, states);
  await context.encode({ offsets: BigInt64Array.of(0n, 3n, 5n), ids: Int32Array.of(1, 2, 3, 4, 5) }, taps);
  const logits = await context.classify();
  const linear = (x: number[], layer: "pre_classifier" | "classifier") => {
    const { values } = parts[`${layer}.weight`];
    return Array.from(parts[`${layer}.bias`].values, (bias, row) =>
      x.reduce((sum, value, i) => sum + value * values[row * 64 + i]!, bias),
    );
  };
  const own = [0, 3].flatMap((row) => {
    const first = Array.from(states.subarray(row * 64, (row + 1) * 64));
    const pooled = linear(first, "pre_classifier").map((value) => Math.max(0, value));
    return linear(pooled, "classifier");
  });
  own.forEach((value, i) => void expect(logits[i]!).toBeCloseTo(value, 3));
});

test("other activations", async () => {
  const arch = (name: string, change: Json) =>
    parseConfig(JSON.stringify({ ...reference(name, REFERENCE_BERT).config, ...change }), "x").arch;
  expect(arch("bert-cls", { hidden_act: "gelu_new" }).activation).toBe(UFFB_GELU_TANH);
  expect(arch("roberta-cls", { hidden_act: "relu" }).activation).toBe(UFFB_RELU);
  expect(arch("distilbert-mlm", { activation: "relu" }).activation).toBe(UFFB_RELU);
  // And the engine runs it: the first layer's output is another.
  using folder = new TemporaryFolder();
  using model = await openModel(
    changed(folder, "bert-mlm", (_, config) => {
      config.hidden_act = "relu";
    }),
  );
  const { tensors } = await verify(model, expectedOf("bert-mlm"));
  expect(tensors.map(({ passed }) => passed)).toEqual([true, false, false, false, false]);
});

describe("reads as the model's own code does", () => {
  const run = async (change: (tensors: Tensors, config: Json) => undefined) => {
    using folder = new TemporaryFolder();
    using model = await openModel(changed(folder, "bert-cls", change));
    const { tensors } = await verify(model, expectedOf("bert-cls"));
    expect(tensors.map(({ passed }) => passed)).not.toContain(false);
    return model;
  };

  test.each<[key: string, value: unknown]>([
    ["auto_map", { AutoConfig: "configuration_x.XConfig" }],
    ["hidden_act", "gelu_python"],
    ["architectures", ["BertForSequenceClassification", "BertModelX"]],
    ["id2label", { "0": "a", "1": null, "2": 7 }],
    ["my_own_key", { x: 1 }],
  ])("%s = %p", async (key, value) => {
    const { warnings } = await run((_, config) => {
      config[key] = value;
      return undefined;
    });
    if (key === "auto_map") expect(warnings[0]).toContain("auto_map names code of the model's own");
    else expect(warnings).toEqual([]);
  });

  test("tensors that are no part of the model, which it names", async () => {
    const { warnings } = await run((tensors) => {
      tensors.set("loss_fct.weight", f32([3], 1).tensor);
      return undefined;
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toEndWith("left out what is no part of the model: loss_fct.weight");
    const inside = run((tensors) => {
      tensors.set("bert.adapter.weight", f32([3], 1).tensor);
      return undefined;
    });
    await expect(inside).rejects.toThrow("has the unexpected tensor bert.adapter.weight");
  });
});

describe("refuses, naming key and value,", () => {
  test.each<[model: string, key: string, value: unknown, why?: string]>([
    ["bert-mlm", "position_embedding_type", "relative_key_query", 'only "absolute"'],
    ["bert-mlm", "is_decoder", true],
    ["bert-mlm", "add_cross_attention", true],
    ["bert-mlm", "is_encoder_decoder", true],
    ["bert-mlm", "pruned_heads", [[1]], "must map numbers of layers"],
    ["bert-mlm", "pruned_heads", 1, "must map numbers of layers"],
    ["bert-mlm", "pruned_heads", { "2": [1] }, "layers have the numbers 0 to 1"],
    ["bert-mlm", "pruned_heads", { "-1": [1] }, "layers have the numbers 0 to 1"],
    ["bert-mlm", "pruned_heads", { "00": [1] }, "layers have the numbers 0 to 1"],
    ["bert-mlm", "pruned_heads", { "1e9": [1] }, "layers have the numbers 0 to 1"],
    ["bert-mlm", "pruned_heads", { "1": [4] }, "heads, which have the numbers 0 to 3"],
    ["bert-mlm", "pruned_heads", { "1": [0.5] }, "heads, which have the numbers 0 to 3"],
    ["bert-mlm", "pruned_heads", { "1": 1e9 }, "layer 1 needs a list of heads"],
    ["bert-mlm", "pruned_heads", { "1": [0, 1, 2, 3] }, "a head of layer 1 must stay"],
    ["mpnet-mlm", "pruned_heads", { "0": [1] }, "all layers of such a model have the same heads"],
    ["albert-mlm", "pruned_heads", { "0": [1] }, "all layers of such a model have the same heads"],
    ["bert-mlm", "head_dim", 0, "from 1 to 16"],
    ["bert-mlm", "head_dim", 1e9, "from 1 to 16"],
    ["bert-mlm", "head_dim", 17, "from 1 to 16"],
    ["bert-mlm", "head_dim", 7.5, "from 1 to 16"],
    ["modernbert-mlm", "head_dim", 5, "of an even size"],
    ["bert-mlm", "quantization_config", { bits: 4 }],
    ["bert-mlm", "hidden_act", "silu", "supported: gelu, "],
    ["bert-mlm", "hidden_act", "constructor"],
    ["bert-mlm", "num_attention_heads", 5, "does not divide hidden_size"],
    ["bert-mlm", "hidden_size", 0],
    ["bert-mlm", "type_vocab_size", null],
    ["bert-mlm", "max_position_embeddings", 1e9],
    ["bert-cls", "problem_type", "regression"],
    ["roberta-cls", "pad_token_id", 41, ""],
    ["distilbert-mlm", "activation", "tanh"],
    ["distilbert-mlm", "n_layers", -1],
    ["mpnet-mlm", "relative_attention_num_buckets", 64, "only 32 is supported"],
    ["mpnet-mlm", "hidden_act", "relu", "has gelu"],
    ["electra-mlm", "hidden_act", "relu", "has gelu"],
    ["electra-mlm", "embedding_size", 0],
    ["albert-mlm", "inner_group_num", 2, "only 1 is supported"],
    ["albert-cls", "num_hidden_groups", 3, "of different sizes"],
    ["modernbert-mlm", "layer_types", ["full_attention"], "a list of 4 names"],
    [
      "modernbert-mlm",
      "layer_types",
      ["sliding_attention", "full_attention", "full_attention", "full_attention"],
      "every few layers",
    ],
    ["modernbert-mlm", "rope_scaling", { rope_type: "yarn" }, "scaled positions"],
    ["modernbert-mlm", "classifier_activation", "relu", "in classifiers only"],
    ["modernbert-mlm", "num_attention_heads", 64, "of an even size"],
    ["modernbert-mlm", "local_attention", 1],
  ])("%s: %s = %p", (model, key, value, why = "") => {
    const { config } = reference(model, REFERENCE_BERT);
    const run = () => parseConfig(JSON.stringify({ ...config, [key]: value }), "x/config.json");
    const name =
      key === "pad_token_id"
        ? "max_position_embeddings is 42"
        : `${key} is ${value === null ? "missing" : JSON.stringify(value)}`;
    expect(run).toThrow(UffbError);
    expect(run).toThrow(`x/config.json: ${name}`);
    expect(run).toThrow(why);
  });

  test("RoBERTa's MLM head with another activation than its own", () => {
    const { config } = reference("roberta-cls", REFERENCE_BERT);
    const other = { ...config, architectures: ["RobertaForMaskedLM"], hidden_act: "relu" };
    expect(() => parseConfig(JSON.stringify(other), "x")).toThrow('hidden_act is "relu"; the head of');
  });
});

describe("query, key and value", () => {
  const QUERY = "bert.encoder.layer.1.attention.self.query.weight";
  const refused = async (change: (tensors: Tensors) => undefined, message: string) => {
    using folder = new TemporaryFolder();
    await expect(openModel(changed(folder, "bert-mlm", change))).rejects.toThrow(message);
  };
  test("must all be there", async () => {
    await refused((all) => void all.delete(QUERY), `lacks the tensor ${QUERY};`);
  });
  test("must be alike, and of the model's size", async () => {
    await refused(
      (all) => void all.set(QUERY, f32([64, 32], 1).tensor),
      "self.key.weight is F32 [64, 64], but bert.encoder.layer.1.attention.self.query.weight is F32 [64, 32]",
    );
    await refused((all) => {
      for (const part of ["query", "key", "value"])
        all.set(QUERY.replace("query", part), f32([64, 32], 1).tensor);
    }, "self.{query,key,value}.weight is F32 [192, 32], but config.json asks for [192, 64]");
  });
  test("a NaN in one of them is a warning", async () => {
    using folder = new TemporaryFolder();
    const path = changed(folder, "bert-mlm", (all) => {
      const { values, tensor } = f32([64, 64], 1);
      values[77] = Number.NaN;
      all.set(QUERY, tensor);
    });
    using model = await openModel(path);
    expect(model.warnings[0]).toContain("self.{query,key,value}.weight has NaNs");
  });
});

test("token types reach the engine", async () => {
  using model = await openModel(join(REFERENCE_BERT, "bert-mlm"));
  using context = new NativeContext(model.native, { threads: 1 });
  const run = async (types: Int32Array) => {
    using taps = new NativeTaps();
    const states = new Float32Array(3 * 64);
    taps.add(UFFB_TAP_LAYER, 0, states);
    await context.encode({ offsets: BigInt64Array.of(0n, 3n), ids: Int32Array.of(1, 2, 3), types }, taps);
    return states;
  };
  expect(await run(Int32Array.of(0, 0, 1))).not.toEqual(await run(Int32Array.of(0, 0, 0)));
});

describe("ModernBERT", () => {
  const archOf = (change: Json) => {
    const { config } = reference("modernbert-mlm", REFERENCE_BERT);
    const changed = { ...config, ...change };
    for (const key of Object.keys(change)) if (change[key] === undefined) delete changed[key];
    return parseConfig(JSON.stringify(changed), "x").arch;
  };
  const old = { layer_types: undefined, rope_parameters: undefined };

  test("has layers that look at all tokens where either form of the config says so", () => {
    expect(archOf({})).toMatchObject({
      window: 6,
      globalEvery: 3,
      rotaryBase: 160_000,
      rotaryBaseLocal: 10_000,
    });
    const every = { ...old, global_attn_every_n_layers: 2, global_rope_theta: 5000, local_rope_theta: 700 };
    expect(archOf(every)).toMatchObject({
      window: 6,
      globalEvery: 2,
      rotaryBase: 5000,
      rotaryBaseLocal: 700,
    });
    expect(archOf({ ...old, global_attn_every_n_layers: 1 })).toMatchObject({ window: 0, globalEvery: 1 });
    const types = (...kinds: string[]) => archOf({ layer_types: kinds.map((kind) => `${kind}_attention`) });
    expect(types("full", "full", "full", "full")).toMatchObject({ window: 0, globalEvery: 1 });
    expect(types("sliding", "sliding", "sliding", "sliding")).toMatchObject({ window: 6, globalEvery: 0 });
    expect(types("full", "sliding", "sliding", "sliding")).toMatchObject({ window: 6, globalEvery: 4 });
  });

  test("refuses positions that are scaled", () => {
    const rope_parameters = { full_attention: { rope_type: "yarn", rope_theta: 1e4 } };
    expect(() => archOf({ rope_parameters })).toThrow('rope_parameters.full_attention.rope_type is "yarn"');
  });

  test("runs long texts, which windows cut into blocks, as short ones", async () => {
    // Positions far from each other do not see each other in one local layer: the first tokens' states do not depend on the last.
    using folder = new TemporaryFolder();
    using model = await openModel(
      changed(folder, "modernbert-mlm", (_, config) => {
        config.max_position_embeddings = 600;
        config.layer_types = Array(4).fill("sliding_attention");
      }),
    );
    using context = new NativeContext(model.native, { threads: 1 });
    const states = async (ids: Int32Array) => {
      using taps = new NativeTaps();
      const final = new Float32Array(ids.length * 64);
      taps.add(UFFB_TAP_FINAL, 0, final);
      await context.encode({ offsets: BigInt64Array.of(0n, BigInt(ids.length)), ids }, taps);
      return final;
    };
    const ids = Int32Array.from({ length: 600 }, (_, i) => (i * 7919) % 128);
    const long = await states(ids);
    // Four layers of six tokens on each side.
    const kept = 576;
    const other = await states(ids.map((id, i) => (i < 600 - 1 ? id : (id + 1) % 128)));
    const short = await states(ids.subarray(0, 300));
    expect(other.subarray(0, (kept - 1) * 64)).toEqual(long.subarray(0, (kept - 1) * 64));
    expect(other.subarray(kept * 64)).not.toEqual(long.subarray(kept * 64));
    const worst = short
      .subarray(0, 270 * 64)
      .reduce((most, x, i) => Math.max(most, Math.abs(x - long[i]!)), 0);
    expect(worst).toBeLessThan(1e-5);
  });
});

test("what training has no backward for is refused by name", () => {
  const message = (name: string) => {
    try {
      openTrainable(openCheckpoint(join(REFERENCE_BERT, name))).trainer[Symbol.dispose]();
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  expect(message("mpnet-cls")).toContain("models with relative position biases cannot be trained");
  expect(message("electra-mlm")).toContain("models with a projection of the embedding cannot be trained");
  expect(message("albert-cls")).toContain("models with a projection of the embedding cannot be trained");
  expect(message("modernbert-cls")).toContain("models with rotary positions cannot be trained");
  expect(message("electra-cls")).toBe("");
  expect(message("camembert-cls")).toBe("");
});

/**
 * The norms of the gradient's rows, as PyTorch 2.13 and transformers 5.24 have them: of the padding's word and of word 5, and of the positions
 * of the first eight tokens. Id i of twelve is (7 i i + 3 i + 5) mod the vocabulary, or 9 where that is padding; ids 4 and 7 are padding.
 */
const PADDED: readonly [name: string, padding: number, word: number, other: number, positions: number[]][] = [
  [
    "bert-mlm",
    0,
    2.694053888,
    0.7200186849,
    [0.720017, 0.461953, 2.369296, 0.490038, 1.202065, 0.396176, 0.620857, 0.520866],
  ],
  [
    "distilbert-mlm",
    0,
    2.69140482,
    1.067047954,
    [1.067052, 1.166195, 2.684966, 0.740721, 2.26133, 0.730857, 0.874148, 1.111443],
  ],
  [
    "xlm-roberta-mlm",
    1,
    2.681639671,
    0.194928959,
    [0, 0, 0.090772, 0.104652, 0.357286, 0.112435, 0.11918, 0.192356],
  ],
  [
    "bert-cls",
    0,
    0,
    0.7030186057,
    [0.703019, 0.156454, 0.126688, 0.123737, 0.196985, 0.296501, 0.119378, 0.133864],
  ],
  ["roberta-cls", 1, 0, 0.2821031511, [0, 0, 0.282103, 0.05038, 0.052164, 0.091267, 0.052069, 0.085073]],
];

test.each(PADDED)("%s trains its padding as transformers does", async (name, padding, word, other, first) => {
  const { trainer, config } = openTrainable(openCheckpoint(join(REFERENCE_BERT, name)));
  using _ = trainer;
  trainer.ready({ threads: 1 });
  const ids = Int32Array.from({ length: 12 }, (_, i) => (7 * i * i + 3 * i + 5) % config.arch.vocab);
  for (const [i, id] of ids.entries()) if (id === padding) ids[i] = 9;
  ids[4] = ids[7] = padding;
  const batch = { offsets: BigInt64Array.of(0n, 12n), ids };
  if (name.endsWith("mlm")) {
    const targets = Int32Array.of(11, padding, 30);
    await trainer.step(batch, { positions: BigInt64Array.of(2n, 4n, 9n), targets }, { head: UFFB_HEAD_MLM });
  } else {
    await trainer.step(batch, { targets: Int32Array.of(0) }, { head: UFFB_HEAD_CLASS });
  }
  const words = trainer.gradient("embed.word");
  const positions = trainer.gradient("embed.position");
  const norm = (rows: Float32Array, row: number) =>
    Math.hypot(...rows.subarray(row * config.arch.hidden, (row + 1) * config.arch.hidden));
  const found = [norm(words, padding), norm(words, 5), ...first.map((_, row) => norm(positions, row))];
  for (const [i, expected] of [word, other, ...first].entries())
    expect(Math.abs(found[i]! - expected)).toBeLessThan(expected === 0 ? 1e-30 : 2e-5 * expected + 1e-6);
});

test("the padding's id is that of the model's own library", () => {
  const read = (name: string, change: Json = {}) => {
    const { config } = reference(name, REFERENCE_BERT);
    for (const key of Object.keys(change)) if (change[key] === undefined) delete config[key];
    return parseConfig(JSON.stringify({ ...config, ...change }), name).padding;
  };
  expect(read("bert-cls", { pad_token_id: 7 })).toBe(7);
  expect(read("bert-cls", { pad_token_id: null })).toBeUndefined();
  expect(read("bert-cls", { pad_token_id: undefined })).toBe(0);
  expect(read("bert-mlm", { pad_token_id: -1 })).toBe(511);
  expect(read("roberta-cls", { pad_token_id: undefined })).toBe(1);
  expect(() => read("bert-mlm", { pad_token_id: 512 })).toThrow(
    "bert-mlm: pad_token_id is 512; it must be a whole number from -512 to 511",
  );
  const { config } = reference("fff-1x5");
  const { embedding } = config.arch as Json;
  expect((embedding as Json).pad_token_id).toBe(0);
  expect(parseConfig(JSON.stringify(config), "fff-1x5").padding).toBe(0);
});

test("RoBERTa's positions do not count padding within a text", async () => {
  const golden = JSON.parse(
    readFileSync(new URL("../../../fixtures/beside/positions.json", import.meta.url), "utf8"),
  ) as { ids: number[]; mean: number[] }[];
  using model = await openModel(join(REFERENCE_BERT, "roberta-cls"));
  async function* items() {
    for (const [i, { ids }] of golden.entries()) yield { line: i + 1, text: "", ids: Int32Array.from(ids) };
  }
  const vectors: Float32Array[] = [];
  for await (const batch of infer(model, items(), { embed: true, threads: 1 }))
    for (const result of batch) if ("task" in result && result.task === "embed") vectors.push(result.vector);
  expect(vectors.length).toBe(golden.length);
  for (const [i, { mean }] of golden.entries())
    for (const [j, value] of mean.entries()) expect(vectors[i]![j]!).toBeCloseTo(value, 5);
});

test("any change of a config's value gives a config or one clear error", () => {
  const configs = FOLDERS.map((name) => reference(name, REFERENCE_BERT).config);
  const value = fc.oneof(
    fc.jsonValue(),
    fc.integer(),
    fc.constantFrom(null, 0, -1, 1e9, 2 ** 53, "gelu", "8x6", "none", [], {}, { 0: [1] }),
  );
  const changes = fc.constantFrom(...configs).chain((config) =>
    fc
      .dictionary(
        fc.constantFrom(...Object.keys(config), "rope_scaling", "position_embedding_type", "feedforward"),
        value,
        {
          minKeys: 1,
          maxKeys: 3,
        },
      )
      .map((change) => ({ ...config, ...change })),
  );
  fc.assert(
    fc.property(changes, (config) => {
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
    }),
    { numRuns: 1000 },
  );
});
