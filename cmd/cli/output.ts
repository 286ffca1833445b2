import { UsageError } from "../../lib/base/errors.ts";
import { grouped } from "./args.ts";
import { isTerminal } from "./terminal.ts";

/** Formats of lines and objects. `text` is for people. */
export const TEXT_FORMATS = ["text", "tsv", "csv", "jsonl", "json"] as const;
export type TextFormat = (typeof TEXT_FORMATS)[number];

/** How `infer` and `tokenize` write, but for --format, whose formats differ. */
export const outputArgs = grouped("OUTPUT", {
  json: { type: "boolean", description: "Write one JSON array; short for --format json" },
  jsonl: {
    type: "boolean",
    description:
      "Write an object a line, with its input's line or id; as --format jsonl, but without inputs that cannot be used",
  },
  header: { type: "boolean", description: "Name the columns of tsv in a first line; csv always does" },
});

/**
 * The format that flags ask for: text on a terminal and else tsv, where they ask for none.
 * @throws UsageError where they exclude each other
 */
export function formatOf<F extends string>(flags: {
  json: boolean;
  jsonl: boolean;
  header: boolean;
  format: F | undefined;
}): F | TextFormat {
  const { json, jsonl, header, format } = flags;
  if (json && jsonl) throw new UsageError("--json and --jsonl exclude each other; drop one");
  const short = json ? "json" : jsonl ? "jsonl" : undefined;
  if (short !== undefined && format !== undefined && format !== short)
    throw new UsageError(`--format and --${short} exclude each other; drop one`);
  const found = format ?? short ?? (isTerminal(1) && !header ? "text" : "tsv");
  if (header && found !== "tsv" && found !== "csv")
    throw new UsageError(`--header is for tsv and csv, not for ${found}; drop it`);
  return found;
}
