/**
 * A corpus as token ids on the disk, made once: documents one after the other, each followed by the separator. Training then reads what is
 * mapped, so that reading, unpacking and tokenising never keep the engine waiting, and a run that is resumed, or the next one over the same
 * text, need not do them again.
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, statSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { CancelledError } from "../../../ffi/status.ts";
import { UffbError } from "../../base/errors.ts";
import { isObject, tryJson } from "../../base/json.ts";
import { readRegularText } from "../../base/read.ts";
import { makeWhole, writeWhole } from "../../base/write.ts";
import { type CorpusOptions, hashCorpus, readDocuments } from "../../data/corpus.ts";
import { mapFile } from "../../files/safetensors/mapped.ts";
import type { Tokenizer } from "../../text/tokenizer/tokenizer.ts";

/** Raised whenever the same text would give other tokens: what was made before is then made again. */
const VERSION = 1;
/** Ids written at once. */
const PIECE = 1 << 18;
/** Largest vocabulary whose ids take two bytes. */
const TWO_BYTES = 1 << 16;
/** Characters between two reports. */
const REPORT = 1 << 22;

export interface CorpusFile {
  /** Without its folder. */
  name: string;
  /** Of the file as it lies there. */
  sha256: string;
  documents: number;
}

/** What is known of a corpus: the file beside its tokens. */
export interface CorpusFacts {
  /** Of files, settings and tokenizer: another one makes other tokens. */
  key: string;
  files: CorpusFile[];
  /** Documents, those left out because their text packs badly or holds nothing, and those that could not be read. */
  documents: number;
  dropped: number;
  bad: number;
  /** Of the documents that are in. */
  characters: number;
  tokens: number;
}

