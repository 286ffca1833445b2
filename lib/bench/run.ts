import { cpuCases } from "./cases.ts";
import { deviceCases } from "./device-cases.ts";
import { describeMachine, type RunFacts } from "./measure/machine.ts";
import type { BenchRecord } from "./measure/record.ts";
import type { Case, Plan, Progress } from "./plan.ts";

/**
 * Runs every case of a plan and gives its records as it ends.
 *
 * @throws UffbError, all but wrong results before anything long starts
 */
export async function* run(
  plan: Plan,
  about: { version: string; commit: string | null },
  progress: (state: Progress) => void,
): AsyncGenerator<BenchRecord[]> {
  const cases = await toCases(plan, { ...about, date: new Date().toISOString() });
  for (const [done, { name, measure }] of cases.entries()) {
    const tell = (share: number) => progress({ done, total: cases.length, share, name });
    tell(0);
    yield await measure(tell);
  }
}

async function toCases(plan: Plan, about: Pick<RunFacts, "version" | "commit" | "date">): Promise<Case[]> {
  const machine = describeMachine();
  if (plan.on) {
    const { device, dtypes } = plan.on;
    return deviceCases(plan, dtypes, { ...about, device, machine: { ...machine, device } });
  }
  return cpuCases(plan, { ...about, machine });
}
