import {
  type Adamw,
  type Arch,
  type Handle,
  type ParameterInfo,
  type TrainMemory,
  type TrainResult,
  type TrainStep,
  UFFB_BF16,
  UFFB_CROSS_ENTROPY,
  UFFB_F32,
  UFFB_GRADIENT,
  UFFB_HEAD_MLM,
  UFFB_HEAD_NONE,
  UFFB_HEAD_VECTOR,
  UFFB_ROWS,
  UFFB_WEIGHT,
  type UpdateResult,
} from "./bindings.ts";
import { callAsync } from "./call.ts";
import { type Batch, type ContextOptions, checkBatch } from "./context.ts";
import { checked, type Library, native } from "./library.ts";
import { checkArch, NativeModel } from "./model.ts";
import { Resource } from "./resource.ts";
import { check, EngineError, InvalidError } from "./status.ts";
import type { NativeTaps } from "./taps.ts";

/** What linear layers multiply. */
export type Compute = "f32" | "bf16";

/** A parameter of a model in training; see uffb_parameter_info. */
export type Parameter = Omit<ParameterInfo, "required" | "present" | "constant" | "trainable" | "decays"> & {
  required: boolean;
  present: boolean;
  constant: boolean;
  trainable: boolean;
  decays: boolean;
};

/** How a step counts; see uffb_train_step. What is left out is 0: a mean over this step's targets, without dropout. */
export type StepOptions = Partial<
  Omit<TrainStep, "sequences" | "targets" | "backward" | "causal" | "reserved">
> & {
  /** UFFB_HEAD_NONE, UFFB_HEAD_MLM, UFFB_HEAD_CLASS or UFFB_HEAD_VECTOR */
  head: number;
  causal?: boolean;
  /** False for the loss alone, without gradients. */
  backward?: boolean;
};

/** What the head predicts. */
export interface Targets {
  /** Token rows of the batch that the MLM head predicts, each at most once; absent for classification. */
  positions?: BigInt64Array | undefined;
  /**
   * Classes or token ids [targets] for UFFB_CROSS_ENTROPY (a negative one counts for nothing), vectors [targets, hidden] for
   * UFFB_HEAD_VECTOR, none for UFFB_HEAD_NONE, else [targets, classes]
   */
  targets: Int32Array | Float32Array;
  /** [targets], or absent for 1 */
  weights?: Float32Array | undefined;
  /** [classes], or absent for 1 */
  classWeights?: Float32Array | undefined;
}

/** Buffers of the caller that a step fills. */
export interface StepOutputs {
  taps?: NativeTaps | undefined;
  /** [targets]: each one's loss before weights */
  losses?: Float32Array | undefined;
  /** [targets, classes] */
  logits?: Float32Array | undefined;
  /** Final states [tokens, hidden] computed before: the encoder is left out, and only the head is trained. */
  final?: Float32Array | undefined;
}

type LongCall = "uffb_trainer_step" | "uffb_trainer_fit" | "uffb_trainer_update";
type Rest<F> = F extends (trainer: Handle | null, ...rest: infer R) => number ? R : never;

/**
 * A model in training: weights, gradients, moments, and the threads to compute with, one call at a time. The arrays given to a call must
 * not change until its promise settles.
 */
export class NativeTrainer extends Resource {
  readonly arch: Readonly<Arch>;
  #running = false;
  #compute: Compute = "f32";
  #model: NativeModel | undefined;

  /**
   * @param padding the id of the padding token, whose row gets no gradient where a text holds it; see uffb_trainer_new
   * @throws InvalidError naming the impossible field
   */
  constructor(arch: Readonly<Arch>, padding = -1) {
    checkArch(arch);
    const out: [Handle | null] = [null];
    checked((library) => library.uffb_trainer_new(arch, padding, out));
    super(out[0], (handle) => native().uffb_trainer_free(handle));
    this.arch = { ...arch };
  }

