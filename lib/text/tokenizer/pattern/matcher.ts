/** Where a match lies in the text. */
export type Span = readonly [start: number, end: number];

/** What a tokenizer.json splits and replaces with. Its time is linear in the text, whatever the expression. */
export interface Pattern {
  /** Every match, from the left, none overlapping. @throws UffbError when the expression takes more work on this text than any in use */
  find(text: string): Iterable<Span>;
  /** The text with `content` in place of each match; undefined when that has more than `most` UTF-16 units. @throws as `find` does */
  replace(text: string, content: string, most: number): string | undefined;
}

/** The same by way of `find`. */
export function replaceFound(
  pattern: Pattern,
  text: string,
  content: string,
  most: number,
): string | undefined {
  let result = "";
  let done = 0;
  for (const [start, end] of pattern.find(text)) {
    result += text.slice(done, start) + content;
    if (result.length > most) return undefined;
    done = end;
  }
  return result.length + text.length - done > most ? undefined : result + text.slice(done);
}
