/** Which of the teacher's states, and of its layers' attention, the student's are pulled towards. */
import {
  type Arch,
  UFFB_TAP_EMBEDDING,
  UFFB_TAP_FINAL,
  UFFB_TAP_LAYER,
  UFFB_TAP_QK,
} from "../../ffi/bindings.ts";
import { UsageError } from "../base/errors.ts";
import { plural } from "../base/numbers.ts";
import { headCount } from "../model/families/heads.ts";
import type { Model } from "../model/model.ts";
import type { DistilRecipe } from "./recipe.ts";

/** One place in both models. */
export interface Place {
  /** UFFB_TAP_EMBEDDING, UFFB_TAP_LAYER or UFFB_TAP_FINAL, or UFFB_TAP_QK for attention */
  kind: number;
  /** Of the student, and of the teacher. */
  layer: number;
  teacherLayer: number;
  weight: number;
  /** Numbers a token that the teacher has there. */
  width: number;
}

type Sizes = Pick<Arch, "hidden" | "heads" | "headSize" | "layerHeads">;
type Attends = Sizes & Pick<Arch, "relativeBuckets" | "window">;

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
export function placesOf(
  { embedding, states, final, attention }: DistilRecipe,
  map: readonly number[],
  teacher: Sizes,
): Place[] {
  const { hidden: width, headSize } = teacher;
  const whole = { layer: 0, teacherLayer: 0, width };
  const layers = map.map((teacherLayer, layer) => ({ layer, teacherLayer }));
  return [
    { ...whole, kind: UFFB_TAP_EMBEDDING, weight: embedding },
    ...layers.map((own) => ({ ...own, kind: UFFB_TAP_LAYER, weight: states / map.length, width })),
    { ...whole, kind: UFFB_TAP_FINAL, weight: final },
    ...layers.map((own) => ({
      ...own,
      kind: UFFB_TAP_QK,
      weight: attention / map.length,
      width: 2 * headSize * headCount(teacher, own.teacherLayer),
    })),
  ].filter(({ weight }) => weight > 0);
}

/** What places hold for each token of a step, and the size of a head whose attention is compared; see uffb_train_size. */
export function guidedSize(
  places: readonly Place[],
  { headSize }: Sizes,
): { guided: number; guidedHead: number } {
  return {
    guided: places.reduce((sum, { width }) => sum + width, 0),
    guidedHead: places.some(({ kind }) => kind === UFFB_TAP_QK) ? headSize : 0,
  };
}

/** The flags without which states are not compared. */
const NO_STATES = "--states 0 --embedding 0 --final 0";

/** One of the models that are compared, and what messages call it. */
export type Compares = Pick<Model, "source"> & { arch: Attends };

/**
 * Checks that a student has at each place what its teacher has.
 * @throws UsageError naming the flags to leave out
 */
export function checkPlaces(
  places: readonly Place[],
  student: Compares & { sameTokens: boolean },
  teacher: Compares,
): void {
  const attends = places.filter(({ kind }) => kind === UFFB_TAP_QK);
  const hasStates = attends.length < places.length;
  const flags = [...(hasStates ? [NO_STATES] : []), ...(attends.length > 0 ? ["--attention 0"] : [])].join(
    " ",
  );
  if (places.length > 0 && !student.sameTokens)
    throw new UsageError(
      `${student.source} reads other tokens than its teacher, so that ${hasStates ? "their states" : "their attention"} cannot be compared; add ${flags}`,
    );
  if (hasStates && student.arch.hidden !== teacher.arch.hidden)
    throw new UsageError(
      `${student.source} has states of ${student.arch.hidden} numbers, and its teacher of ${teacher.arch.hidden}, so that they cannot be compared; add ${NO_STATES}`,
    );
  if (attends.length > 0 && (teacher.arch.relativeBuckets > 0 || teacher.arch.window > 0))
    throw new UsageError(
      `${teacher.source} attends by distance or within windows, too, so that its attention cannot be compared; add --attention 0`,
    );
  for (const { layer, teacherLayer } of attends) {
    const own = headCount(student.arch, layer);
    const theirs = headCount(teacher.arch, teacherLayer);
    if (own !== theirs)
      throw new UsageError(
        `layer ${layer} of ${student.source} has ${plural(own, "head")}, and layer ${teacherLayer} of its teacher, which it is to attend like, ${theirs}; add --attention 0`,
      );
  }
}
