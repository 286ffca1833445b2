import { isObject } from "../base/json.ts";

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
