/** Reference models as PyTorch's own files, forged. */

import type { Tensors } from "./folders.ts";
import { checkpoint, legacy, op, storage, tensor } from "./forge.ts";

/** Strides of a row-major tensor. */
function strides(shape: readonly number[]): number[] {
  return shape.map((_, d) => shape.slice(d + 1).reduce((product, n) => product * n, 1));
}

function objects(tensors: Tensors): Uint8Array {
  return op.dict(
    ...[...tensors].flatMap(([name, { shape, data }], i) => {
      return [op.text(name), tensor(storage(`${i}`, data.length / 4), 0, shape, strides(shape))];
    }),
  );
}

/** F32 tensors as torch.save writes them, a storage each. */
export function zipPickle(tensors: Tensors): Uint8Array {
  const storages = [...tensors.values()].map(({ data }, i) => [`${i}`, data] as const);
  return checkpoint(objects(tensors), Object.fromEntries(storages));
}

/** The same, as before PyTorch 1.6. */
export function legacyPickle(tensors: Tensors): Uint8Array {
  const storages = [...tensors.values()].map(({ data }, i): [string, number, Uint8Array] => {
    return [`${i}`, data.length / 4, data];
  });
  return legacy(objects(tensors), { storages });
}

/** Matrices lie in the file in columns, so that they have to be gathered. */
export function transposedPickle(tensors: Tensors): Uint8Array {
  const storages: Record<string, Uint8Array> = {};
  const items = [...tensors].flatMap(([name, { shape, data }], i) => {
    storages[`${i}`] = data;
    let steps = strides(shape);
    const [rows, cols] = shape;
    if (shape.length === 2 && rows! > 1 && cols! > 1) {
      const from = new Float32Array(data.slice().buffer);
      const to = from.map((_, at) => from[(at % rows!) * cols! + Math.floor(at / rows!)]!);
      storages[`${i}`] = new Uint8Array(to.buffer);
      steps = [1, rows!];
    }
    return [op.text(name), tensor(storage(`${i}`, data.length / 4), 0, shape, steps)];
  });
  return checkpoint(op.dict(...items), storages);
}
