/** Commands of uffb as programs of their own, in a folder. */
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../cmd/main.ts", import.meta.url));

/** Ways to run a line of arguments with `folder` as the current folder: started only, or to its end with all that it said. */
export function commandsIn(folder: string) {
  const start = (...line: string[]) =>
    Bun.spawn([process.execPath, MAIN, ...line], { cwd: folder, stdout: "pipe", stderr: "pipe" });
  const uffb = async (...line: string[]) => {
    const child = start(...line);
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { code: await child.exited, out, err };
  };
  return { start, uffb };
}
