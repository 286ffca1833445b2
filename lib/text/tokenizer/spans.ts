/**
 * Where each token lies in the text as the user wrote it. Nothing here is needed to tokenise: it runs when it is asked for, and follows the
 * same stages once more, matching what comes out of each with what went in.
 */
import { isObject, type JsonObject } from "../../base/json.ts";

/** From the first to behind the last character, in Unicode code points. */
export type Span = readonly [start: number, end: number];

/** The stages of a tokenizer, each as it is used to encode. */
export interface Stages {
  /** Pieces of a text: plain, or ids of added tokens. */
  split(text: string): (string | number)[];
  normalize(text: string): string;
  /** The same for normalised text. */
  splitNormalized(text: string): (string | number)[];
  words(part: string, atStart: boolean): string[];
  /** Ids of a word. */
  encode(word: string): number[];
  /** The spelling of a token. */
  token(id: number): string;
}

/** What of a tokenizer.json decides where a token begins and ends. */
export interface SpanSettings {
  /** What the spelling of a piece within a word begins with: "##" of WordPiece. */
  prefix: string;
  /** What the spelling of a word's last piece ends with: "</w>" of some BPE. */
  suffix: string;
  /** Words are spelt byte by byte. */
  byteLevel: boolean;
  /** White space ends words and is gone before they are marked: a word's "▁" is none of the text's spaces. */
  spacesGo: boolean;
  /** Spaces at a token's ends are left out of its span; with `prefixed`, of the first token but for one, which was never in the text. */
  trim: { prefixed: boolean } | undefined;
}

export function readSpanSettings(file: JsonObject): SpanSettings {
  const model = isObject(file.model) ? file.model : {};
  const isBpe = model.merges !== undefined;
  const prefix = model.continuing_subword_prefix ?? (isBpe || Array.isArray(model.vocab) ? "" : "##");
  const trimming = partsOf(file.post_processor, "processors").find(
    ({ type }) => type === "RobertaProcessing" || type === "ByteLevel",
  );
  return {
    prefix: typeof prefix === "string" ? prefix : "",
    suffix: typeof model.end_of_word_suffix === "string" ? model.end_of_word_suffix : "",
    spacesGo: partsOf(file.pre_tokenizer, "pretokenizers").some(({ type }) => type === "WhitespaceSplit"),
    byteLevel: partsOf(file.pre_tokenizer, "pretokenizers").some(({ type }) => type === "ByteLevel"),
    trim:
      trimming && trimming.trim_offsets !== false
        ? { prefixed: trimming.add_prefix_space !== false }
        : undefined,
  };
}

/** A component, or those of a sequence. */
function partsOf(value: unknown, key: string): JsonObject[] {
  if (!isObject(value)) return [];
  const inner = value[key];
  return Array.isArray(inner) ? inner.filter(isObject) : [value];
}

/** What a stage made of a text: of each UTF-16 unit, the units of the text before that it stands for. */
interface Aligned {
  text: string;
  from: readonly Span[];
}

/** A token and what it stands for. */
interface Placed {
  span: Span;
  /** Of an added token, with the white space that it took along. */
  spelling: string;
}

/** The span of each token of a text, in order, without a template's. */
export function spansOf(text: string, stages: Stages, settings: SpanSettings): Span[] {
  const found: Placed[] = [];
  let at = 0;
  const pieces = stages.split(text);
  pieces.forEach((piece, i) => {
    if (typeof piece === "number") {
      const end = endOfToken(text, at, stages.token(piece), pieces[i + 1]);
      found.push({ span: [at, end], spelling: text.slice(at, end) });
      at = end;
      return;
    }
    const start = at;
    const normalized = align(piece, stages.normalize);
    for (const { span, spelling } of partSpans(normalized, i === 0, stages, settings))
      found.push({ span: [start + span[0], start + span[1]], spelling });
    at = start + piece.length;
  });
  const points = codePoints(text);
  const prefixed = settings.trim?.prefixed ?? false;
  return found.map(({ span: [from, to], spelling }): Span => {
    const span: Span = [points[from]!, points[to]!];
    return settings.trim ? trim(span, spelling, prefixed && from === 0) : span;
  });
}

const SPACE = /\p{White_Space}/u;

