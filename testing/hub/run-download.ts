import { runLine } from "../../cmd/cli/command.ts";
import command from "../../cmd/download.ts";
import { UffbError } from "../../lib/base/errors.ts";

// `uffb download` as a process, without the other commands.
process.exit(
  await runLine(command, process.argv.slice(2)).catch((error) => {
    console.error(error instanceof UffbError ? error.message : error);
    return error instanceof UffbError ? error.exitCode : 70;
  }),
);
