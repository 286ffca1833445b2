import { type BadItem, placeOf } from "../../lib/text/input/input.ts";
import { grouped, type Positional } from "./args.ts";
import { messages } from "./messages.ts";

/** The inputs that `infer` and `tokenize` share. */
export const inputArgs = grouped("INPUT", {
  pair: {
    type: "string",
    valueHint: "text",
    description: "Second text of every input that has none of its own",
  },
  jsonl: {
    type: "boolean",
    description: 'Write JSON lines; lines of stdin are read as such: {"id":…,"text":"…","text_pair":"…"}',
  },
  ids: { type: "boolean", description: "Read token ids, separated by spaces or commas, instead of text" },
});

export const inputPositionals = [
  {
    name: "text",
    description: 'Texts. None, or "-": one a line from stdin, where a tab separates two texts',
    multiple: true,
  },
] as const satisfies readonly Positional[];

/** Names an input that cannot be used, on stderr. */
export function reportBadItem(item: BadItem, texts: readonly string[]): void {
  messages.error(`${placeOf(item.line, texts)}: ${item.error}`);
}
