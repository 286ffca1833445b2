// Generated from kernels/uffb.h, kernels/uffb_train.h and kernels/bench/bench.h by `bun ffi/generate.ts`; do not edit.

/** An opaque pointer of the library. */
export type Handle = bigint & { readonly handle: unique symbol };

// Raised whenever a signature, a struct or a value below changes; the loader refuses another version.
export const UFFB_ABI_VERSION = 8;

// Statuses.
export const UFFB_OK = 0;
/** an argument or a tensor is not what this header asks for */
export const UFFB_INVALID = 1;
/** this CPU or build cannot do it */
export const UFFB_UNSUPPORTED = 2;
export const UFFB_NO_MEMORY = 3;
/** uffb_context_cancel was called */
export const UFFB_CANCELLED = 4;
/** a mapped file was cut short while a model was in use; see uffb_catch_sigbus */
export const UFFB_LOST = 5;

// Element types of tensor data. Computation is f32; others are converted when the tensor is set.
export const UFFB_F32 = 0;
export const UFFB_F16 = 1;
export const UFFB_BF16 = 2;
export const UFFB_F64 = 3;
/** integers with a scale a row; made by uffb_tensor_quantise, in UFFB_PANELS_I8 or UFFB_ROWS */
export const UFFB_I8 = 4;
/** the same in 16 bits, in UFFB_PANELS_I16 alone */
export const UFFB_I16 = 5;

// How bytes represent a logical [rows, cols] matrix.
/** row-major */
export const UFFB_ROWS = 0;
/** column-major: the transpose, row-major */
export const UFFB_COLUMNS = 1;
/** GEMM panels: [ceil(rows/16)][cols][16], rows padded with zeros; the one layout of every CPU ISA */
export const UFFB_PANELS = 2;
/** of UFFB_I8: [ceil(rows/16)][ceil(cols/4)][16][4], padded with zeros */
export const UFFB_PANELS_I8 = 3;
/** of UFFB_I16: [ceil(rows/16)][ceil(cols/2)][16][2], padded with zeros */
export const UFFB_PANELS_I16 = 4;

// Activations, UFFB_GELU and so on: a constant for each line of activations.inc.
/** exact, with erf */
export const UFFB_GELU = 0;
/** the tanh approximation */
export const UFFB_GELU_TANH = 1;
export const UFFB_RELU = 2;
export const UFFB_TANH = 3;
export const UFFB_IDENTITY = 4;
export const UFFB_ACTIVATION_COUNT = 5;

// Where a block normalises.
/** x += f(norm(x)); UltraFastBERT, crammedBERT */
export const UFFB_PRE_NORM = 0;
/** x = norm(x + f(x)); BERT */
export const UFFB_POST_NORM = 1;

// Positions.
/** fixed table times `embed.position.scale` (1 when absent) */
export const UFFB_SINUSOIDAL = 0;
/** `embed.position` [max_length + position_offset, hidden] */
export const UFFB_LEARNED = 1;
/** none in the embedding: queries and keys are turned by their position (arXiv 2104.09864) */
export const UFFB_ROTARY = 2;

// Feedforward layers. Trees may have a dense layer beside them, and a model of `width` 0 without trees has no
// feedforward layers: its blocks end with attention, and lack `norm2`.
/** out(act(in(x))) */
export const UFFB_FFN_DENSE = 0;
/** h = in(x); out(h[:half] * act(h[half:])) */
export const UFFB_FFN_GLU = 1;
/** `trees` trees of `depth` + 1 levels, plus out(act(in(x))) where `width` is not 0 */
export const UFFB_FFN_FFF = 2;
/** h = in(x); out(act(h[:half]) * h[half:]) */
export const UFFB_FFN_GLU_FIRST = 3;

// What becomes of the logits along the paths of trees.
/** a node puts out its logit's activation times its row */
export const UFFB_TREES_ACTIVATE = 0;
/** its logit, sign and all, times its row */
export const UFFB_TREES_LINEAR = 1;
/** the same; and the layer the activation of the sum of all nodes of all trees */
export const UFFB_TREES_ACTIVATE_SUM = 2;

// Rows of `attn.qkv`, and what the columns of `attn.out` stand for: [heads][head size], the heads of their
// layer.
/** each head's q, k and v lie together: [heads][3][head size] */
export const UFFB_QKV_BY_HEAD = 0;
/** q of all heads, then k, then v: [3][heads][head size] */
export const UFFB_QKV_BY_PART = 1;

// Pooling of a sequence's final states to one vector. All of them read real tokens only; the original code
// averages over padding as well, which gives the same result for an unpadded input.
export const UFFB_POOL_FIRST = 0;
export const UFFB_POOL_MEAN = 1;
export const UFFB_POOL_MAX = 2;
/** log of the sum of exponentials, per hidden unit */
export const UFFB_POOL_LSE = 3;

// These are for uffb_pool alone, not for a classification head.
export const UFFB_POOL_LAST = 4;
/** the sum divided by the square root of the number of tokens */
export const UFFB_POOL_MEAN_SQRT = 5;
/** the mean with the weights 1, 2, 3 and so on, by position */
export const UFFB_POOL_WEIGHTED = 6;

// Heads, as bits of uffb_arch.heads_present.
export const UFFB_HEAD_MLM = 1;
export const UFFB_HEAD_CLASS = 2;
/** classification of each token */
export const UFFB_HEAD_TOKENS = 4;
/** f32 [tokens, hidden]; layer ignored */
export const UFFB_TAP_EMBEDDING = 0;
/** f32 [tokens, hidden]: the output of that layer */
export const UFFB_TAP_LAYER = 1;
/** f32 [tokens, hidden]; layer ignored */
export const UFFB_TAP_FINAL = 2;
/** i32 [tokens, trees, depth+1]: the nodes visited, each 0 to 2^(depth+1)-2 */
export const UFFB_TAP_PATH = 3;
/** f32 [tokens, trees, depth+1]: their logits, before the activation */
export const UFFB_TAP_PATH_LOGITS = 4;
/** f32 [tokens, hidden]: what that layer's feedforward half reads */
export const UFFB_TAP_FFN_INPUT = 5;
/** f32 [tokens, width; GLU: half of it]: what `ffn.out` reads */
export const UFFB_TAP_FFN_UNITS = 6;

// f32 [tokens, heads of the layer, 2, head size]: each head's q, times the factor of scores, and k:
// attention's probabilities are the softmax of their products. UFFB_INVALID where biases by distance or
// windows have a say, too.
export const UFFB_TAP_QK = 7;

// Raised whenever a signature, a struct or a value below changes; the loader refuses another version.
export const UFFB_TRAIN_ABI_VERSION = 8;

