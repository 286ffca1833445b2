/** From a label for each token to entities, as the token-classification pipeline of `transformers` groups them. */
import { largest } from "../base/numbers.ts";
import type { Span } from "../text/tokenizer/spans.ts";
import type { Tokenizer } from "../text/tokenizer/tokenizer.ts";
import type { Prepared } from "./prepare.ts";

/**
 * none: each token by itself. simple: neighbours of one kind together. The others first give all tokens of a word one label: its first
 * token's, that of the largest average, or that of its surest token.
 */
export const AGGREGATIONS = ["none", "simple", "first", "average", "max"] as const;
export type Aggregation = (typeof AGGREGATIONS)[number];

export interface Entity {
  /** Of a token, as the model has it ("B-PER"); of a group without what tells beginnings ("PER"). */
  label: string;
  /** Of a group, the mean. */
  probability: number;
  /** From the first to behind the last character, in code points of the text; absent for token ids. */
  start?: number;
  end?: number;
  /** What the user wrote there; for token ids the tokens' spellings. */
  word: string;
  /** With "none", the token's row. */
  index?: number;
}

/** What marks a token that is part of nothing. */
const OUTSIDE = "O";

/** A token, or a word, and how probable each label is for it. */
interface Unit {
  index: number;
  span: Span | undefined;
  spelling: string;
  probabilities: readonly number[];
  /** It goes on with the word before it. */
  continues: boolean;
}

interface Labelled {
  unit: Unit;
  label: string;
  probability: number;
}

export interface EntityOptions {
  labels: readonly string[];
  tokenizer: Tokenizer | undefined;
  aggregate: Aggregation;
}

/** @param probabilities of each label, by token row */
export function entitiesOf(
  prepared: Prepared,
  probabilities: readonly (readonly number[])[],
  { labels, tokenizer, aggregate }: EntityOptions,
): Entity[] {
  const units = unitsOf(prepared, probabilities, tokenizer);
  const text = prepared.item.ids ? undefined : [...prepared.item.text];
  const labelled = wordsOf(units, aggregate).map((unit): Labelled => {
    const best = bestOf(unit.probabilities);
    return { unit, label: labels[best]!, probability: unit.probabilities[best]! };
  });
  const groups = aggregate === "none" ? labelled.map((one) => [one]) : grouped(labelled);
  return groups.flatMap((group) => {
    const [first] = group as [Labelled];
    const label = aggregate === "none" ? first.label : kindOf(first.label);
    if (label === OUTSIDE) return [];
    const start = first.unit.span?.[0];
    const end = group.at(-1)!.unit.span?.[1];
    return {
      label,
      probability: group.reduce((sum, { probability }) => sum + probability, 0) / group.length,
      ...(start !== undefined && end !== undefined && { start, end }),
      word: text ? text.slice(start, end).join("") : group.map(({ unit }) => unit.spelling).join(" "),
      ...(aggregate === "none" && { index: first.unit.index }),
    };
  });
}

/** The text's own tokens: a template's have no entity. */
function unitsOf(
  { item, ids, dropped }: Prepared,
  probabilities: readonly (readonly number[])[],
  tokenizer: Tokenizer | undefined,
): Unit[] {
  const spans = item.ids || !tokenizer ? undefined : tokenizer.spans(item.text, ids.length, dropped);
  const points = item.ids ? [] : [...item.text];
  return Array.from(ids).flatMap((id, index) => {
    const span = spans?.[index];
    if (spans ? span === undefined : tokenizer?.isSpecial(id)) return [];
    const spelling = tokenizer?.token(id) ?? String(id);
    const continues = span !== undefined && tokenizer!.continues(id, span, points);
    return { index, span, spelling, probabilities: probabilities[index]!, continues };
  });
}

function wordsOf(units: Unit[], aggregate: Aggregation): Unit[] {
  if (aggregate === "none" || aggregate === "simple") return units;
  const words: Unit[][] = [];
  for (const unit of units) {
    if (unit.continues && words.length > 0) words.at(-1)!.push(unit);
    else words.push([unit]);
  }
  return words.map((word) => {
    const [first] = word as [Unit];
    const end = word.at(-1)!.span?.[1];
    return {
      ...first,
      span: first.span && end !== undefined ? [first.span[0], end] : undefined,
      probabilities: agreed(word, aggregate),
    };
  });
}

function agreed(
  word: readonly Unit[],
  aggregate: Exclude<Aggregation, "none" | "simple">,
): readonly number[] {
  const [first] = word as [Unit];
  switch (aggregate) {
    case "first":
      return first.probabilities;
    case "average":
      return first.probabilities.map(
        (_, label) => word.reduce((sum, unit) => sum + unit.probabilities[label]!, 0) / word.length,
      );
    case "max":
      return word.reduce((best, unit) =>
        largest(unit.probabilities) > largest(best.probabilities) ? unit : best,
      ).probabilities;
  }
}

/** Neighbours of one kind, unless a label says that the second begins anew. */
function grouped(labelled: readonly Labelled[]): Labelled[][] {
  const groups: Labelled[][] = [];
  for (const one of labelled) {
    const last = groups.at(-1)?.at(-1);
    const goesOn = last && tagOf(last.label) === tagOf(one.label) && !one.label.startsWith("B-");
    if (goesOn) groups.at(-1)!.push(one);
    else groups.push([one]);
  }
  return groups;
}

/** What two labels of one kind share: all but a first "B-" or "I-". */
function tagOf(label: string): string {
  return /^[BI]-/.test(label) ? label.slice(2) : label;
}

/** A group's name: all behind the first hyphen. */
function kindOf(label: string): string {
  const hyphen = label.indexOf("-");
  return hyphen < 0 ? label : label.slice(hyphen + 1);
}

function bestOf(probabilities: readonly number[]): number {
  return probabilities.reduce((best, value, i) => (value > probabilities[best]! ? i : best), 0);
}
