/**
 * Models of the paper's shapes with random weights, and what they must compute, worked out here the plain way in f64. Their attention
 * gives 0, so that a token's states depend on it and its position alone.
 */
import { reference, type Tensors } from "./folders.ts";

const HIDDEN = 32;
const LAYERS = 2;
const VOCAB = 64;
const LENGTH = 16;
const SCALE = 0.5;
const EPS = 1e-12;

/** A small generator (mulberry32), so that a test sees the same weights every time. Numbers from -1 to 1. */
export function randoms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

interface Layer {
  norm: { weight: Float32Array; bias: Float32Array };
  /** [trees * nodes, hidden], [trees * nodes], [hidden, trees * nodes] */
  into: Float32Array;
  bias: Float32Array;
  out: Float32Array;
}

/** A model with `trees` trees of `depth`, and a reference file of what it computes for two sequences, one of them padded. */
export function paperModel(trees: number, depth: number) {
  const next = randoms(trees * 100 + depth);
  const random = (count: number, size = 1, center = 0) =>
    Float32Array.from({ length: count }, () => center + size * next());
  const nodes = trees * (2 ** (depth + 1) - 1);
  const word = random(VOCAB * HIDDEN);
  const norm = () => ({ weight: random(HIDDEN, 0.2, 1), bias: random(HIDDEN, 0.2) });
  const embedNorm = norm();
  const finalNorm = norm();
  const layers = Array.from({ length: LAYERS }, (): Layer => {
    return {
      norm: norm(),
      into: random(nodes * HIDDEN),
      bias: random(nodes),
      out: random(HIDDEN * nodes, 0.3),
    };
  });

  const { config } = reference("fff-1x5");
  Object.assign(config.arch, {
    num_transformer_layers: LAYERS,
    hidden_size: HIDDEN,
    intermed_size: trees,
    intermed_depth: depth,
    nonlin: "ReLU",
  });
  Object.assign(config.arch.embedding, { vocab_size: VOCAB, embedding_dim: HIDDEN, max_seq_length: LENGTH });
  config.arch.attention.num_attention_heads = 2;

  const tensors: Tensors = new Map();
  const put = (name: string, values: Float32Array, ...shape: number[]) =>
    void tensors.set(name, { dtype: "F32", shape, data: bytes(values) });
  const putNorm = (name: string, { weight, bias }: Layer["norm"]) => {
    put(`${name}.weight`, weight, HIDDEN);
    put(`${name}.bias`, bias, HIDDEN);
  };
  put("encoder.embedding.word_embedding.weight", word, VOCAB, HIDDEN);
  put("decoder.weight", word, VOCAB, HIDDEN);
  put("encoder.embedding.pos_embedding.scale_factor", Float32Array.of(SCALE), 1);
  putNorm("encoder.embedding.norm", embedNorm);
  putNorm("encoder.final_norm", finalNorm);
  layers.forEach((layer, l) => {
    const name = `encoder.layers.${l}`;
    putNorm(`${name}.norm1`, norm());
    putNorm(`${name}.norm2`, layer.norm);
    put(
      `${name}.attn.self_attention.query_key_value.weight`,
      random(3 * HIDDEN * HIDDEN),
      3 * HIDDEN,
      HIDDEN,
    );
    put(`${name}.attn.dense.weight`, new Float32Array(HIDDEN * HIDDEN), HIDDEN, HIDDEN);
    put(`${name}.ffn.linear_in.weight`, layer.into, nodes, HIDDEN);
    put(`${name}.ffn.linear_in.bias`, layer.bias, nodes);
    put(`${name}.ffn.linear_out.weight`, layer.out, HIDDEN, nodes);
  });

  const lengths = [LENGTH, 9];
  const ids = Array.from({ length: lengths.length * LENGTH }, () => Math.floor(((next() + 1) / 2) * VOCAB));
  const stages = ids.map((id, at) => {
    const p = at % LENGTH;
    const sum = Array.from({ length: HIDDEN }, (_, i) => word[id * HIDDEN + i]! + SCALE * sinusoid(p, i));
    let x = normalise(sum, embedNorm);
    const embedding = x;
    const states = layers.map((layer) => {
      const { path, output } = feedforward(normalise(x, layer.norm), layer, trees, depth);
      x = x.map((value, i) => value + output[i]!);
      return { path, x };
    });
    const final = normalise(x, finalNorm);
    const logits = Array.from({ length: VOCAB }, (_, v) => dot(final, word, v * HIDDEN));
    return { embedding, states, final, logits };
  });

  const expected: Tensors = new Map();
  const lead = [lengths.length, LENGTH];
  const integers = (name: string, values: number[], ...tail: number[]) =>
    void expected.set(name, {
      dtype: "I64",
      shape: [...lead, ...tail],
      data: bytes(BigInt64Array.from(values, BigInt)),
    });
  const floats = (name: string, values: number[], ...tail: number[]) =>
    void expected.set(name, {
      dtype: "F64",
      shape: [...lead, ...tail],
      data: bytes(Float64Array.from(values)),
    });
  integers("input_ids", ids);
  integers(
    "attention_mask",
    lengths.flatMap((length) => Array.from({ length: LENGTH }, (_, p) => (p < length ? 1 : 0))),
  );
  floats(
    "embedding",
    stages.flatMap(({ embedding }) => embedding),
    HIDDEN,
  );
  for (let l = 0; l < LAYERS; l++) {
    integers(
      `path.${l}`,
      stages.flatMap(({ states }) => states[l]!.path),
      trees,
      depth + 1,
    );
    floats(
      `layer.${l}`,
      stages.flatMap(({ states }) => states[l]!.x),
      HIDDEN,
    );
  }
  floats(
    "final",
    stages.flatMap(({ final }) => final),
    HIDDEN,
  );
  floats(
    "logits",
    stages.flatMap(({ logits }) => logits),
    VOCAB,
  );
  /** The most probable token at the first token of sequence s, and its probability. */
  const best = (s: number) => {
    const { logits } = stages[s * LENGTH]!;
    const largest = Math.max(...logits);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    return { id: logits.indexOf(largest), probability: 1 / sum };
  };
  const sequences = lengths.map((length, s) => ids.slice(s * LENGTH, s * LENGTH + length));
  return { model: { config, tensors }, expected, sequences, best };
}

function feedforward(x: number[], { into, bias, out }: Layer, trees: number, depth: number) {
  const size = 2 ** (depth + 1) - 1;
  const path: number[] = [];
  const output = new Array<number>(HIDDEN).fill(0);
  for (let tree = 0; tree < trees; tree++) {
    let node = 0;
    for (let level = 0; level <= depth; level++) {
      path.push(node);
      const row = tree * size + node;
      const logit = dot(x, into, row * HIDDEN) + bias[row]!;
      const activation = Math.max(0, logit);
      for (let i = 0; i < HIDDEN; i++) output[i]! += activation * out[i * trees * size + row]!;
      node = 2 * node + (logit > 0 ? 2 : 1);
    }
  }
  return { path, output };
}

function sinusoid(position: number, i: number): number {
  const angle = position * Math.exp((-(i - (i % 2)) * Math.log(10_000)) / HIDDEN);
  return i % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
}

function normalise(x: number[], { weight, bias }: Layer["norm"]): number[] {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + EPS)) * weight[i]! + bias[i]!);
}

function dot(x: number[], matrix: Float32Array, start: number): number {
  return x.reduce((sum, value, i) => sum + value * matrix[start + i]!, 0);
}

function bytes(values: Float32Array | Float64Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer);
}
