/** What all pictures share: text and its size, labels that do not collide, colours for light and dark pages. */

/** Text as XML content or attribute. Control characters, which XML forbids, become spaces. */
export function xml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll('"', "&quot;")
    .replace(/[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]/gu, " ");
}

/** A coordinate, to a tenth of a unit. */
export const round = (value: number) => Number(value.toFixed(1));

/** Font sizes by class. `token` is monospaced, all others are not; `note` stands on lines, and has a halo. */
export const SIZES = { head: 16, title: 13, label: 12, token: 12, tick: 11, note: 11 } as const;
export type TextClass = keyof typeof SIZES;

/** Width of a character over the font's size: of common monospaced fonts, and more than the mean of common others. */
const MONOSPACED = 0.605;
const OTHERS = 0.6;

/** An upper estimate of the width of a text on one line. */
export function textWidth(text: string, kind: TextClass): number {
  return Bun.stringWidth(text) * SIZES[kind] * (kind === "token" ? MONOSPACED : OTHERS);
}

/** The text, or as much of its beginning as fits with an ellipsis. */
export function fitText(text: string, width: number, kind: TextClass): string {
  const line = xmlFree(text);
  if (textWidth(line, kind) <= width) return line;
  let kept = "";
  for (const character of line) {
    if (textWidth(`${kept}${character}…`, kind) > width) break;
    kept += character;
  }
  return `${kept}…`;
}

const xmlFree = (text: string) => text.replace(/\s+/g, " ").trim();

export interface TextOptions {
  anchor?: "start" | "middle" | "end";
  /** The series whose colour it has. */
  series?: number;
}

/** @param y of the baseline */
export function text(
  x: number,
  y: number,
  content: string,
  kind: TextClass,
  { anchor, series }: TextOptions = {},
): string {
  const colour = series === undefined ? "" : ` f${series % SERIES}`;
  const at = anchor === undefined || anchor === "start" ? "" : ` text-anchor="${anchor}"`;
  return `<text class="${kind}${colour}" x="${round(x)}" y="${round(y)}"${at}>${xml(content)}</text>`;
}

/** Colours of series on light and dark pages, told apart by colour-blind readers as far as so many can be. */
const LIGHT = [
  "#0072b2",
  "#c84e00",
  "#00795a",
  "#a83a84",
  "#8a5a00",
  "#3b6fd1",
  "#6a3d9a",
  "#b00020",
  "#555555",
  "#5a7a00",
  "#00717f",
];
const DARK = [
  "#56b4e9",
  "#ff9e4a",
  "#3fd0a4",
  "#f09acb",
  "#e6c229",
  "#9db8ff",
  "#bfa3f0",
  "#ff8a96",
  "#c4c4c4",
  "#b6d553",
  "#54d3e2",
];
export const SERIES = LIGHT.length;

const colours = (list: readonly string[]) =>
  list.map((colour, i) => `.s${i}{stroke:${colour}}.f${i}{fill:${colour}}`).join("");

const STYLE = `text{font-family:system-ui,sans-serif;fill:#222}
${Object.entries(SIZES)
  .map(([name, size]) => `.${name}{font-size:${size}px}`)
  .join("")}
.head,.title{font-weight:bold}.token{font-family:ui-monospace,monospace}.tick{fill:#555}.note{font-weight:bold;paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}
.page{fill:#fff}.grid{stroke:#e2e2e2;fill:none}.rule{stroke:#777;stroke-dasharray:4 3;fill:none}.unused{stroke:#b5b5b5;fill:none}
.branch{stroke:#2563a8;fill:none}.bar{fill:#d9822b}.line{fill:none}
${colours(LIGHT)}
@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.tick{fill:#a8a8a8}.page{fill:#0d1117}.note{stroke:#0d1117}.grid{stroke:#2a3038}.rule{stroke:#8b949e}
.unused{stroke:#4a5058}.branch{stroke:#6cb0f5}.bar{fill:#f0a050}
${colours(DARK)}}`;

/** A whole document; `title` is what screen readers say. */
export function svgDocument(width: number, height: number, title: string, body: readonly string[]): string {
  const size = `${Math.ceil(width)} ${Math.ceil(height)}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" width="${Math.ceil(width)}" height="${Math.ceil(height)}">
<title>${xml(title)}</title>
<style>${STYLE}</style>
<rect class="page" width="100%" height="100%"/>
${body.join("\n")}
</svg>
`;
}

/**
 * Places labels in a row without overlap, each as near to where it is wanted as the others allow, between `from` and `to` while they fit
 * there. In the order of `wanted`, which may be any.
 *
 * @param wanted centres and sizes
 */
export function spread(wanted: readonly { at: number; size: number }[], from: number, to: number): number[] {
  interface Group {
    members: number[];
    /** Left edge, width, and the sum of the edges that its members want. */
    start: number;
    size: number;
    sum: number;
  }
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]!.at - wanted[b]!.at || a - b);
  const groups: Group[] = [];
  const settle = (group: Group) => {
    group.start = Math.max(from, Math.min(to - group.size, group.sum / group.members.length));
  };
  for (const i of order) {
    const { at, size } = wanted[i]!;
    let group: Group = { members: [i], start: 0, size, sum: at - size / 2 };
    settle(group);
    // Neighbours that would overlap become one group, whose members want its edge each from their own place in it.
    for (
      let before = groups.at(-1);
      before && before.start + before.size > group.start;
      before = groups.at(-1)
    ) {
      groups.pop();
      group = {
        members: [...before.members, ...group.members],
        start: 0,
        size: before.size + group.size,
        sum: before.sum + group.sum - before.size * group.members.length,
      };
      settle(group);
    }
    groups.push(group);
  }
  const centres = new Array<number>(wanted.length);
  for (const { members, start } of groups) {
    let edge = start;
    for (const i of members) {
      centres[i] = edge + wanted[i]!.size / 2;
      edge += wanted[i]!.size;
    }
  }
  return centres;
}
