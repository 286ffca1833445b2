import { UFFB_FFN_FFF, UFFB_TAP_FFN_INPUT } from "../../../ffi/bindings.ts";
import { NativeContext } from "../../../ffi/context.ts";
import { NativeTaps } from "../../../ffi/taps.ts";
import { UffbError } from "../../base/errors.ts";
import type { Model } from "../../model/model.ts";
import type { RealPaths } from "./parts.ts";

/** Most tokens taken of a text. */
const TOKENS = 4096;

/**
 * What a trained model's middle layer reads when the model reads texts, one a line: its weights and inputs for a bench.
 *
 * @throws UffbError for a model without trees or tokenizer, and for texts without tokens
 */
export async function readRealPaths(model: Model, texts: Iterable<string>): Promise<RealPaths> {
  const { arch } = model.native;
  if (arch.feedforward !== UFFB_FFN_FFF) {
    throw new UffbError(`${model.source}: has no trees, so no paths; name a model with FFF layers`);
  }
  const tokenizer = model.tokenizer();
  const ids: number[] = [];
  const offsets = [0n];
  for (const text of texts) {
    if (ids.length >= TOKENS) break;
    ids.push(...tokenizer.encode(text, { maxLength: arch.maxLength }).ids);
    if (BigInt(ids.length) > offsets.at(-1)!) offsets.push(BigInt(ids.length));
  }
  if (ids.length === 0) throw new UffbError("the text has no tokens; give one with words in it");
  const layer = Math.floor(arch.layers / 2);
  const input = new Float32Array(ids.length * arch.hidden);
  using taps = new NativeTaps();
  taps.add(UFFB_TAP_FFN_INPUT, layer, input);
  using context = new NativeContext(model.native);
  await context.encode({ offsets: BigInt64Array.from(offsets), ids: Int32Array.from(ids) }, taps);
  return { model: model.native, layer, input, name: `real (layer ${layer})` };
}
