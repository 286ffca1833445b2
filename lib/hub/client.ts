import { UffbError } from "../base/errors.ts";
import type { Repo } from "./names.ts";
import { parseRetryAfter, type RetryPolicy, retrying, StallWatch, TryAgain } from "./retry.ts";

const MAX_REDIRECTS = 8;
/** One page of a listing is at most 1000 entries of a few hundred bytes. */
const MAX_API_BYTES = 16 << 20;
const MAX_API_CALLS = 1000;

export interface Answer {
  response: Response;
  /** The headers of the hub's own last answer; the response may be another host's after a redirect. */
  hub: Headers;
  /** The host that sent the response. */
  host: string;
  /** True when that is not the hub. */
  elsewhere: boolean;
}

/** Speaks HTTP with one hub about one repository: token, redirects, stalls, and what each status means to the user. */
export class HubClient {
  readonly endpoint: string;
  readonly repo: Repo;
  readonly policy: RetryPolicy;
  readonly signal: AbortSignal | undefined;
  readonly onWait: (reason: string, ms: number) => void;
  readonly #origin: string;
  readonly #token: string | undefined;
  #apiCalls = 0;

  constructor(options: {
    endpoint: string;
    token: string | undefined;
    repo: Repo;
    policy: RetryPolicy;
    signal: AbortSignal | undefined;
    onWait: (reason: string, ms: number) => void;
  }) {
    this.endpoint = options.endpoint;
    this.repo = options.repo;
    this.policy = options.policy;
    this.signal = options.signal;
    this.onWait = options.onWait;
    this.#origin = new URL(options.endpoint).origin;
    this.#token = options.token;
  }

  /** The address of a file's bytes at one commit. */
  resolveUrl(commit: string, path: string): string {
    const kind = this.repo.type === "dataset" ? "datasets/" : "";
    const encoded = path.split("/").map(encodeURIComponent).join("/");
    return `${this.endpoint}/${kind}${this.repo.name}/resolve/${commit}/${encoded}`;
  }

