import { UffbError } from "../lib/base/errors.ts";
import {
  UFFB_CANCELLED,
  UFFB_INVALID,
  UFFB_LOST,
  UFFB_NO_MEMORY,
  UFFB_OK,
  UFFB_UNSUPPORTED,
} from "./bindings.ts";

/** A call of the engine failed; the message is the engine's own line. */
export class EngineError extends UffbError {
  override name = "EngineError";
}

/** An argument or a tensor is not what the engine asks for. */
export class InvalidError extends EngineError {
  override name = "InvalidError";
}

/** This CPU or build cannot do it. */
export class UnsupportedError extends EngineError {
  override name = "UnsupportedError";
}

export class NoMemoryError extends EngineError {
  override name = "NoMemoryError";
}

/** The call was stopped by NativeContext.cancel. */
export class CancelledError extends EngineError {
  override name = "CancelledError";
  override readonly exitCode = 130;
}

/** A mapped file was changed while a model was in use: nothing that it gives can be trusted. */
export class ChangedError extends EngineError {
  override name = "ChangedError";
}

const ERRORS: Readonly<Record<number, new (message: string) => EngineError>> = {
  [UFFB_INVALID]: InvalidError,
  [UFFB_UNSUPPORTED]: UnsupportedError,
  [UFFB_NO_MEMORY]: NoMemoryError,
  [UFFB_CANCELLED]: CancelledError,
  [UFFB_LOST]: ChangedError,
};

/** Throws the error of `status`, with the line that `message` gives; does nothing when all is well. */
export function check(status: number, message: () => string): void {
  if (status === UFFB_OK) return;
  const Failure = ERRORS[status] ?? EngineError;
  throw new Failure(message() || `the engine failed with status ${status}`);
}