/** A space, as byte-level spellings have it, or another one. */
const SPACES = /^[Ġ\p{White_Space}]*/u;

/**
 * Without the spaces that a spelling has at both ends, whether they are in the text or not, as Rust `tokenizers` does; one alone at
 * its beginning stays where `keepsOne`: the tokenizer may have put it there itself.
 */
function trim([from, to]: Span, spelling: string, keepsOne: boolean): Span {
  const leading = SPACES.exec(spelling)![0].length;
  const trailing = SPACES.exec([...spelling].reverse().join(""))![0].length;
  const start = keepsOne && leading === 1 ? from : Math.min(from + leading, to);
  return [start, Math.max(to - trailing, start)];
}

/** How many code points come before each unit, and before the end. */
function codePoints(text: string): Uint32Array {
  const points = new Uint32Array(text.length + 1);
  for (let i = 0, point = 0; i < text.length; ) {
    const units = text.codePointAt(i)! > 0xffff ? 2 : 1;
    points.fill(point + 1, i + 1, i + 1 + units);
    i += units;
    point++;
  }
  return points;
}

/** Where an added token ends that begins at `at`: white space that it took along belongs to it. */
function endOfToken(text: string, at: number, spelling: string, next: string | number | undefined): number {
  if (next === undefined) return text.length;
  let start = at;
  while (start < text.length && SPACE.test(text.charAt(start)) && !text.startsWith(spelling, start)) start++;
  let end = Math.min(start + spelling.length, text.length);
  while (typeof next === "string" && end < text.length && !text.startsWith(next, end)) end++;
  return end;
}

/** Of the tokens of a normalised piece, their spans in the piece. */
function* partSpans(
  normalized: Aligned,
  isFirst: boolean,
  stages: Stages,
  settings: SpanSettings,
): Generator<Placed> {
  let at = 0;
  const parts = stages.splitNormalized(normalized.text);
  for (const [i, part] of parts.entries()) {
    const start = at;
    if (typeof part === "number") {
      at = endOfToken(normalized.text, start, stages.token(part), parts[i + 1]);
      yield { span: cover(normalized.from, start, at), spelling: normalized.text.slice(start, at) };
      continue;
    }
    at += part.length;
    if (part === "") continue;
    const units = matcher(part, settings);
    for (const word of stages.words(part, isFirst && i === 0)) {
      const from = units(word);
      for (const { span, spelling } of pieceSpans(word, stages, settings)) {
        const [left, right] = cover(from, ...span);
        yield { span: cover(normalized.from, start + left, start + right), spelling };
      }
    }
  }
}

/** All that units `first` to `last - 1` stand for; where there are none, the place before the next. */
function cover(from: readonly Span[], first: number, last: number): Span {
  const end = from.at(-1)?.[1] ?? 0;
  if (first >= last) {
    const place = from[first]?.[0] ?? end;
    return [place, place];
  }
  return [from[first]?.[0] ?? end, from[last - 1]?.[1] ?? end];
}

