import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Arch, UFFB_FFN_DENSE, UFFB_FFN_FFF } from "../../../ffi/bindings.ts";
import type { CudaDtype } from "../../../ffi/cuda.ts";
import type { NativeModel } from "../../../ffi/model.ts";
import { UffbError, UsageError } from "../../base/errors.ts";
import { formatBytes } from "../../base/numbers.ts";
import { Temporary } from "../../base/temporary.ts";
import { convertModel, type WeightDtype } from "../../convert/convert.ts";
import { openCheckpoint } from "../../files/checkpoint.ts";
import { type Model, openModel } from "../../model/model.ts";
import { availableMemory } from "../measure/machine.ts";
import { PRESET_NAMES, preset, shapeName } from "../measure/presets.ts";
import { encoderArch, modelBytes, randomModel } from "./random-model.ts";

export type Dtype = "f32" | "int8";

const WEIGHTS = { f32: "F32", int8: "I8" } as const satisfies Record<Dtype, WeightDtype>;

/** A model under test. Models are compared with the `dense` one of their dtype. */
export interface Runner {
  name: string;
  model: NativeModel;
  dtype: Dtype | CudaDtype;
  dense: boolean;
  /** Weights of a checkpoint, not random ones. */
  trained: boolean;
}

export interface Runners extends Disposable {
  runners: readonly Runner[];
}

/** The same model with dense feedforward layers, four times as wide as the hidden size. */
const denseArch = (arch: Readonly<Arch>): Arch => ({
  ...arch,
  feedforward: UFFB_FFN_DENSE,
  width: 4 * arch.hidden,
  trees: 0,
  depth: 0,
  treeOutput: 0,
});

/** Whether a checkpoint is compared with a dense model: one of trees, or one without feedforward layers. */
const hasControl = ({ feedforward, width }: Readonly<Arch>) => feedforward === UFFB_FFN_FFF || width === 0;

/** Shapes of the random models that stand for a preset. */
function presetArchs(name: string): Arch[] {
  const arch = encoderArch(preset(name));
  return arch.feedforward === UFFB_FFN_FFF ? [arch, denseArch(arch)] : [arch];
}

/**
 * Checks a model before anything is measured.
 *
 * @throws UffbError when it cannot be opened, or needs more memory than is free; UsageError when it is too short for a length, or a
 * checkpoint in integers is wanted in f32
 */
export async function checkModels(
  name: string,
  dtypes: readonly Dtype[] | undefined,
  lengths: readonly number[],
): Promise<void> {
  let longest: number;
  let bytes = 0;
  if (PRESET_NAMES.includes(name)) {
    const archs = presetArchs(name);
    longest = archs[0]!.maxLength;
    bytes = archs.reduce((sum, arch) => sum + modelBytes(arch), 0) * (dtypes?.length ?? 1);
  } else {
    using model = await openModel(name);
    const { arch } = model.native;
    const own = dtypeOf(model.native);
    if (own === "int8" && dtypes?.includes("f32")) {
      throw new UsageError(
        `--dtype f32: ${name} is stored in int8, which lost the exact weights; name the checkpoint it was made from`,
      );
    }
    longest = arch.maxLength;
    const wanted = dtypes ?? [own];
    if (hasControl(arch)) bytes = modelBytes(denseArch(arch)) * wanted.length;
    bytes += modelBytes(arch) * wanted.filter((dtype) => dtype !== own).length;
  }
  const tooLong = lengths.find((length) => length > longest);
  if (tooLong !== undefined) {
    throw new UsageError(`--length ${tooLong}: ${name} takes ${longest} tokens; choose 1 to ${longest}`);
  }
  if (bytes > availableMemory()) {
    throw new UffbError(
      `the models of ${name} need ${formatBytes(bytes)}, and ${formatBytes(availableMemory())} are free; choose a smaller one`,
    );
  }
}

/**
 * Opens a preset as models of its shape with random weights, or the checkpoint at a path, in each dtype: by default f32 and what the
 * checkpoint is stored in. Each gets a dense model to compare with, which differs in its feedforward layers only.
 */
export async function openRunners(name: string, dtypes?: readonly Dtype[]): Promise<Runners> {
  const opened: Disposable[] = [];
  const runners: Runner[] = [];
  const random = (arch: Arch, dtype: Dtype, like?: NativeModel) => {
    const model = randomModel(arch, dtype, like);
    opened.push(model);
    runners.push({
      name: shapeName(arch),
      model,
      dtype,
      dense: arch.feedforward === UFFB_FFN_DENSE && arch.width > 0,
      trained: false,
    });
  };
  const runnersOf: Runners = {
    runners,
    [Symbol.dispose]() {
      for (const one of opened) one[Symbol.dispose]();
    },
  };
  try {
    if (PRESET_NAMES.includes(name)) {
      for (const dtype of dtypes ?? (["f32"] as const))
        for (const arch of presetArchs(name)) random(arch, dtype);
    } else {
      const model = await openModel(name);
      opened.push(model);
      const own = dtypeOf(model.native);
      for (const dtype of dtypes ?? [own]) {
        const { native } = dtype === own ? model : await openConverted(name, dtype);
        opened.push(native);
        runners.push({ name, model: native, dtype, dense: false, trained: true });
        if (hasControl(native.arch)) random(denseArch(native.arch), dtype, native);
      }
    }
    return runnersOf;
  } catch (error) {
    runnersOf[Symbol.dispose]();
    throw error;
  }
}

function dtypeOf(model: NativeModel): Dtype {
  const integers = model.tensors().some(({ name, present }) => present && name.endsWith(".weight.scale"));
  return integers ? "int8" : "f32";
}

/** The checkpoint as `convert --dtype` stores it, in a file that is gone when the model is open. */
async function openConverted(name: string, dtype: Dtype): Promise<Model> {
  using file = new Temporary(join(tmpdir(), "bench.uffb.safetensors"));
  await convertModel(openCheckpoint(name), file.path, { to: "packed", dtype: WEIGHTS[dtype] });
  return await openModel(file.path);
}
