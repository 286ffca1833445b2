import { isObject, tryJson } from "../base/json.ts";
import { type BadRow, lines, objectRow, type Row, utf8, withoutMark } from "./rows.ts";

/**
 * Reads JSON lines as SuperGLUE has them: one object a line; blank lines are not rows. `expand` turns an object into several rows, where
 * a line holds more than one example.
 */
export function* readJsonl(
  bytes: Uint8Array,
  expand: (value: Record<string, unknown>) => (Record<string, unknown> | string)[] = (value) => [value],
): Generator<Row | BadRow> {
  for (const { line, bytes: text } of lines(withoutMark(bytes))) {
    if (text.length === 0) continue;
    const value = parse(text);
    if (typeof value === "string") yield { line, error: value };
    else
      for (const row of expand(value))
        yield typeof row === "string" ? { line, error: row } : objectRow(line, row);
  }
}

function parse(bytes: Uint8Array): Record<string, unknown> | string {
  const text = utf8(bytes);
  if (text === undefined) return "not UTF-8";
  const read = tryJson(text);
  if ("error" in read) return read.error;
  return isObject(read.value) ? read.value : "not a JSON object";
}

/**
 * MultiRC's own file has a paragraph a line, with questions and their answers inside; as on the hub, each answer becomes a row. Anything
 * else inside becomes the reason why it cannot be read.
 */
export function expandMultirc(value: Record<string, unknown>): (Record<string, unknown> | string)[] {
  const { passage, idx } = value;
  if (!isObject(passage) || !Array.isArray(passage.questions)) return ["no passage with questions"];
  const { text, questions } = passage;
  const rows: (Record<string, unknown> | string)[] = [];
  for (const question of questions as unknown[]) {
    if (!isObject(question) || !Array.isArray(question.answers) || question.answers.length === 0) {
      rows.push("a question without answers");
      continue;
    }
    for (const answer of question.answers as unknown[]) {
      if (!isObject(answer)) {
        rows.push("an answer that is not an object");
        continue;
      }
      rows.push({
        paragraph: text,
        question: question.question,
        answer: answer.text,
        label: answer.label,
        idx: { paragraph: idx, question: question.idx, answer: answer.idx },
      });
    }
  }
  return rows.length > 0 ? rows : ["a passage without questions"];
}
