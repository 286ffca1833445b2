/** Tokens in a batch, by default: enough to reuse the weights that a batch shares, few enough that its states stay in the cache. */
export const BATCH_TOKENS = 512;

/** The same for a GPU, whose hundred multiprocessors each need rows to work on. */
export const DEVICE_BATCH_TOKENS = 16_384;

/** How long an unfinished batch waits for more input before it runs as it is: unnoticeable to a person, long for a pipe. */
const QUIET_MS = 2;

export interface BatchOptions<T> {
  /** What an item adds to its batch; at least 1, so that items without tokens are bounded too. */
  weight(item: T): number;
  /** Most weight in a batch; an item heavier than that gets a batch of its own. */
  budget: number;
}

/**
 * Groups a stream into batches, order kept, reading no further ahead than one batch and one item. A batch ends when the next item would
 * exceed the budget, when the stream ends, or when the stream stays quiet: a line typed by hand is answered at once.
 */
export async function* batches<T>(source: AsyncIterable<T>, options: BatchOptions<T>): AsyncGenerator<T[]> {
  const items = source[Symbol.asyncIterator]();
  let batch: T[] = [];
  let weight = 0;
  let pending = items.next();
  try {
    for (;;) {
      const next = batch.length === 0 ? await pending : await unlessQuiet(pending);
      if (next === undefined) {
        yield batch;
        batch = [];
        weight = 0;
        continue;
      }
      if (next.done) break;
      const added = Math.max(1, options.weight(next.value));
      if (batch.length > 0 && weight + added > options.budget) {
        yield batch;
        batch = [];
        weight = 0;
      }
      batch.push(next.value);
      weight += added;
      pending = items.next();
    }
    if (batch.length > 0) yield batch;
  } catch (error) {
    if (batch.length > 0) yield batch; // the items before the failure are good
    throw error;
  } finally {
    // Not awaited: a generator that waits for standard input would answer only after its next line.
    items.return?.().catch(() => {});
  }
}

/** The same for items that are all there. */
export function* group<T>(items: Iterable<T>, { weight, budget }: BatchOptions<T>): Generator<T[]> {
  let batch: T[] = [];
  let sum = 0;
  for (const item of items) {
    const added = Math.max(1, weight(item));
    if (batch.length > 0 && sum + added > budget) {
      yield batch;
      batch = [];
      sum = 0;
    }
    batch.push(item);
    sum += added;
  }
  if (batch.length > 0) yield batch;
}

/** The promise's value, or undefined when it does not come within QUIET_MS. */
async function unlessQuiet<V>(pending: Promise<V>): Promise<V | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const quiet = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, QUIET_MS, undefined);
  });
  try {
    return await Promise.race([pending, quiet]);
  } finally {
    clearTimeout(timer);
  }
}

/** Sequences concatenated without padding: sequence s holds `ids[offsets[s]]` to `ids[offsets[s + 1] - 1]`. */
export interface Ragged {
  offsets: BigInt64Array;
  ids: Int32Array;
  /** Absent when every token is of type 0. */
  types?: Int32Array;
}

/** Concatenates sequences as the engine takes them. */
export function ragged(
  sequences: readonly { ids: ArrayLike<number>; types?: Int32Array | undefined }[],
): Ragged {
  const offsets = new BigInt64Array(sequences.length + 1);
  let tokens = 0;
  sequences.forEach((sequence, s) => {
    tokens += sequence.ids.length;
    offsets[s + 1] = BigInt(tokens);
  });
  const ids = new Int32Array(tokens);
  const types = new Int32Array(tokens);
  let typed = false;
  sequences.forEach((sequence, s) => {
    const start = Number(offsets[s]);
    ids.set(sequence.ids, start);
    if (sequence.types) {
      types.set(sequence.types, start);
      typed ||= sequence.types.some((type) => type !== 0);
    }
  });
  return typed ? { offsets, ids, types } : { offsets, ids };
}