// What uffb_trainer_get and uffb_trainer_set move. All have the shape of the parameter.
export const UFFB_WEIGHT = 0;
/** the sum of the steps since the last update, times their scales */
export const UFFB_GRADIENT = 1;
/** AdamW's exp_avg */
export const UFFB_FIRST_MOMENT = 2;
/** AdamW's exp_avg_sq */
export const UFFB_SECOND_MOMENT = 3;

// Heads that training alone knows, beside UFFB_HEAD_MLM and UFFB_HEAD_CLASS.
/** no prediction: guides alone (uffb_trainer_guide) */
export const UFFB_HEAD_NONE = 0;
/** the pooled final states of a sequence, as sentence vectors */
export const UFFB_HEAD_VECTOR = 4;

// Losses. A target is one prediction: a position of the MLM head, or a sequence of the other heads.
/** targets i32 [targets]: a class or token id each; a negative one counts for nothing */
export const UFFB_CROSS_ENTROPY = 0;
/** targets f32 [targets, labels], each 0 to 1; of the logistic function of each logit */
export const UFFB_BINARY_CROSS_ENTROPY = 1;
/** targets f32 [targets, labels] */
export const UFFB_SQUARED_ERROR = 2;
/** targets f32 [targets, classes]: a distribution each, a teacher's say; see temperature */
export const UFFB_SOFT_CROSS_ENTROPY = 3;
/** targets f32 [targets, hidden]: 1 - the cosine of each with the vector head's */
export const UFFB_COSINE = 4;

// How weights and inputs are filled.
/** random, every branch equally likely */
export const UFFB_FILL_UNIFORM = 0;
/** random, nine in ten tokens turn left at a node */
export const UFFB_FILL_SKEWED = 1;
/** all zero, as the published benchmark leaves them: every token takes the same path */
export const UFFB_FILL_ZERO = 2;

// What is in the caches before a call that is timed: the same for every contender, whichever ran before.
/** the layer's weights were just read, so they are in the caches as far as they fit */
export const UFFB_CACHE_WARM = 0;
/** `evict` bytes were read from elsewhere: no weight is there, nor its page table entry */
export const UFFB_CACHE_COLD = 1;

// calls take turns with the copies of the weights, as a model's layers do, and have done so for a while
export const UFFB_CACHE_ROTATED = 2;
/** f32 multiply-adds, 2 flop each, from registers */
export const UFFB_PROBE_FLOPS = 0;
/** bytes read from memory */
export const UFFB_PROBE_MEMORY = 1;
/** bytes read from L2 */
export const UFFB_PROBE_L2 = 2;
/** multiply-adds of 8-bit integers, 2 operations each, from L1 */
export const UFFB_PROBE_OPS_I8 = 3;
/** multiply-adds of bf16, 2 flop each, from L1 */
export const UFFB_PROBE_BF16 = 4;

/** Activations, UFFB_GELU and so on: a constant for each line of activations.inc. */
export const ACTIVATIONS = [
  { value: UFFB_GELU, name: "gelu", torch: "GELU", transformers: "gelu gelu_python" },
  {
    value: UFFB_GELU_TANH,
    name: "gelu_tanh",
    torch: "",
    transformers: "gelu_new gelu_fast gelu_pytorch_tanh",
  },
  { value: UFFB_RELU, name: "relu", torch: "ReLU", transformers: "relu" },
  { value: UFFB_TANH, name: "tanh", torch: "Tanh", transformers: "" },
  { value: UFFB_IDENTITY, name: "identity", torch: "Identity", transformers: "" },
] as const;

/**
 * What a model is. Everything about a block is data here. Sizes are counts of elements. * Distances of
 * `attn.relative` are those of T5 (arXiv 1910.10683, section 2.1), as MPNet has them: the first half of the
 * rows is for keys before the query or at it, the second half for those behind; of each, the first half for
 * distances 0, 1, 2 and so on, the rest for distances that grow by the same factor, up to 128. * Layers of
 * different numbers of heads share no tensors, and have no biases by distance.
 */
export interface Arch {
  layers: number;
  hidden: number;
  /** of each layer, or the most of any where layer_heads tells */
  heads: number;
  /** heads * head_size is at most hidden. 0: hidden / heads */
  headSize: number;
  /** [layers], 1 to heads, read by the call alone. NULL: all layers have `heads` */
  layerHeads: Int32Array | null;
  vocab: number;
  /** most tokens in a sequence */
  maxLength: number;
  /** first row of learned positions in use (RoBERTa: 2) */
  positionOffset: number;
  /** rows of `embed.type`; 0 without token types */
  tokenTypes: number;
  /** dense feedforward: rows of `ffn.in` (GLU: both halves); 0 without one */
  width: number;
  /** FFF: number of trees */
  trees: number;
  /** FFF: depth >= 0; a tree has 2^(depth+1)-1 nodes and a path depth+1 */
  depth: number;
  /** classification: rows of `head.pool.dense`; 0 without that layer */
  poolWidth: number;
  /** classification: rows of `head.class` or, of tokens, of `head.token` */
  labels: number;
  /** columns of embeddings and decoder; `embed.project` leads to `hidden`. 0: hidden, no projection */
  embedWidth: number;
  /** layers with tensors of their own, used layers / distinct_layers times in turn. 0: all have */
  distinctLayers: number;
  /** rows of `attn.relative` [relative_buckets, heads], added to scores by distance. 0: none */
  relativeBuckets: number;
  /** tokens on each side that attention looks at. 0: all */
  window: number;
  /** layers whose number is a multiple of this look at all tokens, `window` or not. 0: none */
  globalEvery: number;
  /** UFFB_ROTARY: of layers that look at all tokens */
  rotaryBase: number;
  /** of the others */
  rotaryBaseLocal: number;
  normEps: number;
  /** UFFB_PRE_NORM, UFFB_POST_NORM */
  normPosition: number;
  /** UFFB_SINUSOIDAL, UFFB_LEARNED, UFFB_ROTARY */
  positions: number;
  /** UFFB_FFN_* */
  feedforward: number;
  /** of the feedforward layers and the MLM transform: UFFB_GELU... */
  activation: number;
  /** after `head.pool.dense`, or on the pooled vector without it */
  poolActivation: number;
  /** of the classification head: UFFB_POOL_* */
  pooling: number;
  /** 1: LayerNorm on the embedding */
  embedNorm: number;
  /** 1: LayerNorm after the last layer */
  finalNorm: number;
  /** UFFB_HEAD_* bits */
  headsPresent: number;
  /** 1: norm(act(dense(x))) before the decoder */
  mlmTransform: number;
  /** 1: the decoder is `embed.word`, held once, in panels */
  tied: number;
  /** FFF: UFFB_TREES_* */
  treeOutput: number;
  /** UFFB_QKV_* */
  qkvOrder: number;
  /** 1: the first layer has no `norm1` (of pre-norm) */
  firstUnnormed: number;
  /** 1: LayerNorm after `pool_activation` */
  poolNorm: number;
}

