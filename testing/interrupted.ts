/**
 * A process that signals end in the middle of something: bun testing/interrupted.ts FOLDER busy|idle|graceful [engine|nothing]. It says "ready"
 * when it is, with a temporary file in the folder unless there is `nothing` to put away any more; `busy` hears no more of any event, and `graceful` takes a second to end, and then exits with 7.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { GracefulStop } from "../cmd/cli/stop.ts";
import { cpuCount } from "../ffi/engine.ts";
import { endOnSignals } from "../lib/base/signals.ts";
import { Temporary } from "../lib/base/temporary.ts";

const [folder, what, more] = process.argv.slice(2);
endOnSignals();
if (more === "engine") cpuCount();
const file = new Temporary(join(folder!, "result"));
writeFileSync(file.path, "half");
if (more === "nothing") file[Symbol.dispose]();
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
