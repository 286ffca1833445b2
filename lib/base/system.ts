import { UffbError } from "./errors.ts";

/** What the system's refusals mean, and what can be done. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission is denied",
  EAGAIN: "the system has no more threads or memory to give; try again when less is running",
  EDQUOT: "the disk quota is used up; free some space",
  EEXIST: "a file is where a folder should be",
  EFBIG: "the file would be larger than is allowed; see ulimit -f",
  EIO: "the disk or network reports an error; try again",
  EISDIR: "it is a folder, not a file",
  ELOOP: "its links lead in a circle",
  EMFILE: "too many files are open; allow more with ulimit -n",
  ENAMETOOLONG: "the name is too long",
  ENFILE: "the system has too many files open; try again when less is running",
  ENODEV: "the device is not there",
  ENOENT: "no such file or folder",
  ENOMEM: "there is not enough memory",
  ENOSPC: "the disk is full; free some space",
  ENOTDIR: "a part of the path is a file, not a folder",
  ENXIO: "nobody is at the other end of the pipe, or the device is not there",
  EPERM: "the operation is not permitted",
  EROFS: "the disk is read-only; choose another place",
  ESTALE: "the network folder has changed; try again",
  ETXTBSY: "the file is a program that runs",
};

/** Whether the system refused something, rather than this program being wrong. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && /^E(?!RR_)[A-Z0-9]+$/.test(String((error as NodeJS.ErrnoException).code));
}

/** Why the system refused something, in one line. */
export function systemReason(error: unknown): string {
  const code = String((error as NodeJS.ErrnoException).code ?? error);
  return REASONS[code] ?? `the system says ${code}`;
}

/** An error of the system's as one that a user can do something about; any other as it is. `what`: "x.json: cannot be read", for example. */
export function withReason(what: string, error: unknown): unknown {
  return isSystemError(error) ? new UffbError(`${what}: ${systemReason(error)}`, { cause: error }) : error;
}

/**
 * Whatever was thrown, if the world is to blame for it: an error of this program's own, or the system's refusal or a lack of memory in
 * one line. Undefined for a bug.
 */
export function asUffbError(error: unknown): UffbError | undefined {
  if (error instanceof UffbError) return error;
  if (isSystemError(error)) {
    const { path, syscall = "system call" } = error;
    return new UffbError(`${path === undefined ? `a ${syscall}` : path}: ${systemReason(error)}`, {
      cause: error,
    });
  }
  if (
    error instanceof RangeError &&
    /out of memory|allocation failed|exceeds? (the )?max|too large/i.test(error.message)
  )
    return new UffbError("there is not enough memory; give less at once, or run it on a larger machine", {
      cause: error,
    });
  return undefined;
}
