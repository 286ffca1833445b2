/** What is fuzzed: for each kind of file, honest ones to start from and everything uffb does with one that a stranger sent. */
import { BENCH } from "./targets/bench.ts";
import type { Target } from "./targets/common.ts";
import { DATA } from "./targets/data.ts";
import { HUB } from "./targets/hub.ts";
import { MODELS } from "./targets/models.ts";
import { TEXT } from "./targets/text.ts";
import { TOKENIZER } from "./targets/tokenizer.ts";
import { TRAIN } from "./targets/train.ts";

export type { Target } from "./targets/common.ts";

export const TARGETS: Readonly<Record<string, Target>> = {
  ...MODELS,
  ...TOKENIZER,
  ...TEXT,
  ...DATA,
  ...TRAIN,
  ...HUB,
  ...BENCH,
};