  /**
   * A GET that follows redirects itself, because the token may go to the hub's own origin only and the hub's headers
   * (ETag, error code) would be lost on the way.
   * @throws TryAgain when the network failed
   * @throws UffbError for redirects that no hub sends, and for certificates
   */
  async get(url: string, headers: Record<string, string>, watch: StallWatch): Promise<Answer> {
    let at = new URL(url);
    let hub = new Headers();
    for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
      const ours = at.origin === this.#origin;
      const authorization =
        ours && this.#token !== undefined ? { Authorization: `Bearer ${this.#token}` } : {};
      const response = await fetch(at.href, {
        redirect: "manual",
        headers: { "User-Agent": "uffb", ...headers, ...authorization },
        signal: watch.signal,
      }).catch((error) => {
        throw networkFailure(error, at, watch);
      });
      watch.restart();
      if (ours) hub = response.headers;
      const location = response.headers.get("location");
      if (![301, 302, 303, 307, 308].includes(response.status) || location === null) {
        return { response, hub, host: at.host, elsewhere: !ours };
      }
      await response.body?.cancel();
      const next = URL.parse(location, at.href);
      const safe = next?.protocol === "https:" || (next?.protocol === "http:" && at.protocol === "http:");
      if (next === null || !safe)
        throw new UffbError(`${at.host} redirects to an address that is not safe to follow`);
      at = next;
    }
    throw new UffbError(`${this.host} redirects in circles; check HF_ENDPOINT`);
  }

  get host(): string {
    return new URL(this.endpoint).host;
  }

  /** `fetch` for `@huggingface/hub`'s listing functions: only GET, retried, in bounded memory, and only ever ok. */
  readonly api = async (input: unknown): Promise<Response> => {
    if (++this.#apiCalls > MAX_API_CALLS)
      throw new UffbError(`${this.host} lists ${this.repo.name} without end`);
    return retrying(this.policy, this.signal, () => this.#apiTry(String(input)), this.onWait);
  };

  async #apiTry(url: string): Promise<Response> {
    using watch = new StallWatch(this.policy, this.signal);
    const answer = await this.get(url, { Accept: "application/json" }, watch);
    const { response } = answer;
    if (!response.ok) {
      await response.body?.cancel();
      throw this.failure(answer, this.repo.name);
    }
    const body = new Uint8Array(await this.#readAll(response, answer.host, watch));
    const headers = new Headers(response.headers);
    const link = headers.get("link");
    // The library knows absolute addresses in quotes alone, and takes any other link for the end of the list.
    if (link !== null) headers.set("link", this.#nextPage(link, response.url || url));
    return new Response(body, { status: response.status, headers });
  }

  /** The address of a listing's next page, as the library reads it; nothing for links to anything else. */
  #nextPage(link: string, page: string): string {
    for (const [, address, about] of link.matchAll(/<([^>]*)>([^<]*)/g)) {
      if (!/;\s*rel\s*=\s*("[^"]*\bnext\b[^"]*"|next\b)/i.test(about!)) continue;
      const next = URL.parse(address!, page);
      if (next) return `<${next.href}>; rel="next"`;
    }
    if (!/\bnext\b/i.test(link)) return "";
    throw new UffbError(
      `${this.host} names the next page of a listing in a way that cannot be read; check the proxy`,
    );
  }

  async #readAll(response: Response, host: string, watch: StallWatch): Promise<ArrayBuffer> {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response.body ?? []) {
        bytes += chunk.length;
        if (bytes > MAX_API_BYTES)
          throw new UffbError(`${host} answers a listing with more than ${MAX_API_BYTES} bytes`);
        watch.arrived(chunk.length);
        chunks.push(chunk);
      }
    } catch (error) {
      throw error instanceof UffbError ? error : networkFailure(error, new URL(`http://${host}`), watch);
    }
    return new Blob(chunks as Uint8Array<ArrayBuffer>[]).arrayBuffer();
  }

  /** What a status other than 2xx means: something to try again, or an error that names the way out. */
  failure({ response, hub, host, elsewhere }: Answer, what: string): Error {
    const { status } = response;
    const code = hub.get("x-error-code");
    const waitMs = parseRetryAfter(response.headers.get("retry-after"));
    if (status === 429) return new TryAgain(`${host} says there were too many requests (429)`, { waitMs });
    if (status === 408 || status >= 500)
      return new TryAgain(`${host} answers with error ${status}`, { waitMs });
    // A signed address of a storage host runs out after a while; the next try gets a new one from the hub.
    if (elsewhere) return new TryAgain(`${host} refuses ${what} (${status})`);
    const { name, type } = this.repo;
    const page = `${this.endpoint}/${type === "dataset" ? "datasets/" : ""}${name}`;
    if (code === "GatedRepo") {
      return new UffbError(
        `${name} is gated (${status}); accept its conditions on ${page}, then set HF_TOKEN`,
      );
    }
    if (code === "RevisionNotFound")
      return new UffbError(`${name} has no such revision (${status}); see ${page}`);
    if (code === "EntryNotFound")
      return new UffbError(`${host} has no file ${what} any more (${status}); try again`);
    if (status === 401 || status === 403) {
      const remedy =
        this.#token === undefined ? "set HF_TOKEN or pass --token" : "the token gives no access to it";
      return new UffbError(
        `${host} has no ${type} ${name}, or it is private (${status}); check the name, ${remedy}`,
      );
    }
    if (status === 404) return new UffbError(`${host} has no ${type} ${name} (404); check the name, ${page}`);
    return new UffbError(`${host} answers ${status} for ${what}; check HF_ENDPOINT and the proxy`);
  }
}

/**
 * Turns what fetch or a body threw into a `TryAgain`; certificates do not get better by waiting. The text is made here, from
 * the error's code, because messages of a runtime may hold the whole address with its signature.
 */
export function networkFailure(error: unknown, at: URL, watch: StallWatch, gained = 0): Error {
  const reason = watch.signal.aborted ? watch.signal.reason : error;
  if (reason instanceof TryAgain) return new TryAgain(`${at.host}: ${reason.message}`, { gained });
  if (watch.signal.aborted) return reason;
  const code = String((error as { code?: unknown }).code ?? (error as Error).name);
  if (/CERT|SELF_SIGNED|ISSUER|SIGNATURE|ALTNAME/.test(code)) {
    return new UffbError(`${at.host} shows a certificate that cannot be trusted (${code}); check the proxy`);
  }
  return new TryAgain(`the connection to ${at.host} failed (${code})`, { gained });
}
