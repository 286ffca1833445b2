import { formatBytes, formatSeconds } from "../base/numbers.ts";
import { printable } from "../base/printable.ts";
import { bar } from "../base/progress.ts";
import type { DownloadEvent } from "./download.ts";
import type { HubFile } from "./listing.ts";

/** The rate is that of the last few seconds. */
const WINDOW_MS = 8000;
const REDRAW_MS = 100;
/** More would not fit on a small terminal. */
const MAX_BARS = 10;
/** How often a plain log hears of a file that is still going. */
const LOG_MS = 15_000;

class Meter {
  #marks: { at: number; bytes: number }[];
  logged: number;
  readonly started: number;
  /** What was there before this run. */
  readonly first: number;

  constructor(
    readonly file: HubFile,
    public bytes: number,
    now: number,
  ) {
    this.#marks = [{ at: now, bytes }];
    this.started = this.logged = now;
    this.first = bytes;
  }

  move(bytes: number, now: number): void {
    if (bytes < this.bytes) this.#marks = [{ at: now, bytes }]; // it starts over
    this.bytes = bytes;
    if (now - this.#marks.at(-1)!.at >= REDRAW_MS) this.#marks.push({ at: now, bytes });
    while (this.#marks.length > 2 && now - this.#marks[0]!.at > WINDOW_MS) this.#marks.shift();
  }

  /** Bytes a second, 0 while unknown. */
  rate(now: number): number {
    const oldest = this.#marks[0]!;
    return now > oldest.at ? ((this.bytes - oldest.bytes) * 1000) / (now - oldest.at) : 0;
  }

  status(now: number): string {
    const rate = this.rate(now);
    const { size } = this.file;
    if (this.bytes === size) return `${formatBytes(size)}, checking`;
    const left = rate > 0 ? `, ${formatSeconds((size - this.bytes) / rate)} left` : "";
    return `${formatBytes(this.bytes)} of ${formatBytes(size)}, ${formatBytes(rate)}/s${left}`;
  }

  summary(now: number): string {
    const seconds = (now - this.started) / 1000;
    const fetched = this.file.size - this.first;
    const rate = seconds >= 0.1 && fetched > 0 ? `, ${formatBytes(fetched / seconds)}/s` : "";
    return `${this.file.path}  ${formatBytes(this.file.size)}${rate}`;
  }
}

export interface ProgressOptions {
  write(text: string): void;
  /** Columns of the terminal to draw bars on; undefined for plain lines. */
  columns: number | undefined;
  now?: (() => number) | undefined;
}

/** Shows download events: on a terminal a bar for each file that is going and a line for each that is done; else lines only. */
export class Progress {
  readonly #meters = new Map<HubFile, Meter>();
  readonly #options: ProgressOptions;
  readonly #now: () => number;
  /** Lines of bars on the screen, below which the cursor is. */
  #drawn = 0;
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  readonly show = (event: DownloadEvent): void => {
    const now = this.#now();
    if (event.kind === "wait") {
      this.#line(`${event.reason}; trying again in ${formatSeconds(event.ms / 1000)}`);
      return;
    }
    let meter = this.#meters.get(event.file);
    if (meter === undefined) {
      meter = new Meter(event.file, event.kind === "bytes" ? event.bytes : event.file.size, now);
      this.#meters.set(event.file, meter);
    }
    if (event.kind === "done") {
      this.#meters.delete(event.file);
      this.#line(meter.summary(now));
      return;
    }
    meter.move(event.bytes, now);
    if (this.#options.columns !== undefined) {
      if (now - this.#drawnAt >= REDRAW_MS || event.bytes === event.file.size) this.#redraw(now);
    } else if (now - meter.logged >= LOG_MS) {
      meter.logged = now;
      this.#line(`${meter.file.path}  ${meter.status(now)}`);
    }
  };

  /** Takes the bars off the screen; what is written next starts on a clean line. */
  clear(): void {
    if (this.#drawn > 0) this.#options.write(`\x1b[${this.#drawn}A\x1b[J`);
    this.#drawn = 0;
  }

  #line(text: string): void {
    this.clear();
    this.#options.write(`${printable(text)}\n`);
    if (this.#options.columns !== undefined) this.#redraw(this.#now());
  }

  #redraw(now: number): void {
    this.clear();
    const columns = this.#options.columns!;
    const lines = [...this.#meters.values()].slice(0, MAX_BARS).map((meter) => line(meter, columns, now));
    this.#options.write(lines.map((line) => `${line}\n`).join(""));
    this.#drawn = lines.length;
    this.#drawnAt = now;
  }
}

/** `name  ████░░░░  340 MB of 755 MB, 61.2 MB/s, 7 s left`, never wider than the terminal. */
function line(meter: Meter, columns: number, now: number): string {
  const status = meter.status(now);
  const room = columns - 1 - status.length - 4;
  const { path, size } = meter.file;
  const nameWidth = Math.min(30, Math.max(8, Math.floor(room / 2)));
  const letters = [...printable(path)];
  const name = letters.length > nameWidth ? `…${letters.slice(1 - nameWidth).join("")}` : letters.join("");
  const barWidth = Math.min(30, room - nameWidth);
  const drawing = barWidth >= 4 ? `  ${bar(size === 0 ? 1 : meter.bytes / size, barWidth)}` : "";
  return `${name.padEnd(nameWidth)}${drawing}  ${status}`.slice(0, Math.max(1, columns - 1));
}