/**
 * One tensor a model can hold: its name, logical shape (vectors have rows = 1), the layout in which it is
 * used in place, and whether the model cannot do without it.
 */
export interface TensorInfo {
  name: string;
  rows: number;
  cols: number;
  layout: number;
  required: number;
  present: number;
  reserved: number;
}

/** One parameter. */
export interface ParameterInfo {
  name: string;
  /** logical shape; vectors have rows = 1 */
  rows: number;
  cols: number;
  /** of uffb.h: in which the encoder wants it; any may be given and asked for here */
  layout: number;
  /** whether the model cannot do without it */
  required: number;
  /** whether it was set; an optional one that was not is not part of the model */
  present: number;
  /** 1: no parameter but a number that is given, such as a factor of attention scores */
  constant: number;
  /** 1 unless uffb_trainer_mark said otherwise; 0 for constants */
  trainable: number;
  /** whether weight decay applies: by default where the name has neither `bias` nor `norm` */
  decays: number;
}

/** The largest steps that are to come. */
export interface TrainSize {
  sequences: number;
  tokens: number;
  /** tokens of a sequence */
  longest: number;
  targets: number;
  /** floats a token of all guides of a step: the sum of their widths */
  guided: number;
  /** largest head size of a guide of attention; 0 without any */
  guidedHead: number;
  threads: number;
  reserved: number;
}

/** What a trainer takes, in bytes, for steps of a given size. */
export interface TrainMemory {
  /** with what they are rounded to in bf16 */
  weights: number;
  /** of trainable parameters */
  gradients: number;
  /** two a trainable parameter */
  moments: number;
  /** for the backward pass, of all tokens of a step, and of its guides */
  kept: number;
  /** all else, and what uffb_trainer_model takes beyond what it frees */
  scratch: number;
  /** the sum of these */
  total: number;
  /** part of `kept` that a token takes */
  keptPerToken: number;
}

/**
 * One step: a batch, its targets and how they count. Its gradients are those of `scale` times the sum of
 * weighted losses. With several steps an update, give 1 / (the sum of the weights of all of them); 0 stands
 * for 1 / (the sum of this one's), the mean. Dropout rates are 0 to below 1; a mask depends on seed, counter,
 * place in the model and place in the batch alone, so that no two steps of a run should have the same
 * counter. Of the vector head, `similarity` times the mean, over the other sequences of the batch, of the
 * squared difference between the cosine with that one and the cosine of their targets is added to the loss of
 * each target. Noise of branches, nearly normal and from seed and counter as dropout, decides which way a
 * token goes at a node; what the node puts out is that of its logit alone.
 */
export interface TrainStep {
  sequences: number;
  /** MLM: how many positions are predicted; no head: 0; else the number of sequences */
  targets: number;
  /** UFFB_HEAD_... */
  head: number;
  /** MLM takes the two cross-entropies, vectors take UFFB_COSINE, and classes all others */
  loss: number;
  /** of the gradients */
  scale: number;
  /** 0 to 1: this share of each class's target is spread evenly over all classes */
  labelSmoothing: number;
  /** of the embedding, after its norm */
  embeddingDropout: number;
  /** of attention probabilities */
  attentionDropout: number;
  /** of what attention and feedforward add to the stream */
  blockDropout: number;
  /** of the input of `head.class` */
  headDropout: number;
  /** of dropout and noise */
  seed: number;
  /** of these: which step of the run this is */
  counter: number;
  /** 1: a token attends to itself and those before it */
  causal: number;
  /** 0: the loss alone, and no gradient */
  backward: number;
  /** of the vector head: UFFB_POOL_... */
  pooling: number;
  reserved: number;
  /** of the vector head: what similarities within the batch count for */
  similarity: number;
  /** of soft cross-entropy: logits are divided by it; 0 stands for 1 */
  temperature: number;
  /** of trees: standard deviation of what is added to logits where tokens choose their ways */
  branchNoise: number;
}

/** What a step came to. */
export interface TrainResult {
  /** the sum of weighted losses */
  loss: number;
  /** the sum of weights: loss / weight is the mean */
  weight: number;
  /** cross-entropy: targets whose largest logit is their class */
  correct: number;
  /** targets whose loss is not a number or infinite; `losses` tells which */
  notFinite: number;
  /** the sum of what guides ask for, which `loss` has not */
  guided: number;
}

/**
 * AdamW as PyTorch's: decoupled decay, bias correction, eps outside the root. Clipping is that of
 * clip_grad_norm_: the gradient times clip / (norm + 1e-6) where that is below 1. eps must be above 0.
 */
export interface Adamw {
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** largest norm of the whole gradient; 0 does not clip */
  clip: number;
}

export interface UpdateResult {
  /** of the whole gradient, before clipping */
  norm: number;
  /** that clipping multiplied it by */
  factor: number;
  /** updates made so far, this one included */
  step: number;
  /** 0: the norm is not a number or infinite; nothing was updated, and the gradients are zero again */
  finite: number;
  reserved: number;
}

export interface BenchShape {
  hidden: number;
  /** FFF when > 0 */
  trees: number;
  depth: number;
  /** dense when trees = 0 */
  width: number;
  /** most tokens of a call */
  batch: number;
  /**
   * rows of input, at least `batch`: calls take turns with them, so that none finds its path in the caches
   */
  inputs: number;
  /** of the weights, at least 1; 2 for cold runs; for rotated ones, more than the caches can hold */
  copies: number;
  /** bytes read from elsewhere before each cold run, several times the last-level cache; 0: none is cold */
  evict: number;
  activation: number;
  /** 0: uffb_cpu_count() */
  threads: number;
  /** of the rows our own kernels walk: UFFB_F32, or UFFB_BF16; all compute with numbers that it can hold */
  dtype: number;
}

export interface Contender {
  name: string;
  /** 1: for FFF layers, 0: for dense ones */
  fff: number;
  /** BLAS level; 0: our own kernels */
  level: number;
  /** 1: needs a BLAS of that level */
  blas: number;
  /** 1: the published benchmark's arithmetic, defects included; its result is not the layer's */
  published: number;
}

