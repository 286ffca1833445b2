import { UsageError } from "../../base/errors.ts";

/** A feedforward layer's shape: `trees` trees of `depth`, a dense layer of `width`, both side by side, or, all 0, none. */
export interface LayerShape {
  hidden: number;
  trees: number;
  depth: number;
  width: number;
}

const fff = (trees: number, depth: number, hidden = 768): LayerShape => ({ hidden, trees, depth, width: 0 });
const dense = (width: number, hidden = 768): LayerShape => ({ hidden, trees: 0, depth: 0, width });

/** UltraFastBERT's architectures (arXiv 2311.10770, table 1), trees x depth, at BERT-base's hidden size. */
export const PAPER = [
  [3072, 0],
  [1536, 1],
  [512, 2],
  [256, 3],
  [128, 4],
  [64, 5],
  [32, 6],
  [16, 7],
  [8, 8],
  [4, 9],
  [2, 10],
  [1, 11],
] as const;

/**
 * Speed-ups of its layer 1x11 on a CPU, hidden 768 (arXiv 2311.10770, table 2): against a dense layer of 4,095 neurons made of the same
 * BLAS calls, Level 2; against the fastest dense layer, of 3,072 neurons at Level 3; and what arithmetic allows, 4,095 by 12.
 */
export const PAPER_SPEEDUPS = { sameLevel: 255, fastestDense: 78, limit: 341 } as const;

const PRESETS: Readonly<Record<string, LayerShape>> = {
  ...Object.fromEntries(PAPER.map(([trees, depth]) => [`${trees}x${depth}`, fff(trees, depth)])),
  "bert-base": dense(3072),
  "bert-base-4095": dense(4095),
  // The paper's outlook: GPT-3's feedforward layers as one tree.
  gpt3: fff(1, 15, 12_288),
  "gpt3-dense": dense(49_152, 12_288),
};

export const PRESET_NAMES: readonly string[] = Object.keys(PRESETS);

/** @throws UsageError listing the names */
export function preset(name: string): LayerShape {
  const shape = PRESETS[name];
  if (!Object.hasOwn(PRESETS, name) || shape === undefined) {
    throw new UsageError(`unknown preset ${name}; there are ${PRESET_NAMES.join(", ")}, and all`);
  }
  return shape;
}

/** The paper's twelve, in its order. */
export const PAPER_SHAPES: readonly LayerShape[] = PAPER.map(([trees, depth]) => fff(trees, depth));

export function shapeName({ trees, depth, width }: LayerShape): string {
  if (trees === 0) return width > 0 ? `dense ${width}` : "none";
  return width > 0 ? `dense ${width} + ${trees}x${depth}` : `${trees}x${depth}`;
}

/** Neurons of the layer, and how many of them a token uses. */
export function neurons({ trees, depth, width }: LayerShape): { all: number; used: number } {
  return trees > 0
    ? { all: trees * (2 ** (depth + 1) - 1) + width, used: trees * (depth + 1) + width }
    : { all: width, used: width };
}
