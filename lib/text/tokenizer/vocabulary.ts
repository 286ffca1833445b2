import { asArray, asInteger, asObject, asString, fail, show } from "../../base/json.ts";

/** Ten times the largest vocabulary in use. */
export const MAX_VOCABULARY = 10_000_000;
const MAX_ID = MAX_VOCABULARY - 1;
/** Longest spelling of a token, in UTF-16 units; the longest in use has a few hundred. */
export const MAX_TOKEN = 1024;

/** Spelling <-> id, checked to be one to one. */
export class Vocabulary {
  /** The model's own tokens, out of which words are made. */
  readonly ids = new Map<string, number>();
  /** By id, the added ones too; ids may leave gaps. */
  readonly tokens: (string | undefined)[] = [];
  /** Longest spelling of the model's own, in UTF-16 units. */
  longest = 0;
  /** Tokens beside the model's own. */
  readonly #added = new Map<string, number>();
  /** One more than the largest id of an added token. */
  #next = 0;

  static read(value: unknown, where: string): Vocabulary {
    const vocabulary = new Vocabulary();
    const entries = asObject(value, where);
    for (const token of Object.keys(entries)) {
      vocabulary.ids.set(token, vocabulary.#enter(token, entries[token], where));
      if (token.length > vocabulary.longest) vocabulary.longest = token.length;
    }
    return vocabulary;
  }

  /** The same of a list of [token, score], whose places are the ids. Of a token that is there twice the last counts, as in Rust `tokenizers`. */
  static readList(value: unknown, where: string): Vocabulary {
    const vocabulary = new Vocabulary();
    asArray(value, where, MAX_VOCABULARY).forEach((entry, id) => {
      const token = asString(Array.isArray(entry) ? entry[0] : entry, `${where}[${id}]`, MAX_TOKEN);
      vocabulary.ids.set(token, id);
      vocabulary.tokens[id] = token;
      if (token.length > vocabulary.longest) vocabulary.longest = token.length;
    });
    return vocabulary;
  }

  find(token: string): number | undefined {
    return this.ids.get(token) ?? this.#added.get(token);
  }

  /** Adds a token beside the model's own, unless it is there already. Returns its id. */
  add(token: string): number {
    const known = this.find(token);
    // As Rust `tokenizers` counts: in a vocabulary with gaps the id can be that of another token.
    const id = known ?? Math.max(this.ids.size, this.#next);
    this.#next = Math.max(this.#next, id + 1);
    if (known === undefined) {
      this.tokens[id] = token;
      this.#added.set(token, id);
    }
    return id;
  }

  #enter(token: string, value: unknown, where: string): number {
    if (token.length > MAX_TOKEN) asString(token, `${where} ${show(token)}`, MAX_TOKEN);
    const id = Number.isInteger(value) ? (value as number) : -1;
    if (id < 0 || id > MAX_ID) asInteger(value, `${where} ${show(token)}`, 0, MAX_ID);
    const other = this.tokens[id];
    if (other !== undefined) fail(where, `gives id ${id} to both ${show(other)} and ${show(token)}`);
    this.tokens[id] = token;
    return id;
  }
}
