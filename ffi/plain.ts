import { type Arch, UFFB_QKV_BY_HEAD } from "./bindings.ts";

/** What most encoders do without: the fields of an architecture that say so. */
export const PLAIN = {
  headSize: 0,
  layerHeads: null,
  embedWidth: 0,
  distinctLayers: 0,
  relativeBuckets: 0,
  window: 0,
  globalEvery: 0,
  rotaryBase: 0,
  rotaryBaseLocal: 0,
  qkvOrder: UFFB_QKV_BY_HEAD,
  firstUnnormed: 0,
  poolNorm: 0,
} as const satisfies Partial<Arch>;
