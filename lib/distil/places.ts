/** Which of the teacher's states the student's are pulled towards. */
import { UFFB_TAP_EMBEDDING, UFFB_TAP_FINAL, UFFB_TAP_LAYER } from "../../ffi/bindings.ts";
import type { DistilRecipe } from "./recipe.ts";

/** One place in both models. */
export interface Place {
  /** UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER or UFFB_TAP_FINAL */
  kind: number;
  /** Of the student, and of the teacher. */
  layer: number;
  teacherLayer: number;
  weight: number;
}

/**
 * The teacher's layer that each of the student's stands for. Of a student that was made from the teacher, a layer stands for itself and those
 * left out behind it; layers of another one lie evenly among the teacher's. The last always stands for the last.
 * @param kept the teacher's layers that the student was made of, rising
 */
export function layerMap(student: number, teacher: number, kept?: readonly number[]): number[] {
  return Array.from({ length: student }, (_, layer) =>
    kept === undefined
      ? Math.max(0, Math.round(((layer + 1) * teacher) / student) - 1)
      : (kept[layer + 1] ?? teacher) - 1,
  );
}

/** The places that count. @param map see layerMap */
export function placesOf({ embedding, states, final }: DistilRecipe, map: readonly number[]): Place[] {
  const each = map.map((teacherLayer, layer) => ({
    kind: UFFB_TAP_LAYER,
    layer,
    teacherLayer,
    weight: states / map.length,
  }));
  return [
    { kind: UFFB_TAP_EMBEDDING, layer: 0, teacherLayer: 0, weight: embedding },
    ...each,
    { kind: UFFB_TAP_FINAL, layer: 0, teacherLayer: 0, weight: final },
  ].filter(({ weight }) => weight > 0);
}
