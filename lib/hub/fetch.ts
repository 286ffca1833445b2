import { type FileHandle, open } from "node:fs/promises";
import { UffbError } from "../base/errors.ts";
import type { Answer, HubClient } from "./client.ts";
import { networkFailure } from "./client.ts";
import { diskError } from "./disk.ts";
import { retrying, StallWatch, TryAgain } from "./retry.ts";
import { type Digest, hashFile } from "./verify.ts";

export interface BlobRequest {
  /** The hub's address of the file. */
  url: string;
  /** The file's path in the repository, for messages. */
  name: string;
  size: number;
  digest: Digest;
  /** Where the bytes go; what lies there already is taken for their beginning. Nobody else may write to it. */
  partial: string;
}

/**
 * Fetches a file's bytes to `partial` and returns once they are all on the disk and hash to the digest. Goes on where an
 * earlier try stopped; starts over when the server cannot, or when the bytes are wrong.
 * @param onPosition told the bytes on the disk so far; falls when starting over
 * @throws UffbError
 */
export async function fetchBlob(
  client: HubClient,
  request: BlobRequest,
  onPosition: (bytes: number) => void,
): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(request.partial, "a+").then(async (created) => {
      await created.close();
      return open(request.partial, "r+"); // "a" would ignore positions
    });
  } catch (error) {
    throw diskError(error, request.partial);
  }
  try {
    const download = new BlobDownload(client, request, file, onPosition);
    await retrying(client.policy, client.signal, () => download.attempt(), client.onWait);
  } finally {
    await file.close();
  }
}

class BlobDownload {
  /** The ETag of the host that sends the bytes; when it changes between tries, so did the bytes. */
  #bodyTag: string | undefined;
  #wrongHashes = 0;
  /** The furthest position before this try; only bytes beyond it are progress, or starting over could go on for ever. */
  #furthest = 0;

  constructor(
    readonly client: HubClient,
    readonly request: BlobRequest,
    readonly file: FileHandle,
    readonly onPosition: (bytes: number) => void,
  ) {}

  async attempt(): Promise<void> {
    const { request, file } = this;
    let have = (await file.stat()).size;
    if (have > request.size) have = await this.#startOver();
    this.#furthest = Math.max(have, this.#furthest);
    this.onPosition(have);
    if (have < request.size) await this.#fetchRest(have);
    await this.#verify();
  }

  async #fetchRest(have: number): Promise<void> {
    const { client, request } = this;
    using watch = new StallWatch(client.policy, client.signal);
    const range = have > 0 ? { Range: `bytes=${have}-` } : {};
    const answer = await client.get(request.url, { "Accept-Encoding": "identity", ...range }, watch);
    try {
      const start = await this.#checkAnswer(answer, have);
      await this.#store(answer, start, watch);
    } finally {
      await answer.response.body?.cancel().catch(() => {}); // a no-op when it was read to the end
    }
  }

  /** @returns the position of the body's first byte: `have`, or 0 when the server sends the whole file. */
  async #checkAnswer(answer: Answer, have: number): Promise<number> {
    const { request } = this;
    const { response, hub, host } = answer;
    if (response.status === 416) {
      await this.#startOver();
      throw new TryAgain(`${host} cannot go on at byte ${have} of ${request.name}`);
    }
    if (response.status !== 200 && response.status !== 206) throw this.client.failure(answer, request.name);

    const promised = hashTag(hub.get("x-linked-etag") ?? hub.get("etag"));
    const bodyTag = response.headers.get("etag") ?? undefined;
    const otherBody = response.status === 206 && this.#bodyTag !== undefined && bodyTag !== this.#bodyTag;
    this.#bodyTag = bodyTag;
    if (otherBody || (promised !== undefined && promised !== request.digest.hex)) {
      await this.#startOver();
      throw new TryAgain(`${host} has other bytes for ${request.name} than before`);
    }
    if (response.status === 206) {
      const sent = response.headers.get("content-range");
      if (sent === `bytes ${have}-${request.size - 1}/${request.size}`) return have;
      await this.#startOver();
      throw new TryAgain(`${host} sends another part of ${request.name} than the one asked for`);
    }
    if (have > 0) await this.#startOver();
    const length = response.headers.get("content-length");
    const encoded = (response.headers.get("content-encoding") ?? "identity") !== "identity";
    if (length !== null && !encoded && Number(length) !== request.size) {
      throw new TryAgain(
        `${host} announces ${Number(length)} bytes for ${request.name}, not ${request.size}`,
      );
    }
    return 0;
  }

  async #store({ response, host }: Answer, start: number, watch: StallWatch): Promise<void> {
    const { request, file } = this;
    let position = start;
    try {
      for await (const chunk of response.body ?? []) {
        if (position + chunk.length > request.size) {
          await this.#startOver();
          throw new TryAgain(`${host} sends more than the ${request.size} bytes of ${request.name}`);
        }
        await writeAll(file, chunk, position, request.partial);
        position += chunk.length;
        watch.arrived(chunk.length);
        this.onPosition(position);
      }
    } catch (error) {
      if (error instanceof UffbError || (error instanceof TryAgain && !watch.signal.aborted)) throw error;
      throw networkFailure(error, new URL(`http://${host}`), watch, this.#gained(position));
    }
    if (position < request.size) {
      const gained = this.#gained(position);
      throw new TryAgain(`${host} ends ${request.name} after ${position} of ${request.size} bytes`, {
        gained,
      });
    }
  }

  #gained(position: number): number {
    return Math.max(0, position - this.#furthest);
  }

  /** Hashes what the disk holds, not what went by: that covers resumed parts and the disk itself. */
  async #verify(): Promise<void> {
    const { request, file, client } = this;
    try {
      await file.sync();
    } catch (error) {
      throw diskError(error, request.partial);
    }
    const { algorithm, hex } = request.digest;
    const actual = await hashFile(request.partial, request.size, algorithm, client.signal);
    if (actual === hex) return;
    await this.#startOver();
    if (++this.#wrongHashes === 2) {
      throw new UffbError(
        `${client.host} sends wrong bytes for ${request.name}: ${algorithm} ${actual}, not ${hex}; try again later`,
      );
    }
    throw new TryAgain(`the bytes of ${request.name} do not have the right hash`);
  }

  async #startOver(): Promise<0> {
    await this.file.truncate(0);
    this.onPosition(0);
    return 0;
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array, position: number, path: string): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    try {
      const { bytesWritten } = await file.write(chunk, done, chunk.length - done, position + done);
      done += bytesWritten;
    } catch (error) {
      throw diskError(error, path);
    }
  }
}

/** An ETag that is a hash as the hub's are (`"hex"`), or undefined: a mirror may have tags of its own. */
function hashTag(header: string | null): string | undefined {
  const text = (header ?? "").replace(/^W\//, "").replaceAll('"', "");
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text) ? text : undefined;
}
