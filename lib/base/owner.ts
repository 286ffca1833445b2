/**
 * Names of files that one process alone uses, MACHINE-PID-CHANCE, which tell another one later whether their owner is gone. No locks: they lie
 * on some network file systems.
 */
import { readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** This host and its process id space: only here can a process id be looked up. Bun's own hasher, because node:crypto takes milliseconds to load. */
function findMachine(): string {
  const place = `${hostname()} ${processSpace()}`;
  return new Bun.CryptoHasher("sha256").update(place).digest("hex").slice(0, 8);
}
let machine: string | undefined;
const thisMachine = () => (machine ??= findMachine());
/** Names made by this very process, whose id an earlier one may have had. */
const own = new Set<string>();

const NAME = /([0-9a-f]{8})-(\d+)-[0-9a-f]{8}$/;

function processSpace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

/** A name that nobody else uses. */
export function ownName(): string {
  const name = `${thisMachine()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  own.add(name);
  return name;
}

/**
 * Whether a file's owner is gone, by the end of its name and the time of its last change. Of another machine's process, or a name of another
 * form, that is so when nothing was written for `silentMs`.
 */
export function isAbandoned(name: string, changedMs: number, silentMs: number): boolean {
  const [found, where, pid] = NAME.exec(name) ?? [];
  if (found !== undefined && own.has(found)) return false;
  return where === thisMachine() ? !isRunning(Number(pid)) : Date.now() - changedMs > silentMs;
}

function isRunning(pid: number): boolean {
  if (pid === process.pid) return false; // `own` was asked before: the name is an earlier process's
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
