/** Programs on a terminal of their own, as a person has one: what they ask the system is answered as by a real one. */

export interface Ran {
  /** What they wrote to the terminal, colours and cursor movements among it, line ends as LF. */
  shown: string;
  exitCode: number;
}

/**
 * Runs a shell's command line on a pseudo-terminal.
 * @param env besides PATH; nothing else of this process's environment is passed on
 */
export async function onTerminal(
  line: string,
  { cwd, env = {}, columns = 80, rows = 24 }: TerminalOptions = {},
): Promise<Ran> {
  const decoder = new TextDecoder();
  let shown = "";
  const child = Bun.spawn(["sh", "-c", line], {
    ...(cwd !== undefined && { cwd }),
    env: { PATH: process.env.PATH, TERM: "xterm-256color", ...env },
    terminal: {
      cols: columns,
      rows,
      data: (_, bytes) => {
        shown += decoder.decode(bytes, { stream: true });
      },
    },
  });
  const exitCode = await child.exited;
  await Bun.sleep(0); // what it wrote last is on its way
  child.terminal?.close();
  return { shown: shown.replaceAll("\r\n", "\n"), exitCode };
}

interface TerminalOptions {
  cwd?: string;
  env?: Record<string, string>;
  columns?: number;
  rows?: number;
}

/** Lines of what was shown that a terminal of so many columns has to break; what is overwritten counts, too. */
export function tooWide(shown: string, columns = 80): string[] {
  return Bun.stripANSI(shown)
    .split(/[\r\n]/)
    .filter((line) => Bun.stringWidth(line) > columns);
}
