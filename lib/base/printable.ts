/*
 * Texts of strangers on their way to a person: a name in a file or a line of input must neither steer the terminal nor make a message look
 * like another one. Data for programs (files, pipes) is not changed.
 */

/**
 * Control characters (C0, C1: line breaks, escape sequences), what changes the direction of text, separators of lines and paragraphs, and
 * halves of surrogate pairs.
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

/** A name of a stranger's, such as that of a tensor, for a message or a table: cut where it is long, in quotes where it is not plain ASCII. */
export function quoted(name: string): string {
  const short = name.length > MAX_NAME ? `${name.slice(0, MAX_NAME)}...` : name;
  return /^[\x21-\x7e]+$/.test(short) ? short : printable(JSON.stringify(short));
}

/** Colours and weights of letters: what this program itself writes to a terminal, and harmless from others. */
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
