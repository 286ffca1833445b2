/*
 * Makes untrusted text safe to show. A name in a file or a line of input must not control the terminal or make one message look like
 * another. Only what people read goes through here; data for files and pipes is not changed.
 */

/**
 * Control characters (C0 and C1, with line breaks and escape sequences), controls of text direction, line and paragraph separators, and
 * lone surrogates.
 */
const UNSAFE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** The text on one line: tabs and line breaks become spaces, and whatever else is unsafe is escaped as in JSON: `\u009b`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (char) => (/\s/.test(char) ? " " : escaped(char)));
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Longest name in a message, in characters. */
const MAX_NAME = 100;

/** An untrusted name, such as a tensor's, for a message or a table: cut to 100 characters, and in quotes unless it is plain ASCII. */
export function quoted(name: string): string {
  const short = name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}...` : name;
  return /^[\x21-\x7e]+$/.test(short) ? short : printable(JSON.stringify(short));
}

/** Escape sequences for colours and bold: this program writes them, and they are harmless in any text. */
const STYLE = /(\u001b\[[\d;]*m)/;

/** Text of several lines for a terminal: line breaks, tabs and styles stay, everything else is printable. */
export function printableLines(text: string): string {
  UNSAFE.lastIndex = 0;
  return text
    .split(STYLE)
    .map((part, i) =>
      i % 2 === 1 ? part : part.replace(UNSAFE, (char) => (/[\n\t]/.test(char) ? char : escaped(char))),
    )
    .join("");
}
