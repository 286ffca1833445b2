import { checked, native } from "./library.ts";

/** The instruction sets that this CPU and build can run, best first. */
export function isas(): string[] {
  return native().uffb_isas().split(",");
}

/** The one in plain C that every machine has, the reference for the others. */
export function referenceIsa(): string {
  return isas().at(-1)!;
}

/** CPUs this process may really use (affinity, cgroup quota), at least 1. */
export function cpuCount(): number {
  return native().uffb_cpu_count();
}

/** The compiler that built the engine, for reports. */
export function compiler(): string {
  return native().uffb_compiler();
}

/** Has the engine end the process after a signal that JavaScript is too busy to hear; whatever loads the engine does so, too. */
export function watchSignals(): void {
  native();
}

/** Says that a signal was heard and its work is being brought to an end: without that the engine ends the process soon after a signal. */
export function signalHeard(): void {
  checked((library) => library.uffb_interrupt_heard());
}
