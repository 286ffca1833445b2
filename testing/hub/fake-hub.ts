import { createHash } from "node:crypto";
import { createServer, type Server, type Socket } from "node:net";

/**
 * A hub on 127.0.0.1 for the tests: the API that the client calls, resolve addresses, and a second host (another port, so another
 * origin) that LFS files are redirected to. It speaks HTTP by hand, because misbehaving is the point.
 */

export interface Fault {
  /** Answer with this status instead. */
  status?: number;
  headers?: Record<string, string>;
  body?: string;
  /** Close the connection before any answer. */
  drop?: boolean;
  /** Close the connection after so many bytes of the body. */
  dropAfter?: number;
  /** Flip a bit of the body's last byte. */
  corrupt?: boolean;
  /** The ETag to show instead. */
  etag?: string;
  /** Announce this length, or none. */
  length?: number | "none";
  /** Send this after the right bytes, with a length to match. */
  extra?: string;
  /** Send the whole file although a range was asked for. */
  ignoreRange?: boolean;
  /** Send a part that begins so many bytes later than asked. */
  shiftRange?: number;
  /** Send so many bytes, then wait so many ms, and so on. */
  drip?: [bytes: number, ms: number];
  /** Never answer. */
  hang?: boolean;
}

export interface Seen {
  server: "hub" | "storage";
  path: string;
  headers: Record<string, string>;
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

interface FakeFile {
  bytes: Uint8Array;
  lfs: boolean;
  etag: string;
}

export class FakeHub {
  readonly files = new Map<string, FakeFile>();
  readonly seen: Seen[] = [];
  /** Faults of the next requests whose path contains the key, first come first served. */
  readonly faults = new Map<string, Fault[]>();
  /** Called at each request, before it is answered. */
  onRequest: (seen: Seen) => void = () => {};
  commit = COMMIT;
  /** When set, the hub answers only requests that bear it. */
  token: string | undefined;
  /** Entries of a page of the tree listing. */
  pageSize = 1000;
  /** How a page of a listing names the next one. */
  nextLink = (url: URL): string => `<${this.endpoint}${url.pathname}${url.search}>; rel="next"`;
  /** The tree listing to send instead of the right one. */
  tree: unknown[] | undefined;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  endpoint = "";
  storage = "";

  static async start(files: Record<string, string | Uint8Array> = {}, name = "org/model"): Promise<FakeHub> {
    const hub = new FakeHub(name);
    hub.endpoint = await hub.#listen("hub");
    hub.storage = await hub.#listen("storage");
    for (const [path, bytes] of Object.entries(files)) hub.put(path, bytes);
    return hub;
  }

  private constructor(readonly name: string) {}

  /** Adds a file; strings are plain git files, bytes are LFS files. */
  put(path: string, content: string | Uint8Array): void {
    const lfs = typeof content !== "string";
    const bytes = lfs ? content : Buffer.from(content);
    const etag = lfs
      ? createHash("sha256").update(bytes).digest("hex")
      : createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    this.files.set(path, { bytes, lfs, etag });
  }

  fault(path: string, ...faults: Fault[]): void {
    this.faults.set(path, faults);
  }

  /** The requests for a file's bytes that the host which has them got. */
  fetches(path: string): Seen[] {
    const file = this.files.get(path)!;
    return this.seen.filter((request) =>
      file.lfs ? request.path.startsWith(`/blob/${file.etag}`) : request.path.endsWith(`/${path}`),
    );
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
  }