/** Of the pieces of a word, which of its units they are: by their spellings; the unknown token is what lies between others. */
function pieceSpans(word: string, { encode, token }: Stages, { prefix, suffix }: SpanSettings): Placed[] {
  const ids = encode(word);
  const spellings = ids.map((id, i) => {
    const whole = token(id);
    const start = i > 0 && prefix !== "" && whole.startsWith(prefix) ? whole.slice(prefix.length) : whole;
    return suffix !== "" && start.endsWith(suffix) ? start.slice(0, -suffix.length) : start;
  });
  let at = 0;
  return ids.map((id, i): Placed => {
    const start = at;
    const isLast = i === ids.length - 1;
    if (word.startsWith(spellings[i]!, at)) at += spellings[i]!.length;
    else if (isLast) at = word.length;
    else {
      const next = word.indexOf(spellings[i + 1]!, at + 1);
      const one = (word.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
      at = next >= 0 ? next : Math.min(at + one, word.length);
    }
    return { span: [start, at], spelling: token(id) };
  });
}

const MARK = "▁";

/** Matches words, one after another, with the text that they were cut out of: which of its units each unit of a word stands for. */
function matcher(
  text: string,
  { byteLevel, spacesGo }: Pick<SpanSettings, "byteLevel" | "spacesGo">,
): (word: string) => Span[] {
  // Each byte, or unit, of the text, and where it is.
  const parts: { sign: string; span: Span }[] = [];
  for (let at = 0; at < text.length; ) {
    const char = String.fromCodePoint(text.codePointAt(at)!);
    const span: Span = [at, at + char.length];
    const signs = byteLevel ? [...Buffer.from(char)].map(byteSign) : char.split("");
    for (const sign of signs) parts.push({ sign, span });
    at += char.length;
  }
  let next = 0;
  const place = (): Span => parts[next]?.span ?? [text.length, text.length];
  return (word) =>
    word.split("").map((sign): Span => {
      const isSpace = sign === (byteLevel ? byteSign(0x20) : MARK);
      const same = (part: string) => part === sign || (!byteLevel && !spacesGo && isSpace && part === " ");
      if (isSpace && spacesGo) while (SPACE.test(parts[next]?.sign ?? "")) next++;
      // A space that the tokenizer put before the text: it stands for what comes next, as all that is inserted does.
      if (isSpace && !same(parts[next]?.sign ?? "")) return place();
      while (next < parts.length && !same(parts[next]!.sign)) next++;
      return parts[next] ? parts[next++]!.span : place();
    });
}

/** What stands for a byte in byte-level spellings: itself where it can be printed, else a letter from U+0100 on, in order (GPT-2). */
function byteSign(byte: number): string {
  const isPrintable = (b: number) => (b > 0x20 && b < 0x7f) || (b > 0xa0 && b !== 0xad);
  if (isPrintable(byte)) return String.fromCharCode(byte);
  let rank = 0;
  for (let b = 0; b < byte; b++) if (!isPrintable(b)) rank++;
  return String.fromCharCode(0x100 + rank);
}

/** A character between others that no normaliser changes or joins to it. */
const NEUTRAL = "0";

/**
 * Matches a text with what a normaliser makes of it, character by character as each alone would become, or else by letters with their
 * marks; where it treats the text otherwise, each unit stands for the whole text.
 */
export function align(text: string, normalize: (text: string) => string): Aligned {
  const normalized = normalize(text);
  const before = normalize(NEUTRAL);
  const prefix = before.slice(0, Math.max(0, before.indexOf(NEUTRAL)));
  const cache = new Map<string, string>();
  const alone = (part: string) => {
    let made = cache.get(part);
    if (made === undefined) {
      const whole = normalize(NEUTRAL + part + NEUTRAL);
      made = whole.slice(whole.indexOf(NEUTRAL) + 1, whole.lastIndexOf(NEUTRAL));
      cache.set(part, made);
    }
    return made;
  };
  for (const pattern of [/./gsu, /.\p{M}*/gsu]) {
    const from = follow(text.match(pattern) ?? [], normalized, prefix, alone);
    if (from) return { text: normalized, from };
  }
  return { text: normalized, from: Array.from(normalized, () => [0, text.length] as const) };
}

function follow(
  parts: readonly string[],
  normalized: string,
  prefix: string,
  alone: (part: string) => string,
): Span[] | undefined {
  const from: Span[] = [];
  if (normalized.startsWith(prefix)) for (let i = 0; i < prefix.length; i++) from.push([0, 0]);
  let at = 0;
  for (const part of parts) {
    const made = alone(part);
    if (made !== "" && normalized.startsWith(made, from.length))
      for (const span of within(part, made, at)) from.push(span);
    at += part.length;
  }
  return from.length === normalized.length ? from : undefined;
}

/** Of a letter with marks and what it became: marks at the end that stayed are themselves, and all before is the letter. */
function within(part: string, made: string, at: number): Span[] {
  const letter = String.fromCodePoint(part.codePointAt(0)!).length;
  let kept = 0;
  while (kept < Math.min(part.length - letter, made.length) && part.at(-1 - kept) === made.at(-1 - kept))
    kept++;
  return Array.from({ length: made.length }, (_, i): Span => {
    const fromEnd = made.length - i;
    if (fromEnd > kept) return [at, at + letter];
    const unit = at + part.length - fromEnd;
    return [unit, unit + 1];
  });
}