  /** Every parameter that a model of this shape can have. */
  parameters(): Parameter[] {
    const { handle } = this;
    const count = native().uffb_trainer_parameter_count(handle);
    return Array.from({ length: count }, (_, index) => {
      const info: Partial<ParameterInfo> = {};
      checked((library) => library.uffb_trainer_parameter_info(handle, index, info));
      const { required, present, constant, trainable, decays, ...rest } = info as ParameterInfo;
      return {
        ...rest,
        required: required !== 0,
        present: present !== 0,
        constant: constant !== 0,
        trainable: trainable !== 0,
        decays: decays !== 0,
      };
    });
  }

  /**
   * Copies `data` into the weight of `name`, or into what else `kind` says (UFFB_GRADIENT, UFFB_FIRST_MOMENT, UFFB_SECOND_MOMENT).
   * Before `ready`, weights say which optional parameters the model has.
   *
   * @throws InvalidError when name, size, dtype or layout do not fit
   */
  set(name: string, data: ArrayBufferView, dtype = UFFB_F32, layout = UFFB_ROWS, kind = UFFB_WEIGHT): void {
    const { handle } = this;
    this.#assertIdle();
    checked((library) => library.uffb_trainer_set(handle, kind, name, data, data.byteLength, dtype, layout));
  }

  /**
   * The weight of `name` in f32, or what else `kind` says: [rows, cols] in `layout`. Zeros for what is not trainable.
   *
   * @throws InvalidError when there is no such parameter or it was not set
   */
  get(name: string, kind = UFFB_WEIGHT, layout = UFFB_ROWS): Float32Array {
    const { handle } = this;
    this.#assertIdle();
    const info = this.parameters().find((one) => one.name === name);
    if (info === undefined) throw new InvalidError(`${name}: this model has no such parameter`);
    const bytes = native().uffb_tensor_bytes(info.rows, info.cols, UFFB_F32, layout);
    const data = new Float32Array(bytes / 4);
    checked((library) =>
      library.uffb_trainer_get(handle, kind, name, data, data.byteLength, UFFB_F32, layout),
    );
    return data;
  }

  /** The sum of the gradients since the last update; see `get`. */
  gradient(name: string, layout = UFFB_ROWS): Float32Array {
    return this.get(name, UFFB_GRADIENT, layout);
  }

  /**
   * Says, before `ready`, whether a parameter is trained and whether weight decay applies to it.
   *
   * @throws InvalidError
   */
  mark(name: string, { trainable, decays }: { trainable: boolean; decays: boolean }): void {
    const { handle } = this;
    checked((library) => library.uffb_trainer_mark(handle, name, Number(trainable), Number(decays)));
  }

  /**
   * Says, before `ready`, whether linear layers multiply f32, as they do unless told otherwise, or bf16; see uffb_trainer_compute.
   *
   * @throws InvalidError
   */
  multiply(compute: Compute): void {
    const { handle } = this;
    checked((library) => library.uffb_trainer_compute(handle, compute === "bf16" ? UFFB_BF16 : UFFB_F32));
    this.#compute = compute;
  }

  get compute(): Compute {
    return this.#compute;
  }

  /** Whether the instruction set multiplies bf16: if not, it is much slower than f32. Known when it is ready. */
  get multipliesBf16(): boolean {
    return native().uffb_trainer_multiplies_bf16(this.handle) !== 0;
  }

  /**
   * Bytes for steps of up to that size, before gradients and moments are allocated; see uffb_train_size.
   *
   * @throws InvalidError
   */
  memory(size: {
    sequences: number;
    tokens: number;
    longest: number;
    targets: number;
    threads: number;
    guided?: number;
    guidedHead?: number;
  }): TrainMemory {
    const { handle } = this;
    const memory: Partial<TrainMemory> = {};
    const whole = { guided: 0, guidedHead: 0, reserved: 0, ...size };
    checked((library) => library.uffb_trainer_memory(handle, whole, memory));
    return memory as TrainMemory;
  }

  /**
   * Makes room for gradients and moments.
   *
   * @throws InvalidError naming a required parameter that is missing; NoMemoryError
   */
  ready({ threads = 0, isa }: ContextOptions = {}): void {
    const { handle } = this;
    checked((library) => library.uffb_trainer_ready(handle, threads, isa ?? null));
  }

  get isa(): string {
    return native().uffb_trainer_isa(this.handle);
  }