  #listen(role: Seen["server"]): Promise<string> {
    return new Promise((resolve) => {
      const server = createServer((socket) => {
        this.#sockets.add(socket);
        socket.on("close", () => this.#sockets.delete(socket));
        socket.on("error", () => {});
        let head = "";
        const read = (data: Buffer) => {
          head += data.toString("latin1");
          if (!head.includes("\r\n\r\n")) return;
          socket.off("data", read);
          this.#handle(role, head, socket);
        };
        socket.on("data", read);
      });
      this.#servers.push(server);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address() as { port: number };
        resolve(`http://127.0.0.1:${address.port}`);
      });
    });
  }

  #handle(server: Seen["server"], head: string, socket: Socket): void {
    const [line, ...rest] = head.split("\r\n");
    const target = line!.split(" ")[1]!;
    const url = new URL(target, this.endpoint); // absolute when we are a proxy
    const headers = Object.fromEntries(
      rest.filter(Boolean).map((text) => {
        const colon = text.indexOf(":");
        return [text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim()];
      }),
    );
    const seen: Seen = { server, path: decodeURI(url.pathname), headers };
    this.seen.push(seen);
    this.onRequest(seen);
    const key = [...this.faults.keys()].find(
      (part) => seen.path.includes(part) && this.faults.get(part)!.length > 0,
    );
    const fault = key === undefined ? {} : this.faults.get(key)!.shift()!;
    if (fault.hang) return;
    if (fault.drop) {
      socket.destroy();
      return;
    }
    if (fault.status !== undefined) {
      send(
        socket,
        { status: fault.status, headers: fault.headers ?? {}, body: Buffer.from(fault.body ?? "") },
        {},
      );
    } else if (
      server === "hub" &&
      this.token !== undefined &&
      headers.authorization !== `Bearer ${this.token}`
    ) {
      send(socket, { status: 401, headers: { "X-Error-Code": "RepoNotFound" } }, {});
    } else {
      send(socket, this.#answer(seen, url, fault), fault);
    }
  }

  #answer({ server, path, headers }: Seen, url: URL, fault: Fault): Reply {
    if (server === "storage") {
      const file = [...this.files.values()].find(({ etag }) => path === `/blob/${etag}`);
      if (file === undefined) return { status: 404 };
      return fileReply(file, headers.range, { ETag: `"${fault.etag ?? `storage-${file.etag}`}"` }, fault);
    }
    const info = new RegExp(`^/api/(?:models|datasets)/${this.name}/revision/(.+)$`).exec(path);
    if (info?.[1] === "nowhere") return { status: 404, headers: { "X-Error-Code": "RevisionNotFound" } };
    if (info !== null)
      return jsonReply({ _id: "1", id: this.name, sha: this.commit, private: false, gated: false });
    if (path.endsWith(`/${this.name}/tree/${this.commit}`)) {
      const all = this.tree ?? [...this.files].map(([name, file]) => entry(name, file));
      const from = Number(url.searchParams.get("cursor") ?? 0);
      const next = from + this.pageSize;
      url.searchParams.set("cursor", String(next));
      const link = { Link: this.nextLink(url) };
      return jsonReply(all.slice(from, next), next < all.length ? link : {});
    }
    const [, name] = new RegExp(`^/(?:datasets/)?${this.name}/resolve/${this.commit}/(.+)$`).exec(path) ?? [];
    const file = name === undefined ? undefined : this.files.get(name);
    if (file === undefined) return { status: 404, headers: { "X-Error-Code": "RepoNotFound" } };
    const common = { "X-Repo-Commit": this.commit, ETag: `"${fault.etag ?? file.etag}"` };
    if (!file.lfs) return fileReply(file, headers.range, common, fault);
    const linked = {
      "X-Linked-ETag": `"${fault.etag ?? file.etag}"`,
      "X-Linked-Size": String(file.bytes.length),
      Location: `${this.storage}/blob/${file.etag}?signature=SIGNATURE`,
    };
    return { status: 302, headers: { ...common, ...linked, ...fault.headers } };
  }
}

interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

function jsonReply(value: unknown, headers: Record<string, string> = {}): Reply {
  return {
    status: 200,
    headers: { "Content-Type": "application/json", ...headers },
    body: Buffer.from(JSON.stringify(value)),
  };
}

function entry(path: string, { bytes, lfs, etag }: FakeFile): object {
  const oid = createHash("sha1").update(`pointer ${etag}`).digest("hex");
  const size = bytes.length;
  return lfs
    ? { type: "file", oid, size, path, lfs: { oid: etag, size, pointerSize: 134 } }
    : { type: "file", oid: etag, size, path };
}

function fileReply(
  { bytes }: FakeFile,
  range: string | undefined,
  headers: Record<string, string>,
  fault: Fault,
): Reply {
  const asked = /^bytes=(\d+)-$/.exec(range ?? "");
  if (asked === null || fault.ignoreRange) return { status: 200, headers, body: bytes };
  const start = Number(asked[1]) + (fault.shiftRange ?? 0);
  if (start >= bytes.length) return { status: 416, headers: { "Content-Range": `bytes */${bytes.length}` } };
  const part = { "Content-Range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` };
  return { status: 206, headers: { ...headers, ...part }, body: bytes.subarray(start) };
}

async function send(
  socket: Socket,
  { status, headers = {}, body = new Uint8Array() }: Reply,
  fault: Fault,
): Promise<void> {
  let sent = body;
  if (fault.corrupt) sent = sent.map((byte, index) => (index === sent.length - 1 ? byte ^ 1 : byte));
  if (fault.extra !== undefined) sent = Buffer.concat([sent, Buffer.from(fault.extra)]);
  const length = fault.length ?? sent.length;
  const announced = length === "none" ? {} : { "Content-Length": String(length) };
  const lines = Object.entries({ ...headers, ...announced, Connection: "close" });
  socket.write(
    `HTTP/1.1 ${status} Status\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
  );
  if (fault.dropAfter !== undefined) {
    socket.write(sent.subarray(0, fault.dropAfter));
    await Bun.sleep(200); // Bun's fetch forgets bytes that come in one go with the end
    socket.destroy();
    return;
  }
  if (fault.drip === undefined) {
    socket.end(sent);
    return;
  }
  const [step, ms] = fault.drip;
  for (let at = 0; at < sent.length && !socket.destroyed; at += step) {
    socket.write(sent.subarray(at, at + step));
    await Bun.sleep(ms);
  }
  socket.end();
}
