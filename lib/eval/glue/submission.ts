import { UffbError } from "../../base/errors.ts";
import type { Evaluation } from "./evaluate.ts";

/** A file of a submission to the GLUE server: `index<tab>prediction`, a row for each row of the test set, in its order. */
export interface SubmissionFile {
  name: string;
  text: string;
}

/**
 * The server's file for a test set. @throws UffbError when a row of it, or a number for one, is missing; the server wants all.
 * @param evaluation of the test set of a task that is on the server
 */
export function submissionFile({ dataset, predictions }: Evaluation): SubmissionFile {
  const { task, bad } = dataset;
  const [missing] = bad;
  if (missing) {
    throw new UffbError(
      `${missing.file}:${missing.line}: cannot be read (${missing.error}), and the server wants every row; fetch it again`,
    );
  }
  const { file, labels } = task.submission!;
  const answer = (index: number, prediction: number) => {
    if (Number.isNaN(prediction))
      throw new UffbError(`${task.title}: the model gives no number for test example ${index}; try another`);
    if (task.labels.length === 0) return prediction.toFixed(6);
    return labels === "names" ? task.labels[prediction]! : String(prediction);
  };
  const rows = predictions.map(({ index, prediction }) => `${index}\t${answer(index, prediction)}\n`);
  return { name: file, text: `index\tprediction\n${rows.join("")}` };
}