/** Members of each struct, in order, with their C types. */
export const STRUCTS = {
  uffb_arch: {
    layers: "int64_t",
    hidden: "int64_t",
    heads: "int64_t",
    headSize: "int64_t",
    layerHeads: "int32_t *",
    vocab: "int64_t",
    maxLength: "int64_t",
    positionOffset: "int64_t",
    tokenTypes: "int64_t",
    width: "int64_t",
    trees: "int64_t",
    depth: "int64_t",
    poolWidth: "int64_t",
    labels: "int64_t",
    embedWidth: "int64_t",
    distinctLayers: "int64_t",
    relativeBuckets: "int64_t",
    window: "int64_t",
    globalEvery: "int64_t",
    rotaryBase: "double",
    rotaryBaseLocal: "double",
    normEps: "double",
    normPosition: "int32_t",
    positions: "int32_t",
    feedforward: "int32_t",
    activation: "int32_t",
    poolActivation: "int32_t",
    pooling: "int32_t",
    embedNorm: "int32_t",
    finalNorm: "int32_t",
    headsPresent: "int32_t",
    mlmTransform: "int32_t",
    tied: "int32_t",
    treeOutput: "int32_t",
    qkvOrder: "int32_t",
    firstUnnormed: "int32_t",
    poolNorm: "int32_t",
  },
  uffb_tensor_info: {
    name: "char[64]",
    rows: "int64_t",
    cols: "int64_t",
    layout: "int32_t",
    required: "int32_t",
    present: "int32_t",
    reserved: "int32_t",
  },
  uffb_parameter_info: {
    name: "char[64]",
    rows: "int64_t",
    cols: "int64_t",
    layout: "int32_t",
    required: "int32_t",
    present: "int32_t",
    constant: "int32_t",
    trainable: "int32_t",
    decays: "int32_t",
  },
  uffb_train_size: {
    sequences: "int64_t",
    tokens: "int64_t",
    longest: "int64_t",
    targets: "int64_t",
    guided: "int64_t",
    guidedHead: "int64_t",
    threads: "int32_t",
    reserved: "int32_t",
  },
  uffb_train_memory: {
    weights: "uint64_t",
    gradients: "uint64_t",
    moments: "uint64_t",
    kept: "uint64_t",
    scratch: "uint64_t",
    total: "uint64_t",
    keptPerToken: "uint64_t",
  },
  uffb_train_step: {
    sequences: "int64_t",
    targets: "int64_t",
    head: "int32_t",
    loss: "int32_t",
    scale: "double",
    labelSmoothing: "double",
    embeddingDropout: "double",
    attentionDropout: "double",
    blockDropout: "double",
    headDropout: "double",
    seed: "uint64_t",
    counter: "uint64_t",
    causal: "int32_t",
    backward: "int32_t",
    pooling: "int32_t",
    reserved: "int32_t",
    similarity: "double",
    temperature: "double",
    branchNoise: "double",
  },
  uffb_train_result: {
    loss: "double",
    weight: "double",
    correct: "int64_t",
    notFinite: "int64_t",
    guided: "double",
  },
  uffb_adamw: {
    lr: "double",
    beta1: "double",
    beta2: "double",
    eps: "double",
    weightDecay: "double",
    clip: "double",
  },
  uffb_update_result: {
    norm: "double",
    factor: "double",
    step: "int64_t",
    finite: "int32_t",
    reserved: "int32_t",
  },
  uffb_bench_shape: {
    hidden: "int64_t",
    trees: "int64_t",
    depth: "int64_t",
    width: "int64_t",
    batch: "int64_t",
    inputs: "int64_t",
    copies: "int64_t",
    evict: "int64_t",
    activation: "int32_t",
    threads: "int32_t",
    dtype: "int32_t",
  },
  uffb_contender: {
    name: "char[32]",
    fff: "int32_t",
    level: "int32_t",
    blas: "int32_t",
    published: "int32_t",
  },
} as const;

export const OPAQUE = [
  "uffb_model",
  "uffb_context",
  "uffb_taps",
  "uffb_trainer",
  "uffb_blas",
  "uffb_bench",
] as const;

