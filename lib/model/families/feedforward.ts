/** What a model's feedforward layers are, and the short names that commands and config.json have for them. */
import {
  type Arch,
  UFFB_FFN_DENSE,
  UFFB_FFN_FFF,
  UFFB_FFN_GLU,
  UFFB_TREES_ACTIVATE,
  UFFB_TREES_ACTIVATE_SUM,
  UFFB_TREES_LINEAR,
} from "../../../ffi/bindings.ts";
import { UsageError } from "../../base/errors.ts";

/** What a node puts out, where it is not its activation. */
export type TreeOutput = "linear" | "after";

/**
 * The feedforward layers: trees, perhaps with a dense layer of `dense` neurons beside them, a node putting out its activation or,
 * with `linear`, its logit or, with `after`, its logit, and the layer the activation of the sum of all trees; a dense layer; a gated one (`width` is that of its first matrix, of which half are gates); or none.
 */
export type Feedforward =
  | { kind: "trees"; trees: number; depth: number; dense?: number; output?: TreeOutput }
  | { kind: "dense" | "glu"; width: number }
  | { kind: "none" };

const TREES = /^(?:dense:(\d{1,7})\+)?(\d{1,6})x(\d{1,2})(?::(linear|after))?$/;

/**
 * Reads `1x11` (trees x depth), `1x11:linear` (whose nodes put out their logits), `1x11:after` (and the activation comes after their sum), `dense:192+1x11` (with a dense layer beside them),
 * `dense:3072`, `glu:3072` or `none`; undefined for anything else.
 */
export function readFeedforward(text: string): Feedforward | undefined {
  const [, dense, trees, depth, output] = TREES.exec(text) ?? [];
  if (Number(trees) > 0 && dense !== "0")
    return {
      kind: "trees",
      trees: Number(trees),
      depth: Number(depth),
      ...(dense && { dense: Number(dense) }),
      ...(output && { output: output as TreeOutput }),
    };
  const wide = /^(dense|glu):(\d{1,7})$/.exec(text);
  if (wide && Number(wide[2]) > 0) return { kind: wide[1] as "dense" | "glu", width: Number(wide[2]) };
  return text === "none" ? { kind: "none" } : undefined;
}

/** The same of a flag. @throws UsageError that names what it reads */
export function parseFeedforward(text: string): Feedforward {
  const found = readFeedforward(text);
  if (found !== undefined) return found;
  throw new UsageError(
    `--shape ${text}: give trees and their depth as 1x11, 1x11:linear, 1x11:after or dense:192+1x11, a dense layer as dense:3072, a gated one as glu:3072, or none`,
  );
}

/** As readFeedforward reads it. */
export function feedforwardName(feedforward: Feedforward): string {
  switch (feedforward.kind) {
    case "trees": {
      const { trees, depth, dense, output } = feedforward;
      return `${dense ? `dense:${dense}+` : ""}${trees}x${depth}${output ? `:${output}` : ""}`;
    }
    case "none":
      return "none";
    default:
      return `${feedforward.kind}:${feedforward.width}`;
  }
}

/** Neurons of a layer that a token passes. */
export function activeNeurons(feedforward: Feedforward): number {
  switch (feedforward.kind) {
    case "trees":
      return feedforward.trees * (feedforward.depth + 1) + (feedforward.dense ?? 0);
    case "dense":
      return feedforward.width;
    case "glu":
      return feedforward.width / 2;
    case "none":
      return 0;
  }
}

/** The fields of an architecture that say what its feedforward layers are. */
export type FeedforwardArch = Pick<Arch, "feedforward" | "width" | "trees" | "depth" | "treeOutput">;

export const NO_TREES = { trees: 0, depth: 0, treeOutput: UFFB_TREES_ACTIVATE };

const OUTPUTS = { linear: UFFB_TREES_LINEAR, after: UFFB_TREES_ACTIVATE_SUM };

export function feedforwardArch(feedforward: Feedforward): FeedforwardArch {
  switch (feedforward.kind) {
    case "trees": {
      const { trees, depth, dense = 0, output } = feedforward;
      const treeOutput = output === undefined ? UFFB_TREES_ACTIVATE : OUTPUTS[output];
      return { feedforward: UFFB_FFN_FFF, width: dense, trees, depth, treeOutput };
    }
    case "none":
      return { ...NO_TREES, feedforward: UFFB_FFN_DENSE, width: 0 };
    default: {
      const { kind, width } = feedforward;
      return { ...NO_TREES, feedforward: kind === "glu" ? UFFB_FFN_GLU : UFFB_FFN_DENSE, width };
    }
  }
}

/** Nodes of all trees of a layer, and their depth, as the engine counts them. */
const MAX_NODES = 2 ** 31 - 1;
export const MAX_DEPTH = 24;

/** Whether the engine can count the nodes of a layer's trees. */
export function canCount({ trees, depth }: { trees: number; depth: number }): boolean {
  return depth <= MAX_DEPTH && trees * (2 ** (depth + 1) - 1) <= MAX_NODES;
}
