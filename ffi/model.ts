import { type Arch, type Handle, type TensorInfo, UFFB_I8, UFFB_I16 } from "./bindings.ts";
import { checked, native } from "./library.ts";
import { Resource } from "./resource.ts";
import { InvalidError } from "./status.ts";

/** A tensor a model can hold; see uffb_tensor_info. */
export type Tensor = Omit<TensorInfo, "required" | "present" | "reserved"> & {
  required: boolean;
  present: boolean;
};

/** @throws InvalidError where the library would read behind an array's end */
export function checkArch({ layers, layerHeads }: Readonly<Arch>): void {
  if (layerHeads !== null && layerHeads.length !== layers)
    throw new InvalidError(`layerHeads has ${layerHeads.length} numbers for ${layers} layers`);
}

/** The read-only tensors of a model, shared by any number of contexts. */
export class NativeModel extends Resource {
  readonly arch: Readonly<Arch>;
  /** Memory that the library uses in place. */
  readonly #data: ArrayBufferView[] = [];
  /** See `guard`. */
  #check: (() => void) | undefined;
  /** The layout that each tensor is wanted in. */
  #layouts: ReadonlyMap<string, number> | undefined;

  /**
   * @param borrowed a model of the library's that something else owns, and what to call when this one is no longer used
   *
   * @throws InvalidError naming the impossible field
   */
  constructor(arch: Readonly<Arch>, borrowed?: { handle: Handle | null; release: () => void }) {
    checkArch(arch);
    const out: [Handle | null] = [borrowed?.handle ?? null];
    if (borrowed === undefined) checked((library) => library.uffb_model_new(arch, out));
    super(out[0], borrowed?.release ?? ((handle) => native().uffb_model_free(handle)));
    this.arch = { ...arch };
  }

  /** Every tensor that a model of this shape can hold, with the shape and layout it is wanted in. */
  tensors(): Tensor[] {
    const { handle } = this;
    const count = native().uffb_model_tensor_count(handle);
    return Array.from({ length: count }, (_, index) => {
      const info: Partial<TensorInfo> = {};
      checked((library) => library.uffb_model_tensor_info(handle, index, info));
      const { name, rows, cols, layout, required, present } = info as TensorInfo;
      return { name, rows, cols, layout, required: required !== 0, present: present !== 0 };
    });
  }

  /**
   * Gives the tensor `name` as the bytes of `data`, UFFB_F32 or another dtype, in UFFB_ROWS or another layout. Integers, and
   * what is in the layout that `tensors` asks for, may be used in place: they must not change as long as the model lives.
   *
   * @throws InvalidError when name, size, dtype or layout do not fit
   */
  set(name: string, data: ArrayBufferView, dtype: number, layout: number): void {
    const { handle } = this;
    checked((library) => library.uffb_model_tensor_set(handle, name, data, data.byteLength, dtype, layout));
    this.#layouts ??= new Map(this.tensors().map((tensor) => [tensor.name, tensor.layout]));
    if (dtype === UFFB_I8 || dtype === UFFB_I16 || layout === this.#layouts.get(name)) this.#data.push(data);
  }

  /** Has each call of a context over this model end with `check`, which throws where the memory used in place has changed. */
  guard(check: () => void): void {
    this.#check = check;
  }

  /** @throws what the guard throws */
  checkMemory(): void {
    this.#check?.();
  }

  /** @throws InvalidError naming the first required tensor that is missing */
  ready(): void {
    const { handle } = this;
    checked((library) => library.uffb_model_ready(handle));
  }
}
