/** Where the texts of a picture stand, so that tests can look for those that collide. */
import { SIZES, type TextClass, textWidth } from "../lib/base/svg.ts";

export interface Box {
  text: string;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

const ENTITIES: Readonly<Record<string, string>> = { "&amp;": "&", "&lt;": "<", "&quot;": '"' };

/** The boxes of all texts, in units of the picture. Groups may be moved, and nothing else is done to them. */
export function textBoxes(svg: string): Box[] {
  const boxes: Box[] = [];
  const moved: [number, number][] = [[0, 0]];
  for (const [tag, content] of Array.from(
    svg.matchAll(/<g\b[^>]*>|<\/g>|<text\b[^>]*>([^<]*)<\/text>/g),
    (m) => [m[0], m[1]] as const,
  )) {
    const [dx, dy] = moved.at(-1)!;
    if (tag === "</g>") moved.pop();
    else if (tag.startsWith("<g")) {
      const [, x = 0, y = 0] = /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(tag) ?? [];
      moved.push([dx + Number(x), dy + Number(y)]);
    } else {
      const attribute = (name: string) => new RegExp(` ${name}="([^"]*)"`).exec(tag)?.[1];
      const kind = attribute("class")!.split(" ")[0] as TextClass;
      const text = content!.replace(/&\w+;/g, (entity) => ENTITIES[entity]!);
      const width = textWidth(text, kind);
      const share = { start: 0, middle: 0.5, end: 1 }[attribute("text-anchor") ?? "start"]!;
      const left = dx + Number(attribute("x")) - share * width;
      const base = dy + Number(attribute("y"));
      boxes.push({
        text,
        left,
        right: left + width,
        top: base - 0.75 * SIZES[kind],
        bottom: base + 0.2 * SIZES[kind],
      });
    }
  }
  return boxes;
}

/** Pairs of texts that overlap, and texts that leave the picture. */
export function collisions(svg: string): string[] {
  const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(svg)!.map(Number) as [number, number, number];
  const boxes = textBoxes(svg);
  const outside = boxes.filter(
    ({ left, right, top, bottom }) => left < 0 || top < 0 || right > width || bottom > height,
  );
  const pairs = boxes.flatMap((a, i) =>
    boxes
      .slice(i + 1)
      .filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      .map((b) => `${JSON.stringify(a.text)} and ${JSON.stringify(b.text)}`),
  );
  return [...outside.map(({ text }) => `${JSON.stringify(text)} leaves the picture`), ...pairs];
}