/** Prototypes as koffi reads them: `_Out_` marks what the library writes. */
export const PROTOTYPES = {
  uffb_abi_version: "int32_t uffb_abi_version(void)",
  uffb_error: "const char *uffb_error(void)",
  uffb_isas: "const char *uffb_isas(void)",
  uffb_cpu_count: "int32_t uffb_cpu_count(void)",
  uffb_catch_sigbus: "int32_t uffb_catch_sigbus(void)",
  uffb_compiler: "const char *uffb_compiler(void)",
  uffb_interrupt_watch: "int32_t uffb_interrupt_watch(int32_t milliseconds)",
  uffb_interrupt_heard: "int32_t uffb_interrupt_heard(void)",
  uffb_interrupt_remove: "int32_t uffb_interrupt_remove(const char *path, int32_t remove)",
  uffb_model_new: "int32_t uffb_model_new(const uffb_arch *arch, _Out_ uffb_model **model)",
  uffb_model_free: "void uffb_model_free(uffb_model *model)",
  uffb_model_tensor_count: "int64_t uffb_model_tensor_count(const uffb_model *model)",
  uffb_model_tensor_info:
    "int32_t uffb_model_tensor_info(const uffb_model *model, int64_t index, _Out_ uffb_tensor_info *info)",
  uffb_model_tensor_set:
    "int32_t uffb_model_tensor_set(uffb_model *model, const char *name, const void *data, uint64_t bytes, int32_t dtype, int32_t layout)",
  uffb_model_ready: "int32_t uffb_model_ready(uffb_model *model)",
  uffb_tensor_bytes: "uint64_t uffb_tensor_bytes(int64_t rows, int64_t cols, int32_t dtype, int32_t layout)",
  uffb_tensor_convert:
    "int32_t uffb_tensor_convert(int64_t rows, int64_t cols, const void *source, uint64_t source_bytes, int32_t source_dtype, int32_t source_layout, void *target, uint64_t target_bytes, int32_t target_dtype, int32_t target_layout)",
  uffb_tensor_quantise:
    "int32_t uffb_tensor_quantise(int64_t rows, int64_t cols, const void *source, uint64_t source_bytes, int32_t source_dtype, int32_t source_layout, int32_t dtype, int32_t layout, void *target, uint64_t target_bytes, float *scale)",
  uffb_context_new:
    "int32_t uffb_context_new(const uffb_model *model, int32_t threads, const char *isa, _Out_ uffb_context **context)",
  uffb_context_free: "void uffb_context_free(uffb_context *context)",
  uffb_context_error: "const char *uffb_context_error(const uffb_context *context)",
  uffb_context_isa: "const char *uffb_context_isa(const uffb_context *context)",
  uffb_context_threads: "int32_t uffb_context_threads(const uffb_context *context)",
  uffb_context_cancel: "int32_t uffb_context_cancel(uffb_context *context)",
  uffb_encode:
    "int32_t uffb_encode(uffb_context *context, int64_t sequences, const int64_t *offsets, const int32_t *ids, const int32_t *types, const uffb_taps *taps)",
  uffb_take_final:
    "int32_t uffb_take_final(uffb_context *context, int64_t sequences, const int64_t *offsets, const float *final)",
  uffb_mlm_logits:
    "int32_t uffb_mlm_logits(uffb_context *context, int64_t count, const int64_t *positions, float *logits)",
  uffb_mlm_top_k:
    "int32_t uffb_mlm_top_k(uffb_context *context, int64_t count, const int64_t *positions, int64_t k, int32_t *ids, float *probabilities)",
  uffb_pool: "int32_t uffb_pool(uffb_context *context, int32_t pooling, int64_t skip, float *vectors)",
  uffb_classify: "int32_t uffb_classify(uffb_context *context, float *logits)",
  uffb_classify_tokens: "int32_t uffb_classify_tokens(uffb_context *context, float *logits)",
  uffb_taps_new: "int32_t uffb_taps_new(_Out_ uffb_taps **taps)",
  uffb_taps_free: "void uffb_taps_free(uffb_taps *taps)",
  uffb_taps_add:
    "int32_t uffb_taps_add(uffb_taps *taps, int32_t kind, int64_t layer, void *buffer, uint64_t bytes)",
  uffb_train_abi_version: "int32_t uffb_train_abi_version(void)",
  uffb_trainer_new:
    "int32_t uffb_trainer_new(const uffb_arch *arch, int32_t padding, _Out_ uffb_trainer **trainer)",
  uffb_trainer_free: "void uffb_trainer_free(uffb_trainer *trainer)",
  uffb_trainer_error: "const char *uffb_trainer_error(const uffb_trainer *trainer)",
  uffb_trainer_isa: "const char *uffb_trainer_isa(const uffb_trainer *trainer)",
  uffb_trainer_threads: "int32_t uffb_trainer_threads(const uffb_trainer *trainer)",
  uffb_trainer_parameter_count: "int64_t uffb_trainer_parameter_count(const uffb_trainer *trainer)",
  uffb_trainer_parameter_info:
    "int32_t uffb_trainer_parameter_info(const uffb_trainer *trainer, int64_t index, _Out_ uffb_parameter_info *info)",
  uffb_trainer_set:
    "int32_t uffb_trainer_set(uffb_trainer *trainer, int32_t kind, const char *name, const void *data, uint64_t bytes, int32_t dtype, int32_t layout)",
  uffb_trainer_get:
    "int32_t uffb_trainer_get(uffb_trainer *trainer, int32_t kind, const char *name, void *data, uint64_t bytes, int32_t dtype, int32_t layout)",
  uffb_trainer_mark:
    "int32_t uffb_trainer_mark(uffb_trainer *trainer, const char *name, int32_t trainable, int32_t decays)",
  uffb_trainer_compute: "int32_t uffb_trainer_compute(uffb_trainer *trainer, int32_t dtype)",
  uffb_trainer_multiplies_bf16: "int32_t uffb_trainer_multiplies_bf16(const uffb_trainer *trainer)",
  uffb_trainer_memory:
    "int32_t uffb_trainer_memory(const uffb_trainer *trainer, const uffb_train_size *size, _Out_ uffb_train_memory *memory)",
  uffb_trainer_ready: "int32_t uffb_trainer_ready(uffb_trainer *trainer, int32_t threads, const char *isa)",
  uffb_trainer_step:
    "int32_t uffb_trainer_step(uffb_trainer *trainer, const uffb_train_step *step, const int64_t *offsets, const int32_t *ids, const int32_t *types, const float *final, const int64_t *positions, const void *targets, const float *weights, const float *class_weights, const uffb_taps *taps, _Out_ uffb_train_result *result, float *losses, float *logits)",
  uffb_trainer_guide:
    "int32_t uffb_trainer_guide(uffb_trainer *trainer, int32_t kind, int64_t layer, double weight, const float *states, int64_t tokens, int64_t width)",
  uffb_trainer_fit:
    "int32_t uffb_trainer_fit(uffb_trainer *trainer, int64_t layer, int64_t tokens, const float *input, const float *output, double weight, int32_t backward, _Out_ uffb_train_result *result)",
  uffb_trainer_update:
    "int32_t uffb_trainer_update(uffb_trainer *trainer, const uffb_adamw *adamw, _Out_ uffb_update_result *result)",
  uffb_trainer_zero_gradients: "int32_t uffb_trainer_zero_gradients(uffb_trainer *trainer)",
  uffb_trainer_balance: "int32_t uffb_trainer_balance(uffb_trainer *trainer, double rate)",
  uffb_trainer_updates: "int64_t uffb_trainer_updates(const uffb_trainer *trainer)",
  uffb_trainer_set_updates: "int32_t uffb_trainer_set_updates(uffb_trainer *trainer, int64_t updates)",
  uffb_trainer_model: "int32_t uffb_trainer_model(uffb_trainer *trainer, _Out_ uffb_model **model)",
  uffb_trainer_cancel: "int32_t uffb_trainer_cancel(uffb_trainer *trainer)",
  uffb_trainer_visits:
    "int32_t uffb_trainer_visits(const uffb_trainer *trainer, int64_t layer, int64_t *visits)",
  uffb_trainer_clear_visits: "int32_t uffb_trainer_clear_visits(uffb_trainer *trainer)",
  uffb_blas_open: "int32_t uffb_blas_open(const char *path, _Out_ uffb_blas **blas)",
  uffb_blas_own: "int32_t uffb_blas_own(_Out_ uffb_blas **blas)",
  uffb_blas_close: "void uffb_blas_close(uffb_blas *blas)",
  uffb_blas_version: "const char *uffb_blas_version(const uffb_blas *blas)",
  uffb_blas_levels: "int32_t uffb_blas_levels(const uffb_blas *blas)",
  uffb_bench_bytes: "uint64_t uffb_bench_bytes(const uffb_bench_shape *shape)",
  uffb_bench_new: "int32_t uffb_bench_new(const uffb_bench_shape *shape, _Out_ uffb_bench **bench)",
  uffb_bench_free: "void uffb_bench_free(uffb_bench *bench)",
  uffb_bench_fill: "int32_t uffb_bench_fill(uffb_bench *bench, int32_t fill, uint64_t seed)",
  uffb_bench_fill_from:
    "int32_t uffb_bench_fill_from(uffb_bench *bench, const uffb_model *model, int64_t layer, int64_t tokens, const float *input)",
  uffb_contender_count: "int64_t uffb_contender_count(void)",
  uffb_contender_info: "int32_t uffb_contender_info(int64_t index, _Out_ uffb_contender *info)",
  uffb_contender_isas: "const char *uffb_contender_isas(void)",
  uffb_bench_run:
    "int32_t uffb_bench_run(uffb_bench *bench, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens, int32_t cache, double *seconds)",
  uffb_bench_check:
    "int32_t uffb_bench_check(uffb_bench *bench, int64_t contender, const uffb_blas *blas, const char *isa, int64_t tokens, double *error, int64_t *ties)",
  uffb_bench_leaves: "int32_t uffb_bench_leaves(uffb_bench *bench, int64_t *leaves, double *busiest)",
  uffb_probe: "int32_t uffb_probe(int32_t probe, int32_t threads, double seconds, double *rate)",
} as const;

