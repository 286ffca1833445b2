import { asArray, asFlag, asObject, asString, fail, type JsonObject } from "../../base/json.ts";
import { characters } from "./unicode/classes.ts";
import { MAX_TOKEN, type Vocabulary } from "./vocabulary.ts";

/** A token that is found in the text before the model sees it, such as a mask. */
export interface AddedToken {
  id: number;
  content: string;
  /** Must not touch a word character on either side. */
  singleWord: boolean;
  /** Takes the white space before it along. */
  lstrip: boolean;
  /** Takes the white space after it along. */
  rstrip: boolean;
  /** Sought in the normalised text, not in the original. */
  normalized: boolean;
  special: boolean;
}

export const MAX_ADDED = 100_000;

/** A token before it has its place in a vocabulary. */
export type Token = Omit<AddedToken, "id">;

/** Reads `added_tokens`. The ids there do not count, as in Rust `tokenizers`. */
export function readAddedTokens(value: unknown, where: string): Token[] {
  return asArray(value ?? [], where, MAX_ADDED).map((entry, i) =>
    readToken(asObject(entry, `${where}[${i}]`), `${where}[${i}]`),
  );
}

/** Gives tokens their ids: those that the vocabulary has, or new ones. One that is there twice is what it is the last time. */
export function enterTokens(tokens: readonly Token[], vocabulary: Vocabulary): AddedToken[] {
  const entered = new Map<string, AddedToken>();
  for (const token of tokens)
    if (token.content !== "") entered.set(token.content, { ...token, id: vocabulary.add(token.content) });
  return [...entered.values()];
}

/** Reads what a file says of one such token. */
export function readToken(config: JsonObject, at: string): Token {
  const special = asFlag(config.special, `${at}.special`, false);
  return {
    content: asString(config.content, `${at}.content`, MAX_TOKEN),
    singleWord: asFlag(config.single_word, `${at}.single_word`, false),
    lstrip: asFlag(config.lstrip, `${at}.lstrip`, false),
    rstrip: asFlag(config.rstrip, `${at}.rstrip`, false),
    normalized: asFlag(config.normalized, `${at}.normalized`, !special),
    special,
  };
}

/** Longest sum of all spellings, which bounds the tree below; the longest in use has about 100,000. */
const MAX_SPELLINGS = 500_000;

/** Most looks at each character of a text, on average, for tokens that begin as the text goes on; text of one tag after another takes one or two. */
const LOOKS = 32;

interface Node {
  next: Map<number, Node>;
  token?: AddedToken;
}

const SPACE = /\p{White_Space}/u;

/**
 * Cuts a text at the tokens of a list: the leftmost, then the longest match, exact in spelling and case, as Hugging Face's Rust
 * `tokenizers` does. (`@huggingface/tokenizers` also takes a text that only becomes a token's spelling when it is normalised, and
 * knows no `single_word`.)
 */
export class AddedTokenSplitter {
  readonly #root: Node = { next: new Map() };
  /** Finds where a token may start. */
  readonly #start: RegExp | undefined;
  readonly #where: string;
  /** Length of what #longest found. */
  #length = 0;
  /** Characters that may still be looked at. */
  #looks = 0;

  constructor(spellings: Iterable<[string, AddedToken]>, where: string) {
    this.#where = where;
    const first = new Set<string>();
    let total = 0;
    for (const [spelling, token] of spellings) {
      if (spelling === "") continue;
      total += spelling.length;
      if (total > MAX_SPELLINGS) fail(where, `spells more than ${MAX_SPELLINGS} characters`);
      let node = this.#root;
      for (let i = 0; i < spelling.length; i++) {
        const unit = spelling.charCodeAt(i);
        let next = node.next.get(unit);
        if (!next) {
          next = { next: new Map() };
          node.next.set(unit, next);
        }
        node = next;
      }
      node.token ??= token;
      first.add(spelling.charAt(0));
    }
    const codes = [...first].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
    this.#start = codes.length > 0 ? new RegExp(`[${codes.join("")}]`, "g") : undefined;
  }

  /**
   * The text's pieces in order: plain text, or the id of a token. None is empty unless all the text is.
   *
   * @throws UffbError when long tokens nearly match at nearly every place, which would take too long
   */
  split(text: string): (string | number)[] {
    const start = this.#start;
    if (!start) return [text];
    start.lastIndex = 0;
    this.#looks = LOOKS * (text.length + 1);
    const pieces: (string | number)[] = [];
    let done = 0;
    while (start.test(text)) {
      const from = start.lastIndex - 1;
      const token = this.#longest(text, from);
      if (!token) continue;
      let end = from + this.#length;
      start.lastIndex = end;
      if (token.singleWord && (isWord(lastOf(text, from)) || isWord(firstOf(text, end)))) continue;
      let begin = from;
      if (token.lstrip) while (begin > done && SPACE.test(text.charAt(begin - 1))) begin--;
      if (token.rstrip) while (end < text.length && SPACE.test(text.charAt(end))) end++;
      if (begin > done) pieces.push(text.slice(done, begin));
      pieces.push(token.id);
      done = end;
      start.lastIndex = end;
    }
    if (done === 0) return [text];
    if (done < text.length) pieces.push(text.slice(done));
    return pieces;
  }

  #longest(text: string, from: number): AddedToken | undefined {
    let found: AddedToken | undefined;
    let node: Node | undefined = this.#root;
    for (let i = from; i < text.length; i++) {
      if (--this.#looks < 0)
        fail(this.#where, "nearly match this text everywhere; is the tokenizer damaged?");
      node = node.next.get(text.charCodeAt(i));
      if (!node) break;
      if (node.token) {
        found = node.token;
        this.#length = i + 1 - from;
      }
    }
    return found;
  }
}

function firstOf(text: string, at: number): string {
  const code = text.codePointAt(at);
  return code === undefined ? "" : String.fromCodePoint(code);
}

function lastOf(text: string, end: number): string {
  const pair = text.slice(Math.max(0, end - 2), end);
  return pair.length === 2 && pair.codePointAt(0)! > 0xffff ? pair : pair.slice(-1);
}

let word: RegExp | undefined;

function isWord(char: string): boolean {
  word ??= new RegExp(`[${characters("word")}]`, "u");
  return word.test(char);
}
