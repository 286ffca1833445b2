/** Readers with every fault that fuzzing must find. */
import { UffbError } from "../lib/base/errors.ts";
import type { Target } from "./fuzz/targets.ts";

const seeds = async () => [new Uint8Array(100)];
/** Kept, so that it cannot be collected. */
const hoard: Uint8Array[] = [];

/** Faulty for a few damaged files only. */
const faulty = (fault: () => void): Target => ({
  seeds,
  read: (bytes) => {
    if (bytes[0] !== 0) fault();
    throw new UffbError("refused");
  },
});

export const TARGETS: Record<string, Target> = {
  good: faulty(() => {}),
  throws: faulty(() => {
    throw new TypeError("a bug");
  }),
  crashes: faulty(() => process.kill(process.pid, "SIGSEGV")),
  hangs: faulty(() => {
    for (;;);
  }),
  dawdles: faulty(() => {
    const start = process.cpuUsage();
    for (let spent = 0; spent < 250_000; ) {
      for (let i = 0; i < 1e6; i++) Math.sqrt(i);
      const { user, system } = process.cpuUsage(start);
      spent = user + system;
    }
  }),
  hoards: faulty(() => void hoard.push(new Uint8Array(200 * 2 ** 20).fill(1))),
};
