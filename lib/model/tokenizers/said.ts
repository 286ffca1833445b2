import {
  asArray,
  asFlag,
  asObject,
  asString,
  fail,
  isObject,
  type JsonObject,
  readObject,
  show,
} from "../../base/json.ts";
import type { ModelFiles } from "../../files/folder.ts";
import { ADDED_FILE, SETTINGS_FILE, SPECIALS_FILE } from "../../files/tokenizer.ts";
import { MAX_ADDED, readToken, type Token } from "../../text/tokenizer/added.ts";
import { MAX_TOKEN } from "../../text/tokenizer/vocabulary.ts";
import { type KeyTable, sortKeys } from "../keys/table.ts";
import { ADDED_TOKENS, SPECIAL_TOKENS_MAP, TOKENIZER_CONFIG } from "../keys/tokenizer.ts";

/** Roles that the library has a name for: `mask_token` and so on. */
export const ROLES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] as const;
export type Role = (typeof ROLES)[number];

/** A special token as a file names it: all of it, or only its spelling. */
export type Named = Token | string;

/** What the files beside a tokenizer.json say, put together as `transformers` does. */
export interface Said {
  /** tokenizer_config.json, or {}. */
  settings: JsonObject;
  /** How messages call it. */
  source: string;
  /** Null where a file says that there is none. */
  named: Partial<Record<Role, Named | null>>;
  /** Special tokens with a role of their own, such as `entity_token`. */
  specific: Named[];
  /** Special tokens without a role. */
  extra: Named[];
  /** Tokens listed by id, in the order of their ids, which do not count otherwise. */
  listed: Token[];
}

/**
 * Reads the files beside tokenizer.json. `ofTokenizer` are that file's own added tokens, by id: they belong to the list where
 * tokenizer_config.json has none.
 *
 * @throws UffbError naming file and place
 */
export function readSaid(file: ModelFiles, ofTokenizer: ReadonlyMap<number, Token>): Said {
  const own = readBeside(file, SETTINGS_FILE, TOKENIZER_CONFIG);
  const settings = own?.value ?? {};
  const source = own?.source ?? SETTINGS_FILE;
  const said: Said = { settings, source, named: {}, specific: [], extra: [], listed: [] };
  const listed = new Map<number, Token>();
  const extra = orElse(settings.extra_special_tokens, settings.additional_special_tokens);
  takeSpecials(said, settings, extra, source, {});
  if (isObject(settings.model_specific_special_tokens))
    takeSpecials(said, {}, settings.model_specific_special_tokens, source, {});
  if (settings.added_tokens_decoder !== undefined) {
    const at = `${source}: added_tokens_decoder`;
    for (const [id, token] of Object.entries(asObject(settings.added_tokens_decoder, at)))
      listed.set(Number(id), readToken(asObject(token, `${at}[${id}]`), `${at}[${id}]`));
  } else {
    const map = readBeside(file, SPECIALS_FILE, SPECIAL_TOKENS_MAP);
    if (map) {
      const also =
        map.value.extra_special_tokens ??
        (extra === undefined ? map.value.additional_special_tokens : undefined);
      takeSpecials(said, map.value, also, map.source, { special: true });
    }
    const added = readBeside(file, ADDED_FILE, ADDED_TOKENS);
    for (const [content, id] of Object.entries(added?.value ?? {})) {
      const special = [...Object.values(said.named), ...said.extra].some(
        (token) => token && spellingOf(token) === content,
      );
      listed.set(Number(id), readToken({ content, special }, `${added!.source}: ${content}`));
    }
    for (const [id, token] of ofTokenizer) listed.set(id, token);
  }
  said.listed = [...listed].sort(([a], [b]) => a - b).map(([, token]) => token);
  return said;
}

export function spellingOf(token: Named): string {
  return typeof token === "string" ? token : token.content;
}

function readBeside(
  file: ModelFiles,
  name: string,
  table: KeyTable,
): { value: JsonObject; source: string } | undefined {
  const found = file(name);
  if (found === undefined) return undefined;
  const value = readObject(found.text, found.source);
  sortKeys(value, table, found.source);
  return { value, source: found.source };
}

/** Takes the special tokens that a file names, and `extra`, a list of more or an object of those with a role of their own. */
function takeSpecials(
  said: Said,
  from: JsonObject,
  extra: unknown,
  source: string,
  absent: JsonObject,
): void {
  for (const [key, value] of Object.entries(from)) {
    const role = /^(.+)_token$/.exec(key)?.[1];
    if (role === undefined) continue;
    const at = `${source}: ${key}`;
    if (isRole(role)) said.named[role] = value === null ? null : readNamed(value, at, absent);
    else if (typeof value === "string" || (isObject(value) && "content" in value))
      said.specific.push(readNamed(value, at, absent));
  }
  if (extra === undefined || extra === null) return;
  const at = `${source}: extra_special_tokens`;
  const named = isObject(extra);
  const tokens = asArray(named ? Object.values(extra) : extra, at, MAX_ADDED);
  for (const token of tokens)
    (named ? said.specific : said.extra).push(readNamed(token, at, { special: true }));
}

function isRole(role: string): role is Role {
  return ROLES.some((known) => known === role);
}

function readNamed(value: unknown, at: string, absent: JsonObject): Named {
  if (typeof value === "string") return asString(value, at, MAX_TOKEN);
  if (!isObject(value)) fail(at, `must be a token's spelling, or an object of it, not ${show(value)}`);
  return readToken({ ...absent, ...value }, at);
}

/** The first unless it is empty, as Python's `or` has it. */
function orElse(first: unknown, second: unknown): unknown {
  const empty =
    first === undefined ||
    first === null ||
    (typeof first === "object" && Object.keys(first as object).length === 0);
  return empty ? second : first;
}

export function flagOf(settings: JsonObject, key: string, absent: boolean, source: string): boolean {
  return asFlag(settings[key], `${source}: ${key}`, absent);
}
