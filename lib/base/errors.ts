/**
 * A failure a user can do something about. Its message is one line: what failed, on which file, line or tensor, and what to try
 * next. Anything thrown that is not one of these is a bug and shown as such.
 */
export class UffbError extends Error {
  override name = "UffbError";
  /** The exit code of the process when nobody catches it. */
  readonly exitCode: number = 1;
}

/** The command line itself is wrong. */
export class UsageError extends UffbError {
  override name = "UsageError";
  override readonly exitCode: number = 2;
}
