import type { AddedToken } from "./added.ts";
import type { Templates } from "./template.ts";
import type { Vocabulary } from "./vocabulary.ts";

export interface SpecialToken {
  id: number;
  /** As the vocabulary spells it. */
  token: string;
}

/** The tokens that have a role. */
export interface Specials {
  pad?: SpecialToken;
  unk?: SpecialToken;
  cls?: SpecialToken;
  sep?: SpecialToken;
  mask?: SpecialToken;
}

const ROLES = ["pad", "unk", "cls", "sep", "mask"] as const;

/**
 * Which token has which role, from the first of these that says so: `named`, where null is for a role that no token has; the model
 * and the pair template, which know the unknown token and the tokens before the first and after the second text; the letters of a special token's
 * name ("[MASK]", "<mask>"). A role can have no token.
 */
export function findSpecials(
  named: Readonly<Record<string, string | null>>,
  unknown: string | undefined,
  templates: Templates,
  added: readonly AddedToken[],
  vocabulary: Vocabulary,
): Specials {
  const first = templates.pair[0];
  const last = templates.pair.at(-1);
  const structure: Partial<Record<(typeof ROLES)[number], number | undefined>> = {
    unk: unknown === undefined ? undefined : vocabulary.find(unknown),
    cls: first && "id" in first ? first.id : undefined,
    sep: last && "id" in last ? last.id : undefined,
  };
  const specials: Specials = {};
  for (const role of ROLES) {
    const spelling = named[role];
    if (spelling === null) continue;
    const id =
      (spelling === undefined ? undefined : vocabulary.find(spelling)) ??
      structure[role] ??
      added.find((token) => token.special && token.content.replace(/[^a-z]/gi, "").toLowerCase() === role)
        ?.id;
    if (id !== undefined) specials[role] = { id, token: vocabulary.tokens[id]! };
  }
  return specials;
}
