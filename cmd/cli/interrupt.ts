/** A signal that Ctrl-C aborts, before main.ts ends the process: the engine's threads stop first. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  process.prependListener("SIGINT", () => controller.abort());
  return controller.signal;
}
