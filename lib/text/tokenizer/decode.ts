import {
  BPEDecoder,
  ByteLevelDecoder,
  AddedToken as LibraryToken,
  WordPieceDecoder,
} from "@huggingface/tokenizers";
import { asFlag, asObject, asString, type JsonObject, pick } from "../../base/json.ts";
import type { AddedToken } from "./added.ts";

type Decoder = (tokens: string[]) => string;

const READERS: Record<string, (config: JsonObject, added: readonly AddedToken[], where: string) => Decoder> =
  {
    WordPiece: (config, _, where) => {
      const prefix = asString(config.prefix ?? "##", `${where}.prefix`, 16);
      const decoder = new WordPieceDecoder({
        type: "WordPiece",
        prefix,
        cleanup: asFlag(config.cleanup, `${where}.cleanup`, true),
      });
      return (tokens) => decoder.decode(tokens);
    },
    ByteLevel: (_, added) => {
      const decoder = new ByteLevelDecoder({ type: "ByteLevel" });
      decoder.added_tokens = added.map(({ id, content }) => new LibraryToken({ id, content }));
      return (tokens) => decoder.decode(tokens);
    },
    Metaspace: (config, _, where) => {
      const mark = asString(config.replacement ?? "▁", `${where}.replacement`, 2);
      const keepsFirst = config.prepend_scheme === "never" || config.add_prefix_space === false;
      return ([first = "", ...rest]) =>
        first.replaceAll(mark, keepsFirst ? " " : "") + rest.join("").replaceAll(mark, " ");
    },
    BPEDecoder: (config, _, where) => {
      const suffix = asString(config.suffix ?? "</w>", `${where}.suffix`, 16);
      const decoder = new BPEDecoder({ type: "BPEDecoder", suffix });
      return (tokens) => (suffix === "" ? tokens.join("") : decoder.decode(tokens));
    },
  };

/** Reads `decoder` (null: tokens joined by spaces) into a function from spellings to text. */
export function readDecoder(value: unknown, added: readonly AddedToken[], where: string): Decoder {
  if (value === undefined || value === null) return (tokens) => tokens.join(" ");
  const config = asObject(value, where);
  return pick(READERS, config, where)(config, added, where);
}
