/** How the program ends when it is asked to. */
import { readFileSync } from "node:fs";
import { watchTemporaries } from "./temporary.ts";

/** Signals that ask for the end of the process, and their numbers: Ctrl-C, `kill`, a terminal that closes, Ctrl-\. */
const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1, SIGQUIT: 3 } as const;

const controller = new AbortController();
const temporaries = new Set<string>();
/** What listens to each signal. */
const listeners = new Map<string, () => void>();
let wanted = false;
let stays = false;

/**
 * From here on a signal ends the process with 128 plus its number, 130 for Ctrl-C; temporary files go first. Signals that the process was
 * started to ignore (`nohup`, `&` in a script) stay ignored.
 *
 * JavaScript hears of a signal when it has nothing else to do, which may be long after. So it listens only while something has to be done
 * at the end: without temporary files, and before there is an engine, the system ends the process on the spot. The engine ends it while
 * JavaScript is too busy to listen (kernels/engine/interrupt.c).
 */
export function endOnSignals(): void {
  wanted = true;
  watchTemporaries((path, remove) => {
    if (remove) temporaries.add(path);
    else temporaries.delete(path);
    if (temporaries.size > 0) listen();
    else if (!stays) unlisten();
  });
}

/** Listens to signals from here on, if the process ends on them; to be called before the engine does so on JavaScript's behalf. */
export function listenForGood(): void {
  stays = true;
  listen();
}

function listen(): void {
  if (!wanted || listeners.size > 0) return;
  const ignored = ignoredSignals();
  for (const [signal, number] of Object.entries(SIGNALS)) {
    if ((ignored >> (number - 1)) & 1) continue;
    const end = () => {
      controller.abort();
      process.exit(128 + number);
    };
    listeners.set(signal, end);
    process.once(signal, end);
  }
}

function unlisten(): void {
  for (const [signal, end] of listeners) process.off(signal, end);
  listeners.clear();
}

/** A signal that Ctrl-C and its like abort just before the process ends: the engine's threads stop first. */
export function interruptSignal(): AbortSignal {
  return controller.signal;
}

/** A bit for each signal from 1 to 32; none where Linux is not there to ask. */
function ignoredSignals(): number {
  try {
    const [, mask = "0"] =
      /^SigIgn:\s*[0-9a-f]*?([0-9a-f]{1,8})$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return Number.parseInt(mask, 16);
  } catch {
    return 0;
  }
}
