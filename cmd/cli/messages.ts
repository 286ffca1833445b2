import { createConsola, type LogObject } from "consola/core";
import { printableLines } from "../../lib/base/printable.ts";
import { hasColor, isQuiet, toStderr } from "./terminal.ts";

const LABELS: Readonly<Record<string, [text: string, color: number]>> = {
  error: ["error: ", 31],
  fatal: ["error: ", 31],
  warn: ["warning: ", 33],
};

/**
 * Messages for people: `messages.warn`, `.error`, `.info`, one line each, on stderr. consola's own reporters are not used, because
 * they print information on stdout and spread an error over several lines.
 */
export const messages = createConsola({
  reporters: [{ log: report }],
  throttle: 0,
});

function report({ type, args }: LogObject): void {
  if (isQuiet() && (type === "info" || type === "warn")) return;
  const [label, color] = LABELS[type] ?? ["", 0];
  const shown = hasColor(2) && label !== "" ? `\u001b[${color}m${label}\u001b[0m` : label;
  toStderr(`${shown}${args.map((arg) => printableLines(String(arg))).join(" ")}\n`);
}
