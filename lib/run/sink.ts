import type { BadItem } from "../text/input/input.ts";
import type { Result } from "./heads.ts";
import type { Exporter } from "./output.ts";

/** Where results go, one after another, inputs that could not be used among them. */
export interface Sink {
  /** What to print now; "" for nothing. */
  add(result: Result | BadItem): string;
  /** What to print when all are there. */
  finish(): Iterable<string | Uint8Array>;
}

/** Prints results as they come. Nothing is printed before the first result, so that wrong usage found with the first input leaves no output. */
export function textSink({ head, record, tail }: Exporter): Sink {
  let before = head;
  return {
    add(result) {
      const text = before + record(result);
      before = "";
      return text;
    },
    finish: () => [before + tail],
  };
}
