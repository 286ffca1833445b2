/** Names that columns of texts commonly have. */

/** First and second text of a pair, the commonest names first. Where the second is absent, the first stands alone. */
const TEXTS: readonly (readonly string[])[] = [
  ["sentence1", "sentence2"],
  ["question1", "question2"],
  ["premise", "hypothesis"],
  ["question", "passage"],
  ["question", "sentence"],
  ["text_a", "text_b"],
  ["text1", "text2"],
  ["text", "text_pair"],
  ["text"],
  ["sentence"],
  ["content"],
  ["review"],
  ["comment"],
  ["message"],
  ["body"],
  ["question"],
  ["title"],
];

/** The pair that JSON lines of this program hold; whoever writes it means it. */
const OWN = TEXTS.find(([first, second]) => first === "text" && second !== undefined)!;

/**
 * The column, or the two of a pair, that have an obvious name, whatever its case; none is when there is none.
 * @param count how many texts are wanted, where that is known
 */
export function obviousTexts(columns: readonly string[], count?: 1 | 2): readonly string[] {
  for (const names of TEXTS) {
    if (count === 1 && names.length > 1 && names !== OWN) continue;
    const found = names.flatMap((name) => columns.find((column) => column.toLowerCase() === name) ?? []);
    if (found.length === names.length) return found;
  }
  return [];
}

/** Whether a column of this name would be taken for a text. */
export function isObvious(name: string): boolean {
  return TEXTS.some((names) => names.includes(name.toLowerCase()));
}
