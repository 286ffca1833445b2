import {
  BPEDecoder,
  ByteLevelDecoder,
  AddedToken as LibraryToken,
  WordPieceDecoder,
} from "@huggingface/tokenizers";
import { asFlag, asObject, asString, type JsonObject, pick } from "../../base/json.ts";
import type { AddedToken } from "./added.ts";

export interface Decoder {
  /** From spellings to text. */
  decode(tokens: string[]): string;
  /** One token as it stands within a text, where tokens hold spaces and letters in another alphabet; absent where they are as they are spelt. */
  piece?(token: string): string;
}

const READERS: Record<string, (config: JsonObject, added: readonly AddedToken[], where: string) => Decoder> =
  {
    WordPiece: (config, _, where) => {
      const prefix = asString(config.prefix ?? "##", `${where}.prefix`, 16);
      const decoder = new WordPieceDecoder({
        type: "WordPiece",
        prefix,
        cleanup: asFlag(config.cleanup, `${where}.cleanup`, true),
      });
      return { decode: (tokens) => decoder.decode(tokens) };
    },
    ByteLevel: (_, added) => {
      const decoder = new ByteLevelDecoder({ type: "ByteLevel" });
      decoder.added_tokens = added.map(({ id, content }) => new LibraryToken({ id, content }));
      const decode = (tokens: string[]) => decoder.decode(tokens);
      return { decode, piece: (token) => decode([token]) };
    },
    Metaspace: (config, _, where) => {
      const mark = asString(config.replacement ?? "▁", `${where}.replacement`, 2);
      const keepsFirst = config.prepend_scheme === "never" || config.add_prefix_space === false;
      const piece = (token: string) => token.replaceAll(mark, " ");
      const start = (token: string) => token.replaceAll(mark, keepsFirst ? " " : "");
      return { decode: ([first = "", ...rest]) => start(first) + piece(rest.join("")), piece };
    },
    BPEDecoder: (config, _, where) => {
      const suffix = asString(config.suffix ?? "</w>", `${where}.suffix`, 16);
      const decoder = new BPEDecoder({ type: "BPEDecoder", suffix });
      return { decode: (tokens) => (suffix === "" ? tokens.join("") : decoder.decode(tokens)) };
    },
  };

/** Reads `decoder` (null: tokens joined by spaces) . */
export function readDecoder(value: unknown, added: readonly AddedToken[], where: string): Decoder {
  if (value === undefined || value === null) return { decode: (tokens) => tokens.join(" ") };
  const config = asObject(value, where);
  return pick(READERS, config, where)(config, added, where);
}
