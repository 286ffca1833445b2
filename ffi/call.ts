/**
 * Runs a function of a library on another thread, for calls that may take long. `args` holds every buffer until that thread is done with
 * it. Its failures are to be read off the handle: messages of the library belong to a thread.
 */
export function callAsync<A extends unknown[], R>(call: (...args: A) => R, ...args: A): Promise<R> {
  const bound = call as unknown as { async(...args: unknown[]): void };
  return new Promise((resolve, reject) => {
    bound.async(...args, (error: unknown, result: R) => (error ? reject(error) : resolve(result)));
  });
}