export interface TokensOptions extends CorpusOptions {
  /**
   * Leaves out documents that take this many tokens a character or more, lists of numbers and foreign scripts, say; 1 or more keeps all
   * but empty ones.
   */
  mostTokens: number;
  /** Whether ids lie there from before: then nothing is read but the files' hashes. */
  onFound?: (() => void) | undefined;
  /** Tokens so far, while text is read. */
  onProgress?: ((tokens: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface Tokens {
  facts: CorpusFacts;
  /** All of them, mapped. */
  ids: Uint16Array | Uint32Array;
}

/**
 * The tokens of a corpus: those that lie in `folder`, if they are of the same files, settings and tokenizer, or else made there.
 * @param vocabulary the text of tokenizer.json
 * @throws UffbError when a file cannot be read, or holds nothing to train on
 */
export async function tokensOf(
  paths: readonly string[],
  tokenizer: Tokenizer,
  vocabulary: string,
  folder: string,
  options: TokensOptions,
): Promise<Tokens> {
  const hashes: string[] = [];
  for (const path of paths) hashes.push(await hashCorpus(path));
  const { documents = "lines", field = "text", skipBad = false, mostTokens } = options;
  const settings = { VERSION, hashes, vocabulary, documents, field, skipBad, mostTokens };
  const key = createHash("sha256").update(JSON.stringify(settings)).digest("hex");
  mkdirSync(folder, { recursive: true });
  const name = join(folder, `tokens-${key.slice(0, 16)}`);
  const found = readFacts(`${name}.json`);
  if (found?.key === key && sizeOf(`${name}.bin`) === found.tokens * bytesOf(tokenizer)) {
    options.onFound?.();
    return open(`${name}.bin`, found, tokenizer);
  }
  const facts = await makeWhole(`${name}.bin`, (temporary) =>
    tokenise(paths, hashes, key, tokenizer, temporary, options),
  );
  await writeWhole(`${name}.json`, `${JSON.stringify(facts, null, 2)}\n`);
  return open(`${name}.bin`, facts, tokenizer);
}

const bytesOf = ({ vocabSize }: Tokenizer) => (vocabSize <= TWO_BYTES ? 2 : 4);

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

function open(path: string, facts: CorpusFacts, tokenizer: Tokenizer): Tokens {
  const { buffer, byteOffset } = mapFile(path);
  const Ids = bytesOf(tokenizer) === 2 ? Uint16Array : Uint32Array;
  return { facts, ids: new Ids(buffer as ArrayBuffer, byteOffset, facts.tokens) };
}

function readFacts(path: string): CorpusFacts | undefined {
  if (!existsSync(path)) return undefined;
  const read = tryJson(readRegularText(path, { most: 1 << 24 }));
  const whole = "value" in read && isObject(read.value) && Array.isArray(read.value.files);
  return whole ? (read.value as unknown as CorpusFacts) : undefined;
}

async function tokenise(
  paths: readonly string[],
  hashes: readonly string[],
  key: string,
  tokenizer: Tokenizer,
  target: string,
  options: TokensOptions,
): Promise<CorpusFacts> {
  const { mostTokens, onProgress, signal } = options;
  const facts: CorpusFacts = { key, files: [], documents: 0, dropped: 0, bad: 0, characters: 0, tokens: 0 };
  const writer = new IdWriter(target, bytesOf(tokenizer));
  try {
    let unreported = 0;
    for (const [i, path] of paths.entries()) {
      let documents = 0;
      for await (const document of readDocuments(path, options)) {
        documents++;
        if ("error" in document) {
          facts.bad++;
          continue;
        }
        const ids = documentIds(tokenizer, document.text);
        // The separator is no part of the text.
        const kept =
          ids.length > 1 && (mostTokens >= 1 || ids.length - 1 < mostTokens * document.text.length);
        if (kept) {
          writer.add(ids);
          facts.characters += document.text.length;
        } else facts.dropped++;
        unreported += document.text.length;
        if (unreported < REPORT) continue;
        unreported = 0;
        onProgress?.(writer.count);
        if (signal?.aborted)
          throw new CancelledError("stopped while the corpus was read; nothing was written");
      }
      facts.files.push({ name: basename(path), sha256: hashes[i]!, documents });
      facts.documents += documents;
    }
    facts.tokens = writer.count;
    if (facts.tokens === 0)
      throw new UffbError(
        `${paths.join(", ")}: nothing to train on: ${facts.dropped} of ${facts.documents} documents left out; see --most-tokens`,
      );
    writer.end();
    return facts;
  } finally {
    writer[Symbol.dispose]();
  }
}

/** A text's tokens and a separator, without what a template puts before a text. */
export function documentIds(tokenizer: Tokenizer, text: string): Int32Array {
  const { cls, sep } = tokenizer.specials;
  const { ids } = tokenizer.encode(text, { literal: true });
  const start = cls !== undefined && ids[0] === cls.id ? 1 : 0;
  if (sep === undefined || ids.at(-1) === sep.id) return ids.subarray(start);
  const whole = new Int32Array(ids.length - start + 1);
  whole.set(ids.subarray(start));
  whole[ids.length - start] = sep.id;
  return whole;
}

class IdWriter implements Disposable {
  count = 0;
  readonly #file: number;
  readonly #ids: Uint16Array | Uint32Array;
  #used = 0;

  constructor(path: string, bytes: number) {
    this.#file = openSync(path, "wx");
    this.#ids = bytes === 2 ? new Uint16Array(PIECE) : new Uint32Array(PIECE);
  }

  add(ids: Int32Array): void {
    for (let at = 0; at < ids.length; ) {
      const size = Math.min(ids.length - at, PIECE - this.#used);
      this.#ids.set(ids.subarray(at, at + size), this.#used);
      this.#used += size;
      at += size;
      if (this.#used === PIECE) this.#write();
    }
    this.count += ids.length;
  }

  end(): void {
    this.#write();
    fsyncSync(this.#file);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #write(): void {
    const { buffer, byteOffset, BYTES_PER_ELEMENT } = this.#ids;
    const data = new Uint8Array(buffer, byteOffset, this.#used * BYTES_PER_ELEMENT);
    for (let at = 0; at < data.length; ) at += writeSync(this.#file, data, at, data.length - at);
    this.#used = 0;
  }
}
