/** Text for people on a terminal: wrapped at words, never within one. */

/** The lines of a paragraph, each at most `columns` wide unless a single word is wider. */
export function wrap(text: string, columns: number): string[] {
  if (columns === Number.POSITIVE_INFINITY) return [text];
  return Bun.wrapAnsi(text, Math.max(1, columns), { hard: false }).split("\n");
}

/** Widest column of terms; a wider term has its meaning below. */
const WIDEST_TERM = 26;
/** Narrowest column of meanings; where less is left, every meaning stands below its term. */
const NARROWEST_MEANING = 30;
const INDENT = 2;

export type Term = readonly [term: string, meaning: string];

export interface TermLayout {
  /** Width of the whole; Infinity where lines may be of any length. */
  columns: number;
  /** Spaces before each term; default: 2. */
  indent?: number;
  /** Width of the terms; default: what `termWidth` says of these. */
  width?: number;
}

/** The width that terms need, leaving out those that are too wide to share a line with their meaning. */
export function termWidth(terms: readonly string[]): number {
  return Math.max(0, ...terms.map((term) => Bun.stringWidth(term)).filter((width) => width <= WIDEST_TERM));
}

/** Terms in a column, and what each means beside it, wrapped. */
export function termLines(rows: readonly Term[], layout: TermLayout): string[] {
  const { columns, indent = INDENT, width = termWidth(rows.map(([term]) => term)) } = layout;
  const beside = indent + width + 2;
  const at = columns - beside < NARROWEST_MEANING ? indent + 6 : beside;
  return rows.flatMap(([term, meaning]) => {
    const room = at - indent - 2 - Bun.stringWidth(term);
    const lines = meaning === "" ? [] : wrap(meaning, columns - at).map((line) => " ".repeat(at) + line);
    const start = " ".repeat(indent) + term;
    if (lines.length === 0) return [start];
    return room < 0
      ? [start, ...lines]
      : [start + lines[0]!.slice(Bun.stringWidth(start)), ...lines.slice(1)];
  });
}
