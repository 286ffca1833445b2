import { asArray, asObject, fail, isObject, type JsonObject, readObject, show } from "../../base/json.ts";
import type { ModelFiles } from "../../files/folder.ts";
import { SETTINGS_FILE, TOKENIZER_FILE, TOKENIZER_FILES } from "../../files/tokenizer.ts";
import { enterTokens, MAX_ADDED, readToken, type Token } from "../../text/tokenizer/added.ts";
import { bertTemplates, robertaTemplates } from "../../text/tokenizer/template.ts";
import { Tokenizer } from "../../text/tokenizer/tokenizer.ts";
import { Vocabulary } from "../../text/tokenizer/vocabulary.ts";
import { chooseClass } from "./choose.ts";
import type { TokenizerClass } from "./class.ts";
import { flagOf, ROLES, type Role, readSaid, type Said, spellingOf } from "./said.ts";
import { findVocabulary, readVocabulary } from "./vocabulary.ts";

/** What a tokenizer is made of. */
interface Plan {
  /** Undefined where tokenizer.json stands for itself. */
  kind: TokenizerClass | undefined;
  /** A tokenizer.json; its added tokens and, of a class, the post-processor do not count. */
  json: JsonObject;
  /** What messages call it. */
  source: string;
  added: Token[];
  said: Said;
}

/**
 * The tokenizer that AutoTokenizer of `transformers` 5.24 makes of a model's files; undefined for one without.
 *
 * @throws UffbError when one of them is damaged or not supported
 */
export function readTokenizer(file: ModelFiles): Tokenizer | undefined {
  const plan = readPlan(file);
  if (plan === undefined) return undefined;
  const { kind, json, source, added, said } = plan;
  const { settings } = said;
  // A tokenizer.json by itself may be any library's.
  const alone = file("config.json") === undefined && Object.keys(settings).length === 0;
  return Tokenizer.parse(json, source, {
    added,
    named: Object.fromEntries(ROLES.flatMap((role) => nameOf(role, said))),
    ...(kind && {
      templates: (find) => {
        const [first, last] = kind.around.map((role) => find(spelled(role, said))) as [number, number];
        return kind.template === "BertProcessing"
          ? bertTemplates(first, last)
          : robertaTemplates(first, last);
      },
    }),
    maxLength: maxLength(settings, said.source),
    cutLeft: side(settings.truncation_side, json.truncation, said.source) === "left",
    splitSpecials: flagOf(settings, "split_special_tokens", false, said.source),
    types: typesOf(settings.model_input_names, kind?.types ?? alone, said.source),
  });
}

/**
 * The model's files, with a tokenizer.json made of its vocabulary's files where it has only those.
 *
 * @throws UffbError when asked for the tokenizer, as readTokenizer does
 */
export function withTokenizer(file: ModelFiles): ModelFiles {
  return (name) => {
    const found = file(name);
    const plan = found === undefined && name === TOKENIZER_FILE ? readPlan(file) : undefined;
    return plan ? { text: JSON.stringify(complete(plan)), source: plan.source } : found;
  };
}

/**
 * The tokenizer's files by name, for a model of another kind: they name the class that followed from config.json.
 *
 * @throws UffbError as readTokenizer does
 */
export function tokenizerTexts(file: ModelFiles): Record<string, string> {
  const plan = readPlan(file);
  const whole = withTokenizer(file);
  const texts = Object.fromEntries(
    TOKENIZER_FILES.flatMap((name) => {
      const found = whole(name);
      return found === undefined ? [] : [[name, found.text]];
    }),
  );
  if (plan?.kind && plan.said.settings.tokenizer_class === undefined)
    texts[SETTINGS_FILE] = JSON.stringify({ ...plan.said.settings, tokenizer_class: plan.kind.names[0] });
  return texts;
}

function readPlan(file: ModelFiles): Plan | undefined {
  const found = file(TOKENIZER_FILE);
  const vocabulary = found === undefined ? findVocabulary(file) : undefined;
  const source = (found ?? vocabulary)?.source;
  if (source === undefined) return undefined;
  const json = found ? readObject(found.text, source) : {};
  const own = ownTokens(json, source);
  const said = readSaid(file, new Map(own));
  const config = readConfig(file);
  const name = said.settings.tokenizer_class ?? config.tokenizer_class;
  const kind = chooseClass(name, config.model_type, said.source);
  if (kind === undefined) {
    if (vocabulary)
      fail(
        `${source}: its tokenizer is`,
        `${show(name ?? config.model_type ?? "not named")}, which needs a tokenizer.json; save one with AutoTokenizer of transformers`,
      );
    return {
      kind,
      json,
      source,
      added: addTokens(
        own.map(([, token]) => token),
        said,
      ),
      said,
    };
  }
  const model = vocabulary
    ? readVocabulary(kind, file, vocabulary)
    : asObject(json.model, `${source}: model`);
  const parts = make(kind, model, json.normalizer, said, source);
  return { kind, json: { ...parts, truncation: json.truncation }, source, added: addTokens([], said), said };
}

/** A tokenizer.json that stands for itself. */
function complete({ kind, json, source, added, said }: Plan): JsonObject {
  const vocabulary = Vocabulary.read(asObject(json.model, source).vocab, source);
  const tokens = enterTokens(added, vocabulary);
  const place = (role: Role) => [spelled(role, said), vocabulary.find(spelled(role, said))];
  const [first, last] = kind!.around;
  return {
    version: "1.0",
    ...json,
    added_tokens: tokens.map(({ singleWord, ...rest }) => ({ ...rest, single_word: singleWord })),
    post_processor: { type: kind!.template, sep: place(last), cls: place(first) },
  };
}