  get threads(): number {
    return native().uffb_trainer_threads(this.handle);
  }

  /**
   * Runs a batch forward and, unless `backward` is false, backward, and adds to the gradients.
   *
   * @throws InvalidError when batch or targets are not well formed; CancelledError. Gradients are to be zeroed after either
   */
  async step(
    batch: Batch,
    targets: Targets,
    options: StepOptions,
    out: StepOutputs = {},
  ): Promise<TrainResult> {
    const { offsets, ids, types } = batch;
    if (out.final === undefined) checkBatch(batch);
    const sequences = offsets.length - 1;
    const { head, loss = UFFB_CROSS_ENTROPY } = options;
    const count =
      head === UFFB_HEAD_NONE ? 0 : head === UFFB_HEAD_MLM ? (targets.positions?.length ?? 0) : sequences;
    this.#checkTargets(targets, loss, count, head, Number(offsets.at(-1)), out);
    const step: TrainStep = {
      loss: UFFB_CROSS_ENTROPY,
      scale: 0,
      labelSmoothing: 0,
      embeddingDropout: 0,
      attentionDropout: 0,
      blockDropout: 0,
      headDropout: 0,
      seed: 0,
      counter: 0,
      pooling: 0,
      reserved: 0,
      similarity: 0,
      branchNoise: 0,
      temperature: 0,
      ...options,
      sequences,
      targets: count,
      causal: Number(options.causal ?? false),
      backward: Number(options.backward ?? true),
    };
    const result: Partial<TrainResult> = {};
    const release = out.taps?.hold();
    try {
      await this.#call(
        "uffb_trainer_step",
        step,
        offsets,
        out.final === undefined ? ids : null,
        types ?? null,
        out.final ?? null,
        targets.positions ?? null,
        targets.targets,
        targets.weights ?? null,
        targets.classWeights ?? null,
        out.taps?.handle ?? null,
        result,
        out.losses ?? null,
        out.logits ?? null,
      );
    } finally {
      release?.();
    }
    return result as TrainResult;
  }

  /**
   * Asks the next step to pull states, or attention, towards others: its `guided` gets `weight` times the mean of squared differences, or
   * of divergences.
   *
   * @param kind UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER or UFFB_TAP_FINAL, or UFFB_TAP_QK for attention
   * @param states [tokens, width] of the batch; copied
   * @throws InvalidError when there is no such place, it has another width, or it has a guide already
   */
  guide(kind: number, layer: number, weight: number, states: Float32Array, width = this.arch.hidden): void {
    const { handle } = this;
    this.#assertIdle();
    const tokens = states.length / width;
    if (!Number.isInteger(tokens))
      throw new InvalidError(`states of ${states.length} elements are no rows of ${width}`);
    checked((library) => library.uffb_trainer_guide(handle, kind, layer, weight, states, tokens, width));
  }

  /**
   * Fits the feedforward half of a layer of a post-norm model alone: what it makes of `input` to `output`, behind `norm2`, [tokens, hidden]
   * each. Adds to its gradients, unless `backward` is false.
   *
   * @returns the mean squared difference
   * @throws InvalidError when there is no such half; CancelledError
   */
  async fit(
    layer: number,
    { input, output }: { input: Float32Array; output: Float32Array },
    { backward = true }: { backward?: boolean } = {},
  ): Promise<number> {
    const { hidden } = this.arch;
    if (input.length !== output.length || input.length % hidden !== 0)
      throw new InvalidError(
        `states of ${input.length} and ${output.length} elements are no rows of ${hidden}`,
      );
    const result: Partial<TrainResult> = {};
    const tokens = input.length / hidden;
    await this.#call("uffb_trainer_fit", layer, tokens, input, output, 1, Number(backward), result);
    return result.guided!;
  }

  /**
   * One step of AdamW; then the gradients are zero.
   *
   * @throws InvalidError
   */
  async update(adamw: Readonly<Adamw>): Promise<UpdateResult> {
    const result: Partial<UpdateResult> = {};
    await this.#call("uffb_trainer_update", adamw, result);
    return result as UpdateResult;
  }

  zeroGradients(): void {
    const { handle } = this;
    this.#assertIdle();
    checked((library) => library.uffb_trainer_zero_gradients(handle));
  }

  /** Updates made so far; set when a run is resumed. */
  get updates(): number {
    return native().uffb_trainer_updates(this.handle);
  }

  set updates(updates: number) {
    const { handle } = this;
    this.#assertIdle();
    checked((library) => library.uffb_trainer_set_updates(handle, updates));
  }

  /**
   * The weights as they are now, for contexts that evaluate between updates. It is the same model every time, and lives as long as the
   * trainer: ask again after a step or an update, before a context of it is used.
   */
  model(): NativeModel {
    const { handle } = this;
    this.#assertIdle();
    const out: [Handle | null] = [null];
    checked((library) => library.uffb_trainer_model(handle, out));
    this.#model ??= new NativeModel(this.arch, { handle: out[0], release: this.hold() });
    return this.#model;
  }

  /**
   * Tokens that came to each node of a layer's trees, [trees, nodes], in the steps since the last `clearVisits`.
   *
   * @throws InvalidError
   */
  visits(layer: number): BigInt64Array {
    const { handle, arch } = this;
    this.#assertIdle();
    const visits = new BigInt64Array(arch.trees * (2 ** (arch.depth + 1) - 1));
    checked((library) => library.uffb_trainer_visits(handle, layer, visits));
    return visits;
  }

  /**
   * After an update: moves the bias of each inner node of trees by at most `rate`, so that as many tokens go either way; see
   * uffb_trainer_balance.
   *
   * @throws InvalidError of a model without trees
   */
  balance(rate: number): void {
    const { handle } = this;
    this.#assertIdle();
    checked((library) => library.uffb_trainer_balance(handle, rate));
  }

  clearVisits(): void {
    const { handle } = this;
    this.#assertIdle();
    checked((library) => library.uffb_trainer_clear_visits(handle));
  }

  /** Stops the running step, or else the next one, with CancelledError. Does nothing after the trainer was disposed of. */
  cancel(): void {
    if (!this.disposed) check(native().uffb_trainer_cancel(this.handle), () => "the engine could not cancel");
  }

  /** A step that still runs is stopped. */
  override [Symbol.dispose](): void {
    if (this.#running) this.cancel();
    this.#model?.[Symbol.dispose]();
    super[Symbol.dispose]();
  }

  #assertIdle(): void {
    if (this.#running) throw new EngineError("a trainer runs one call at a time; another one is running");
  }

  #checkTargets(
    { targets, weights, classWeights }: Targets,
    loss: number,
    count: number,
    head: number,
    tokens: number,
    { losses, logits, final }: StepOutputs,
  ): void {
    const { vocab, hidden, labels } = this.arch;
    const classes = head === UFFB_HEAD_MLM ? vocab : head === UFFB_HEAD_VECTOR ? hidden : labels;
    const whole = loss === UFFB_CROSS_ENTROPY;
    if (head !== UFFB_HEAD_NONE && whole !== targets instanceof Int32Array) {
      throw new InvalidError(`loss ${loss} wants targets as ${whole ? "an Int32Array" : "a Float32Array"}`);
    }
    const sizes: [string, { length: number } | undefined, number][] = [
      ["targets", targets, whole ? count : count * classes],
      ["weights", weights, count],
      ["classWeights", classWeights, classes],
      ["losses", losses, count],
      ["logits", logits, count * classes],
      ["final", final, tokens * this.arch.hidden],
    ];
    for (const [name, array, want] of sizes) {
      if (array !== undefined && array.length !== want) {
        throw new InvalidError(`${name} has ${array.length} elements, and this step needs ${want}`);
      }
    }
  }

  /** `args` holds every buffer until the other thread is done with it. */
  async #call<N extends LongCall>(name: N, ...args: Rest<Library[N]>): Promise<void> {
    const { handle } = this;
    this.#assertIdle();
    const release = this.hold();
    this.#running = true;
    try {
      const call = native()[name] as (trainer: Handle, ...rest: unknown[]) => number;
      const status = await callAsync(call, handle, ...args);
      check(status, () => native().uffb_trainer_error(handle));
    } finally {
      this.#running = false;
      release();
    }
  }
}