/** The library's functions. */
export interface Functions {
  uffb_abi_version(): number;
  /**
   * One line about the last failure on this thread; "" when there was none. Valid until the next call on this
   * thread.
   */
  uffb_error(): string;
  /**
   * The instruction sets this CPU and build can run, best first, separated by commas: "avx512,avx2,generic".
   */
  uffb_isas(): string;
  /** CPUs this process may really use: affinity mask and cgroup quota, at least 1. */
  uffb_cpu_count(): number;
  /**
   * Has SIGBUS, which ends a process that reads a mapped file behind its end, caught from now on: where
   * somebody cuts such a file short, readers find zeros, and calls with a model that was made before return
   * UFFB_LOST. Once per process; a handler that there was before gets the signals that are not about a file.
   * UFFB_UNSUPPORTED when none can be installed.
   */
  uffb_catch_sigbus(): number;
  /** The compiler that built the library, for reports. */
  uffb_compiler(): string;
  /**
   * Ends the process when SIGINT, SIGTERM, SIGHUP or SIGQUIT asks for it, whatever its threads are doing: the
   * handler that is there when this is called runs first; where the process is still there after so many
   * milliseconds, or at the second signal, what uffb_interrupt_remove named is removed and it exits with 128
   * plus the signal's number. A signal that is ignored stays so. Takes SIGALRM and the real-time interval
   * timer. Nothing else in this library ends a process.
   */
  uffb_interrupt_watch(milliseconds: number): number;
  /**
   * Says that the signal was heard and that the caller ends its work in its own time: the process is not
   * ended for it, and the next signal is as the first.
   */
  uffb_interrupt_heard(): number;
  /**
   * Names a file or an empty folder to be removed then, at most 16 at a time; with `remove` 0 it is to stay.
   * Not for two threads at once.
   */
  uffb_interrupt_remove(path: string | null, remove: number): number;
  /** UFFB_INVALID names the impossible field. */
  uffb_model_new(arch: Arch, model: [Handle | null]): number;
  uffb_model_free(model: Handle | null): void;
  uffb_model_tensor_count(model: Handle | null): number;
  uffb_model_tensor_info(model: Handle | null, index: number, info: Partial<TensorInfo>): number;
  /**
   * Gives the tensor `name` as `bytes` bytes of `dtype` in `layout`, any of the ones above. F32 data in the
   * layout that uffb_model_tensor_info asks for, BF16 rows of an FFF layer that walks its trees (depth above
   * 3), and F16 rows of `embed.word` that is not tied or of `embed.position`, are used in place and must
   * outlive the model; anything else is converted into memory of the model, where a finite number must not
   * become infinite. `bytes` must match the shape exactly. A tensor wanted in panels (projections, a tied
   * embedding) may also be given as UFFB_I8 in UFFB_PANELS_I8 or UFFB_I16 in UFFB_PANELS_I16, used in place;
   * its scales [rows] are then the tensor `name`.scale, and activations are quantised token by token, to as
   * many bits. 16 bits take twice the time and memory of 8. `embed.word` that is not tied, and
   * `embed.position`, may be given as UFFB_I8 in UFFB_ROWS, used in place, with scales in the same way: an
   * element is then its integer times its row's scale, rounded to f32. Beside a decoder in integers
   * (`embed.word` when tied, else `head.mlm.decoder.weight`) may stand its rows, [vocab, hidden], as the
   * tensor `name`.rows: held as UFFB_F16, and used in place when given so. Embeddings are then read from
   * them, and the 8 largest logits of a position, found in integers, are computed again from its exact state
   * and these rows.
   */
  uffb_model_tensor_set(
    model: Handle | null,
    name: string | null,
    data: ArrayBufferView | null,
    bytes: number,
    dtype: number,
    layout: number,
  ): number;
  /**
   * Checks that every required tensor is there (the error names the first that is not) and freezes the model.
   */
  uffb_model_ready(model: Handle | null): number;
  /**
   * Bytes of a [rows, cols] matrix of `dtype` in `layout`; 0 when the arguments are not valid or the size
   * overflows.
   */
  uffb_tensor_bytes(rows: number, cols: number, dtype: number, layout: number): number;
  /** Rewrites a [rows, cols] matrix in another dtype and layout. Bit-exact when both dtypes are the same. */
  uffb_tensor_convert(
    rows: number,
    cols: number,
    source: ArrayBufferView | null,
    sourceBytes: number,
    sourceDtype: number,
    sourceLayout: number,
    target: ArrayBufferView | null,
    targetBytes: number,
    targetDtype: number,
    targetLayout: number,
  ): number;
  /**
   * A [rows, cols] matrix as integers: per row, scale = max|w| / most and q = round(w / scale), to nearest,
   * ties to even. `most` is 127 for UFFB_I8, and for UFFB_I16 the largest of which sums over `cols` products
   * fit 32 bits: at most 32,767, 1,672 for 768 columns. A row with NaNs or infinities has the scale NaN.
   * `layout` is one that the dtype can have, `target` has uffb_tensor_bytes(rows, cols, dtype, layout) bytes,
   * `scale` [rows].
   */
  uffb_tensor_quantise(
    rows: number,
    cols: number,
    source: ArrayBufferView | null,
    sourceBytes: number,
    sourceDtype: number,
    sourceLayout: number,
    dtype: number,
    layout: number,
    target: ArrayBufferView | null,
    targetBytes: number,
    scale: Float32Array | null,
  ): number;
  /**
   * `threads`: 0 for uffb_cpu_count(). `isa`: one of uffb_isas(), or NULL for the environment's UFFB_ISA,
   * else the best.
   */
  uffb_context_new(
    model: Handle | null,
    threads: number,
    isa: string | null,
    context: [Handle | null],
  ): number;
  uffb_context_free(context: Handle | null): void;
  uffb_context_error(context: Handle | null): string;
  uffb_context_isa(context: Handle | null): string;
  uffb_context_threads(context: Handle | null): number;
  /**
   * Makes the running encode or MLM head, or else the next one, return UFFB_CANCELLED, after the layer or the
   * 64 positions that it is at. From any thread.
   */
  uffb_context_cancel(context: Handle | null): number;
  /**
   * Encodes a batch to final states, which the context keeps for the heads below until the next uffb_encode.
   * offsets [sequences + 1], offsets[0] = 0, each sequence 1 to max_length tokens; ids [tokens], below vocab;
   * types [tokens] or NULL for all 0; taps or NULL.
   */
  uffb_encode(
    context: Handle | null,
    sequences: number,
    offsets: BigInt64Array | null,
    ids: Int32Array | null,
    types: Int32Array | null,
    taps: Handle | null,
  ): number;
  /**
   * Takes final states [tokens, hidden] computed elsewhere, on another device say, as if uffb_encode had just
   * computed them. They are copied; offsets are those of uffb_encode.
   */
  uffb_take_final(
    context: Handle | null,
    sequences: number,
    offsets: BigInt64Array | null,
    final: Float32Array | null,
  ): number;
  /** logits [count, vocab] */
  uffb_mlm_logits(
    context: Handle | null,
    count: number,
    positions: BigInt64Array | null,
    logits: Float32Array | null,
  ): number;
  /**
   * The k most probable tokens at each position, best first, equal ones by id: ids [count, k], probabilities
   * [count, k].
   */
  uffb_mlm_top_k(
    context: Handle | null,
    count: number,
    positions: BigInt64Array | null,
    k: number,
    ids: Int32Array | null,
    probabilities: Float32Array | null,
  ): number;
  /**
   * vectors [sequences, hidden]. The first `skip` tokens of each sequence are left out, 0 for none; weights
   * by position still count them. A sequence with no other tokens has a vector of zeros.
   */
  uffb_pool(context: Handle | null, pooling: number, skip: number, vectors: Float32Array | null): number;
  /** logits [sequences, labels] */
  uffb_classify(context: Handle | null, logits: Float32Array | null): number;
  /** logits [tokens, labels] */
  uffb_classify_tokens(context: Handle | null, logits: Float32Array | null): number;
  uffb_taps_new(taps: [Handle | null]): number;
  uffb_taps_free(taps: Handle | null): void;
  /** One buffer for each kind and layer. `bytes` is checked against the shape at each encode. */
  uffb_taps_add(
    taps: Handle | null,
    kind: number,
    layer: number,
    buffer: ArrayBufferView | null,
    bytes: number,
  ): number;
  uffb_train_abi_version(): number;
  /**
   * padding: the id of the padding token, or -1. Where a text holds it, its row of `embed.word` gets no
   * gradient from there, nor does the row of `embed.position` that it alone has, as of PyTorch's
   * Embedding(padding_idx); from a tied decoder its row of `embed.word` does. UFFB_INVALID names the
   * impossible field.
   */
  uffb_trainer_new(arch: Arch, padding: number, trainer: [Handle | null]): number;
  uffb_trainer_free(trainer: Handle | null): void;
  /** One line about the last failure of a step, an update or a copy of this trainer. */
  uffb_trainer_error(trainer: Handle | null): string;
  uffb_trainer_isa(trainer: Handle | null): string;
  uffb_trainer_threads(trainer: Handle | null): number;
  uffb_trainer_parameter_count(trainer: Handle | null): number;
  uffb_trainer_parameter_info(trainer: Handle | null, index: number, info: Partial<ParameterInfo>): number;
  /**
   * Copies `bytes` bytes of `dtype` (UFFB_F32, UFFB_F16, UFFB_BF16, UFFB_F64) in `layout` (UFFB_ROWS,
   * UFFB_COLUMNS, UFFB_PANELS) into what `kind` says of parameter `name`. Weights before uffb_trainer_ready
   * say which optional parameters there are; after it, all kinds can be set again. Moments and gradients only
   * then, of trainable parameters.
   */
  uffb_trainer_set(
    trainer: Handle | null,
    kind: number,
    name: string | null,
    data: ArrayBufferView | null,
    bytes: number,
    dtype: number,
    layout: number,
  ): number;
  /**
   * The reverse: of a parameter that is present. Gradients and moments of one that is not trainable are zero.
   */
  uffb_trainer_get(
    trainer: Handle | null,
    kind: number,
    name: string | null,
    data: ArrayBufferView | null,
    bytes: number,
    dtype: number,
    layout: number,
  ): number;
  /**
   * Says whether `name` is trained and decays, before uffb_trainer_ready. What is below the lowest trainable
   * layer then gets no backward pass, and costs none. A layer is frozen by marking each of its parameters.
   */
  uffb_trainer_mark(trainer: Handle | null, name: string | null, trainable: number, decays: number): number;
  /**
   * What linear layers multiply, before uffb_trainer_ready: UFFB_F32, or UFFB_BF16. Then both sides of the
   * three products of each weight of 16 rows or more (the layer's, and the gradients of input and weight) are
   * rounded to bf16, nearest and ties to even, denormals to zero; sums are f32. So is all else: weights,
   * moments, gradients, norms, attention's scores and probabilities, activations, trees that are walked,
   * losses, and the model of uffb_trainer_model.
   */
  uffb_trainer_compute(trainer: Handle | null, dtype: number): number;
  /**
   * Whether a trainer that is ready has instructions for that. If 0, UFFB_BF16 is much slower than UFFB_F32.
   */
  uffb_trainer_multiplies_bf16(trainer: Handle | null): number;
  /**
   * Bytes for steps of up to that size. Asked for before uffb_trainer_ready, and so before anything but
   * weights is allocated.
   */
  uffb_trainer_memory(trainer: Handle | null, size: TrainSize, memory: Partial<TrainMemory>): number;
  /**
   * Checks that every required tensor is there and makes room for gradients and moments (zero). `threads` and
   * `isa` are those of uffb_context_new.
   */
  uffb_trainer_ready(trainer: Handle | null, threads: number, isa: string | null): number;
  /**
   * Runs a batch forward and, if step.backward, backward, and adds to the gradients. * offsets [sequences +
   * 1], ids [tokens], types [tokens] or NULL: as uffb_encode. final [tokens, hidden] or NULL: final states
   * computed elsewhere; the encoder is then left out of both passes, `ids` may be NULL, and only the head is
   * trained (features once, then the head: sequences of one token each, whose final state is the pooled
   * vector). positions [targets]: token rows of the batch that the MLM head predicts, each at most once; NULL
   * for classification. targets: as the loss says. weights [targets] or NULL for 1: of each target.
   * class_weights [classes] or NULL for 1: cross-entropy multiplies a target's loss and weight by its class's
   * (as PyTorch); binary cross-entropy multiplies the loss of a label that is 1. The loss of a target over
   * several labels (binary cross-entropy, squared error) is their mean. taps or NULL: as uffb_encode, filled
   * on the way; with dropout they show states after it. losses [targets] or NULL: each one's loss before
   * weights. logits [targets, classes] or NULL. * After UFFB_CANCELLED or another failure gradients hold a
   * part of the step: call uffb_trainer_zero_gradients. Weights are never touched.
   */
  uffb_trainer_step(
    trainer: Handle | null,
    step: TrainStep,
    offsets: BigInt64Array | null,
    ids: Int32Array | null,
    types: Int32Array | null,
    final: Float32Array | null,
    positions: BigInt64Array | null,
    targets: ArrayBufferView | null,
    weights: Float32Array | null,
    classWeights: Float32Array | null,
    taps: Handle | null,
    result: Partial<TrainResult>,
    losses: Float32Array | null,
    logits: Float32Array | null,
  ): number;
  /**
   * Asks the next step to pull states, or attention, towards another model's, a teacher's say: adds to what
   * is minimised, whatever the step's scale, `weight` times - for UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER (with
   * its layer) or UFFB_TAP_FINAL the mean squared difference of states, whose `width` is hidden; - for
   * UFFB_TAP_QK (with its layer) the divergence of attention's probabilities from the other's, KL(other ||
   * own), in nats, mean over tokens and heads, before dropout. That layer of the other model has as many
   * heads as this one's; their size, width / (2 heads), may be another. Probabilities are computed from q and
   * k block by block, so that memory grows with tokens and not with the square of their number. `states`
   * [tokens, width], which are copied, of all tokens of the batch. One for each place. After the step,
   * however it ends, there are none.
   */
  uffb_trainer_guide(
    trainer: Handle | null,
    kind: number,
    layer: number,
    weight: number,
    states: Float32Array | null,
    tokens: number,
    width: number,
  ): number;
  /**
   * Fits the feedforward half of one layer of a post-norm model alone, to what another model's does: `input`
   * [tokens, hidden], what the half reads (UFFB_TAP_FFN_INPUT), becomes norm2(input + feedforward(input)),
   * whose mean squared difference from `output` [tokens, hidden], the other's UFFB_TAP_LAYER, times `weight`
   * is result->guided. If `backward`, its gradients are added to those of the layer's feedforward half,
   * `norm2` included. No other part of the model is read. Failures are those of a step.
   */
  uffb_trainer_fit(
    trainer: Handle | null,
    layer: number,
    tokens: number,
    input: Float32Array | null,
    output: Float32Array | null,
    weight: number,
    backward: number,
    result: Partial<TrainResult>,
  ): number;
  /**
   * One step of AdamW with the gradients as they are, which then are zero. Rows of trees that have none may
   * get theirs later, but before anything reads them, and with the same bits.
   */
  uffb_trainer_update(trainer: Handle | null, adamw: Adamw, result: Partial<UpdateResult>): number;
  uffb_trainer_zero_gradients(trainer: Handle | null): number;
  /**
   * Evens out which way tokens go: the bias of each inner node of trees loses rate * (right - left) / (right
   * + left + 8), of the tokens that went right and left there in steps with a backward pass since the last
   * call. The bias is the running estimate, so that a run has no more state; loss and gradients stay as they
   * are (as arXiv 2408.15664 does for experts). After each update, or not at all. UFFB_INVALID where a layer
   * has no trees, or no biases.
   */
  uffb_trainer_balance(trainer: Handle | null, rate: number): number;
  /** Updates made so far, which bias correction depends on; set when a run is resumed, after the moments. */
  uffb_trainer_updates(trainer: Handle | null): number;
  uffb_trainer_set_updates(trainer: Handle | null, updates: number): number;
  /**
   * The weights as they are now, as a model that contexts can be made of, to evaluate between updates. It
   * belongs to the trainer and lives as long, and it is the same one every time. After a step, an update or a
   * set, ask for it again before a context of it is used: that brings it up to date, and in the form that the
   * encoder reads, whose room the next step takes back. No context of it may run during a call on the
   * trainer.
   */
  uffb_trainer_model(trainer: Handle | null, model: [Handle | null]): number;
  /** Makes the running step, or else the next one, return UFFB_CANCELLED. From any thread. */
  uffb_trainer_cancel(trainer: Handle | null): number;
  /**
   * visits [trees, nodes]: how many tokens came to each node of `layer` in the steps since the last
   * uffb_trainer_clear_visits.
   */
  uffb_trainer_visits(trainer: Handle | null, layer: number, visits: BigInt64Array | null): number;
  uffb_trainer_clear_visits(trainer: Handle | null): number;
  /**
   * Opens a shared library that exports cblas_sdot, cblas_saxpy, cblas_sgemv and cblas_sgemm (OpenBLAS, BLIS,
   * MKL, the reference BLAS), or dnnl_sgemm (oneDNN: Level 3 alone).
   */
  uffb_blas_open(path: string | null, blas: [Handle | null]): number;
  /**
   * The engine's own dot, axpy, gemv and gemm as a BLAS, with the best kernels of this CPU, for machines
   * without a library.
   */
  uffb_blas_own(blas: [Handle | null]): number;
  uffb_blas_close(blas: Handle | null): void;
  /** What the library says of itself: name, version, the kernels it chose. */
  uffb_blas_version(blas: Handle | null): string;
  /** Highest level with everything below it: 3; or 0 when it has Level 3 alone (oneDNN). */
  uffb_blas_levels(blas: Handle | null): number;
  /**
   * Bytes uffb_bench_new and the contenders of this shape will allocate at most; 0 when the shape is not
   * valid.
   */
  uffb_bench_bytes(shape: BenchShape): number;
  uffb_bench_new(shape: BenchShape, bench: [Handle | null]): number;
  uffb_bench_free(bench: Handle | null): void;
  uffb_bench_fill(bench: Handle | null, fill: number, seed: number): number;
  /**
   * The weights of a model's layer, and `tokens` inputs [tokens, hidden], repeated. The shape must be the
   * model's.
   */
  uffb_bench_fill_from(
    bench: Handle | null,
    model: Handle | null,
    layer: number,
    tokens: number,
    input: Float32Array | null,
  ): number;
  uffb_contender_count(): number;
  uffb_contender_info(index: number, info: Partial<Contender>): number;
  /** Of uffb_isas(), those with kernels of their own for a layer in f32 or bf16. */
  uffb_contender_isas(): string;
  /**
   * Runs a contender on `tokens` tokens, the next of the inputs, and gives the time of a call. `blas`: NULL
   * where none is needed; `isa`: for our own kernels, NULL for the best. Warm and cold: one call, before
   * which the contender ran on a few other tokens (cold: with another copy of the weights), as it would have
   * for the layer before. Rotated: the mean of one call with each copy. In all cases the inputs and outputs
   * of a call, which a model has just computed, were touched.
   */
  uffb_bench_run(
    bench: Handle | null,
    contender: number,
    blas: Handle | null,
    isa: string | null,
    tokens: number,
    cache: number,
    seconds: Float64Array | null,
  ): number;
  /**
   * Runs it once on the first `tokens` inputs and compares: `error` is the largest difference over the
   * largest value; `ties` counts the tokens left out because a logit on their path was too close to 0 to
   * call.
   */
  uffb_bench_check(
    bench: Handle | null,
    contender: number,
    blas: Handle | null,
    isa: string | null,
    tokens: number,
    error: Float64Array | null,
    ties: BigInt64Array | null,
  ): number;
  /** Leaves of tree 0 that the inputs reach, and the share of inputs at the busiest one. */
  uffb_bench_leaves(bench: Handle | null, leaves: BigInt64Array | null, busiest: Float64Array | null): number;
  /** The best rate seen in about `seconds`, per second, on `threads` threads. */
  uffb_probe(probe: number, threads: number, seconds: number, rate: Float64Array | null): number;
}