/** The added tokens of a tokenizer.json, with the ids that it gives them. */
function ownTokens(json: JsonObject, source: string): [id: number, token: Token][] {
  const at = `${source}: added_tokens`;
  return asArray(json.added_tokens ?? [], at, MAX_ADDED).map((entry, i) => {
    const config = asObject(entry, `${at}[${i}]`);
    return [Number(config.id), readToken(config, `${at}[${i}]`)];
  });
}

/** What config.json says of the tokenizer, among other things. */
function readConfig(file: ModelFiles): JsonObject {
  const found = file("config.json");
  return found === undefined ? {} : readObject(found.text, found.source);
}

/** What a class makes of a vocabulary. The special tokens that no file names are the class's from then on. */
function make(
  kind: TokenizerClass,
  model: JsonObject,
  normalizer: unknown,
  said: Said,
  source: string,
): JsonObject {
  const { type = typeOf(model), vocab, merges } = model;
  if (type !== kind.model && model.type !== undefined)
    fail(
      `${source}: model.type`,
      `${show(type)} does not go with the class ${kind.names[0]}, which needs ${kind.model}`,
    );
  takeSpellings(kind, said);
  const unknown = spelled("unk", said);
  if (kind.model === "WordPiece" && isObject(vocab) && !Object.hasOwn(vocab, unknown))
    fail(
      `${source}: ${show(unknown)}`,
      `is not in the vocabulary, and a ${kind.names[0]} needs it; if it is another tokenizer, ${SETTINGS_FILE} must say so: {"tokenizer_class": "PreTrainedTokenizerFast"}`,
    );
  const parts = kind.parts({ settings: said.settings, source: said.source, unknown, vocab, normalizer });
  return { ...parts, model: { ...parts.model, vocab, ...(kind.model === "BPE" && { merges }) } };
}

/** Of files from before the type was stored. */
function typeOf({ vocab, merges }: JsonObject): string {
  if (Array.isArray(vocab)) return "Unigram";
  return merges === undefined ? "WordPiece" : "BPE";
}

function takeSpellings(kind: TokenizerClass, said: Said): void {
  for (const [role, spelling] of Object.entries(kind.spellings) as [Role, string][]) {
    if (said.named[role] === undefined) said.named[role] = spelling;
  }
  const { mask } = said.named;
  if (kind.maskTakesSpace && typeof mask === "string")
    said.named.mask = readToken({ content: mask, lstrip: true, special: true }, mask);
  if (kind.extra && said.extra.length === 0) said.extra.push(...kind.extra);
}

function spelled(role: Role, { named, source }: Said): string {
  const token = named[role];
  return token
    ? spellingOf(token)
    : fail(`${source}: ${role}_token`, "is null, but texts cannot be read without it");
}

/** [role, spelling], the spelling null for a role that a file says nobody has. */
function nameOf(role: Role, { named }: Said): [Role, string | null][] {
  const token = named[role];
  return token === undefined ? [] : [[role, token && spellingOf(token)]];
}

/**
 * The tokens sought in texts, in the order in which the library adds them: the ids of new ones depend on it, and of two of one spelling the
 * last counts.
 */
function addTokens(own: readonly Token[], said: Said): Token[] {
  const roles = [...ROLES.flatMap((role) => said.named[role] ?? []), ...said.specific];
  const special = new Set(roles.map(spellingOf));
  const added = [...own, ...said.listed];
  const known = new Set(added.map(({ content }) => content));
  for (const named of [...roles, ...said.extra]) {
    const content = spellingOf(named);
    if (known.has(content)) continue;
    known.add(content);
    added.push(typeof named === "string" ? readToken({ content, special: true }, content) : named);
  }
  return added.map((token) => (special.has(token.content) ? { ...token, special: true } : token));
}

/** A limit that stands for none is written as a number of 31 digits. */
const NO_LIMIT = 1e20;

function maxLength(settings: JsonObject, source: string): number {
  const key = "model_max_length" in settings ? "model_max_length" : "max_len";
  const value = settings[key] ?? Number.POSITIVE_INFINITY;
  if (typeof value === "number" && value > NO_LIMIT) return Number.POSITIVE_INFINITY;
  if (!Number.isInteger(value) || (value as number) < 1)
    fail(`${source}: ${key}`, `must be a number of tokens, not ${show(value)}`);
  return value as number;
}

/** Where a long text is cut: as tokenizer_config.json says, or else tokenizer.json. */
function side(value: unknown, truncation: unknown, source: string): string {
  const direction = isObject(truncation) ? truncation.direction : undefined;
  const found = value ?? (typeof direction === "string" ? direction.toLowerCase() : "right");
  return found === "left" || found === "right"
    ? found
    : fail(`${source}: truncation_side`, `must be "left" or "right", not ${show(found)}`);
}

/** Whether token types are among the inputs that the tokenizer makes. */
function typesOf(names: unknown, absent: boolean, source: string): boolean {
  if (names === undefined || names === null) return absent;
  return asArray(names, `${source}: model_input_names`, 100).includes("token_type_ids");
}
