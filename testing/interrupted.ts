/**
 * A process that signals end in the middle of something: bun testing/interrupted.ts FOLDER busy|idle|graceful [engine]. It says "ready" when it
 * is, with a temporary file in the folder; `busy` hears no more of any event, and `graceful` takes a second to end, and then exits with 7.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { endOnSignals } from "../cmd/cli/interrupt.ts";
import { GracefulStop } from "../cmd/cli/stop.ts";
import { cpuCount } from "../ffi/engine.ts";
import { Temporary } from "../lib/base/temporary.ts";

const [folder, what, engine] = process.argv.slice(2);
endOnSignals();
if (engine !== undefined) cpuCount();
const file = new Temporary(join(folder!, "result"));
writeFileSync(file.path, "half");
process.stdout.write("ready\n");
if (what === "busy") setTimeout(spin, 20);
else setInterval(() => {}, 1000);
if (what === "graceful") {
  const { signal } = new GracefulStop("ends");
  signal.addEventListener("abort", () => setTimeout(() => process.exit(7), 1000));
}

function spin(): never {
  for (;;);
}
