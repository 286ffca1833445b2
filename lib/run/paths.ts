import { type Arch, UFFB_FFN_FFF, UFFB_TAP_PATH } from "../../ffi/bindings.ts";
import type { Batch, NativeContext } from "../../ffi/context.ts";
import { NativeTaps } from "../../ffi/taps.ts";

/** Numbers of a token's paths in one layer: a node for each level of each tree. */
export const pathWidth = ({ trees, depth }: Arch): number => trees * (depth + 1);

/**
 * Encodes a batch and gives each layer's paths: [tokens, trees, depth + 1] nodes, of which node 0 is the root and node n has the children
 * 2n+1 and 2n+2. A model without trees has none: [].
 *
 * @throws as NativeContext.encode does
 */
export async function encodePaths(context: NativeContext, arch: Arch, batch: Batch): Promise<Int32Array[]> {
  const paths: Int32Array[] = [];
  using taps = new NativeTaps();
  for (let layer = 0; layer < arch.layers && arch.feedforward === UFFB_FFN_FFF; layer++) {
    const nodes = new Int32Array(batch.ids.length * pathWidth(arch));
    taps.add(UFFB_TAP_PATH, layer, nodes);
    paths.push(nodes);
  }
  await context.encode(batch, taps);
  return paths;
}
