/** A tokenizer.json for models from before there were any: made of their vocabulary's files, as `transformers` 5 makes its tokenizers of them. */
import { UffbError } from "../base/errors.ts";
import { asFlag, isObject, type JsonObject, readObject, show } from "../base/json.ts";
import type { ModelFile, ModelFiles } from "../files/folder.ts";

interface Special {
  content: string;
  lstrip: boolean;
  rstrip: boolean;
  single_word: boolean;
  normalized: boolean;
}

/** By role, in the order in which those that the vocabulary lacks get ids. */
type Specials = Map<string, Special>;

/** What a class of tokenizers needs beside its vocabulary. */
interface Kind {
  /** The vocabulary, and what may lie beside it. */
  files: readonly string[];
  /** Spellings by role, unless the files beside say otherwise. */
  specials: Readonly<Record<string, string>>;
  /** The mask takes the white space before it along, where nothing is said of that. */
  maskTakesSpace?: true;
  /** How special tokens stand around texts. */
  template: "BertProcessing" | "RobertaProcessing";
  /** What else a tokenizer.json has. */
  build(files: ModelFile[], settings: Settings): JsonObject & { model: { vocab: Record<string, unknown> } };
}

/** The files beside the vocabulary, of which the first one that has a key counts. */
class Settings {
  constructor(
    readonly source: string,
    readonly files: readonly JsonObject[],
    readonly specials: Specials,
  ) {}

  flag(key: string, absent: boolean): boolean {
    return asFlag(this.get(key), `${this.source}: ${key}`, absent);
  }

  get(key: string): unknown {
    return this.files.find((file) => file[key] !== undefined && file[key] !== null)?.[key];
  }
}

const BERT: Kind = {
  files: ["vocab.txt"],
  specials: { unk: "[UNK]", sep: "[SEP]", pad: "[PAD]", cls: "[CLS]", mask: "[MASK]" },
  template: "BertProcessing",
  build: wordPiece,
};

const MPNET: Kind = {
  files: ["vocab.txt"],
  specials: { bos: "<s>", eos: "</s>", unk: "[UNK]", sep: "</s>", pad: "<pad>", cls: "<s>", mask: "<mask>" },
  maskTakesSpace: true,
  template: "RobertaProcessing",
  build: wordPiece,
};

const ROBERTA: Kind = {
  files: ["vocab.json", "merges.txt"],
  specials: { bos: "<s>", eos: "</s>", unk: "<unk>", sep: "</s>", pad: "<pad>", cls: "<s>", mask: "<mask>" },
  template: "RobertaProcessing",
  build: ([vocab, merges], settings) => ({
    model: { type: "BPE", vocab: readObject(vocab!.text, vocab!.source), merges: readMerges(merges!) },
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: settings.flag("add_prefix_space", false) },
    decoder: { type: "ByteLevel" },
  }),
};

/** By `tokenizer_class`, without "Fast" at its end, or by the model's type. */
const KINDS: Readonly<Record<string, Kind>> = {
  BertTokenizer: BERT,
  DistilBertTokenizer: BERT,
  ElectraTokenizer: BERT,
  MPNetTokenizer: MPNET,
  RobertaTokenizer: ROBERTA,
  bert: BERT,
  distilbert: BERT,
  electra: BERT,
  mpnet: MPNET,
  roberta: ROBERTA,
};

const ROLES = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];

/**
 * The model's files, with a tokenizer.json where it has none but the files of a vocabulary: `vocab.txt` (BERT, DistilBERT, ELECTRA, MPNet), or
 * `vocab.json` and `merges.txt` (RoBERTa).
 *
 * @throws UffbError when asked for the tokenizer and those files are damaged, or of another tokenizer
 */
export function withTokenizer(file: ModelFiles): ModelFiles {
  return (name) => (name === "tokenizer.json" ? (file(name) ?? make(file)) : file(name));
}

