/** A checkpoint as something to train: its weights as they are, in a trainer. */
import { type Arch, UFFB_HEAD_CLASS } from "../../ffi/bindings.ts";
import { NativeTrainer, type Parameter } from "../../ffi/train.ts";
import { UffbError } from "../base/errors.ts";
import { quoted } from "../base/printable.ts";
import type { Checkpoint } from "../files/checkpoint.ts";
import type { StoredTensor } from "../files/safetensors/safetensors.ts";
import { type Config, loadConfig, type ModelTask } from "./config.ts";
import { bindTensors, storedForms, WEIGHT_DTYPES } from "./roles.ts";

/** A classification head that a model is to have. */
export interface Head {
  task: Extract<ModelTask, "classification" | "multi-label" | "regression">;
  /** Of the classes; [] for regression. */
  labels: readonly string[];
}

export interface Trainable {
  config: Config;
  trainer: NativeTrainer;
  /** Parameters of the head that have no weights yet: give them some before `trainer.ready`. */
  fresh: Parameter[];
}

/** A weight's data, in the form in which a file has it. */
interface Given {
  data: Uint8Array;
  dtype: number;
  layout: number;
}

/**
 * Puts a checkpoint's weights into a trainer. With `head`, what it has of that head is kept (another task's last layer is not), and the
 * rest is fresh; without, it keeps the head it has.
 * @throws UffbError when the checkpoint does not fit its config, or its weights are integers
 */
export function openTrainable(checkpoint: Checkpoint, head?: Head): Trainable {
  const bound = bindTensors(loadConfig(checkpoint), checkpoint);
  bound.native[Symbol.dispose]();
  const { config } = bound;
  if (head === undefined && config.task === "tokens")
    throw new UffbError(`${checkpoint.source}: a head that classifies tokens cannot be trained yet`);
  const given = new Map<string, Given>();
  for (const { wanted, name, tensor, dtype, layout } of bound.bindings) {
    if (!Object.values(WEIGHT_DTYPES).includes(dtype)) {
      throw new UffbError(
        `${tensor.file}: tensor ${quoted(name)} is in integers, which cannot be trained; start from the original model`,
      );
    }
    given.set(wanted.name, { data: tensor.data, dtype, layout });
  }
  const own = head === undefined ? config : withHead(config, head);
  if (head !== undefined && !sameHead(config, head)) {
    given.delete("head.class.weight");
    given.delete("head.class.bias");
  }
  const trainer = new NativeTrainer(own.arch, own.padding);
  try {
    const fresh: Parameter[] = [];
    const stored = checkpoint.packed ? undefined : byPlainName(checkpoint, config);
    for (const parameter of trainer.parameters()) {
      const { name } = parameter;
      const weight = given.get(name) ?? (stored && spareHead(parameter, own, stored));
      if (weight) trainer.set(name, weight.data, weight.dtype, weight.layout);
      else if (head !== undefined && name.startsWith("head.")) fresh.push(parameter);
    }
    return { config: own, trainer, fresh };
  } catch (error) {
    trainer[Symbol.dispose]();
    throw error;
  }
}

function withHead(config: Config, { task, labels }: Head): Config {
  const arch: Arch = {
    ...config.arch,
    labels: Math.max(labels.length, 1),
    headsPresent: UFFB_HEAD_CLASS,
    tied: 0,
  };
  return { ...config, task, arch, labels, names: Object.fromEntries(labels.entries()) };
}

function sameHead(config: Config, { task, labels }: Head): boolean {
  return config.task === task && config.labels.join("\n") === labels.join("\n");
}

/** A layer of the head that the checkpoint holds though its own task has no use for it: BERT's pooler. */
function spareHead(
  parameter: Parameter,
  config: Config,
  stored: ReadonlyMap<string, StoredTensor>,
): Given | undefined {
  if (!parameter.name.startsWith("head.pool.")) return undefined;
  const [form] = storedForms(config, parameter);
  const tensor = stored.get(form!.name);
  const dtype = tensor && WEIGHT_DTYPES[tensor.dtype];
  if (dtype === undefined || tensor!.shape.join() !== form!.shape.join()) return undefined;
  return { data: tensor!.data, dtype, layout: form!.layout };
}

function byPlainName({ tensors }: Checkpoint, { family }: Config): Map<string, StoredTensor> {
  return new Map([...tensors].map(([name, tensor]) => [family.rename?.(name) ?? name, tensor]));
}