function make(file: ModelFiles): ModelFile | undefined {
  const found = file("vocab.txt") ?? (file("merges.txt") && file("vocab.json"));
  if (found === undefined) return undefined;
  const own = readBeside(file, "tokenizer_config.json");
  const kind = kindOf(file, own, found.source);
  const files = kind.files.map((name) => {
    const one = file(name);
    if (one === undefined) throw new UffbError(`${found.source}: has no ${name} beside it, which it needs`);
    return one;
  });
  const beside = [own, readBeside(file, "special_tokens_map.json")];
  const specials: Specials = new Map();
  const settings = new Settings(found.source, beside, specials);
  for (const role of ROLES) {
    const value = settings.get(`${role}_token`) ?? kind.specials[role];
    if (value === undefined) continue;
    const plain = { lstrip: role === "mask" && kind.maskTakesSpace === true, rstrip: false };
    specials.set(role, readSpecial(value, plain, `${settings.source}: ${role}_token`));
  }
  const built = kind.build(files, settings);
  const added = enterSpecials(specials, built.model.vocab);
  const around = (role: string) => {
    const { content } = specials.get(role)!;
    return [content, added.find((token) => token.content === content)!.id];
  };
  const complete = {
    version: "1.0",
    added_tokens: added,
    ...built,
    post_processor: { type: kind.template, sep: around("sep"), cls: around("cls") },
  };
  return { text: JSON.stringify(complete), source: found.source };
}

function readBeside(file: ModelFiles, name: string): JsonObject {
  const found = file(name);
  return found ? readObject(found.text, found.source) : {};
}

/** Which tokenizer the vocabulary is of: its class is named in tokenizer_config.json, or follows from the model's type. */
function kindOf(file: ModelFiles, own: JsonObject, source: string): Kind {
  const named =
    typeof own.tokenizer_class === "string" ? own.tokenizer_class.replace(/Fast$/, "") : undefined;
  const type = readBeside(file, "config.json").model_type;
  for (const name of [named, type]) {
    if (typeof name === "string" && Object.hasOwn(KINDS, name)) return KINDS[name]!;
    // Classes that are no class of their own.
    if (name !== undefined && name !== "PreTrainedTokenizer" && name !== "TokenizersBackend") break;
  }
  throw new UffbError(
    `${source}: its tokenizer is ${show(named ?? type ?? "not named")}, which needs a tokenizer.json; save one with AutoTokenizer of transformers`,
  );
}

function readSpecial(value: unknown, plain: { lstrip: boolean; rstrip: boolean }, where: string): Special {
  const token = isObject(value) ? value : { content: value, ...plain };
  if (typeof token.content !== "string") throw new UffbError(`${where} must be a token, not ${show(value)}`);
  return {
    content: token.content,
    lstrip: asFlag(token.lstrip, `${where}.lstrip`, false),
    rstrip: asFlag(token.rstrip, `${where}.rstrip`, false),
    single_word: asFlag(token.single_word, `${where}.single_word`, false),
    normalized: asFlag(token.normalized, `${where}.normalized`, false),
  };
}

/** As added tokens; one that is not in the vocabulary gets the next id. */
function enterSpecials(specials: Specials, vocabulary: Readonly<Record<string, unknown>>) {
  let next = Object.keys(vocabulary).length;
  const added = new Map<string, Special & { id: unknown; special: true }>();
  for (const special of specials.values()) {
    const { content } = special;
    if (added.has(content)) continue;
    const id = Object.hasOwn(vocabulary, content) ? vocabulary[content] : next++;
    added.set(content, { id, ...special, special: true });
  }
  return [...added.values()];
}

function wordPiece([vocab]: ModelFile[], settings: Settings) {
  const strips = settings.get("strip_accents");
  return {
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: settings.flag("tokenize_chinese_chars", true),
      strip_accents: strips === undefined ? null : settings.flag("strip_accents", false),
      lowercase: settings.flag("do_lower_case", true),
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    model: {
      type: "WordPiece",
      unk_token: settings.specials.get("unk")!.content,
      vocab: readLines(vocab!.text),
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
  };
}

/** A token a line, whose number is its id; of one that is there twice the last. Space at the end of a line is none of the token's. */
function readLines(text: string): Record<string, number> {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return Object.fromEntries(lines.map((line, id) => [line.replace(/\p{White_Space}+$/u, ""), id]));
}

function readMerges({ text, source }: ModelFile): string[][] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines
    .filter((line) => !line.startsWith("#version"))
    .map((line, i) => {
      const pair = line.split(" ");
      if (pair.length !== 2)
        throw new UffbError(`${source}: merge ${i + 1} is not two tokens with a space between`);
      return pair;
    });
}
