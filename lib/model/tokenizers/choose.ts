/** Which tokenizer class a folder's tokenizer is of, as AutoTokenizer of `transformers` 5.24 chooses. */
import { fail, show } from "../../base/json.ts";
import { bert, distilbert, mpnet } from "./bert.ts";
import type { TokenizerClass } from "./class.ts";
import { roberta } from "./roberta.ts";
import { albert, camembert, xlmRoberta } from "./unigram.ts";

/** A new class is a file beside bert.ts and an entry here. */
export const CLASSES: readonly TokenizerClass[] = [
  bert,
  distilbert,
  mpnet,
  roberta,
  xlmRoberta,
  camembert,
  albert,
];

/** The class of a kind of model whose files name none. Models of other kinds have a tokenizer.json that stands for itself. */
const OF_MODEL: Readonly<Record<string, TokenizerClass>> = {
  bert,
  distilbert: bert,
  electra: bert,
  mpnet,
  roberta,
  "xlm-roberta": xlmRoberta,
  camembert,
  albert,
};

/** Kinds of models whose tokenizer.json stands for itself, whatever class its files name: those of the first ones name a wrong one. */
const ALWAYS_PLAIN = ["modernbert"];

/**
 * Classes of the library that make a tokenizer in ways of their own. A name that is not here, nor in CLASSES, is none of the library's: then
 * tokenizer.json stands for itself.
 */
const OTHERS = new Set(
  (
    "Barthez Bartpho BertGeneration BertJapanese Bertweet BigBird BioGpt Blenderbot BlenderbotSmall ByT5 CLIP CTRL Canine Clvp CodeGen CodeLlama Cohere ConvBert Cpm " +
    "CpmAnt DPRContextEncoder DPRQuestionEncoder DPRReader Deberta DebertaV2 Esm Esmc FNet FSMT Flaubert Funnel GPT2 GPTNeoX GPTNeoXJapanese GPTSw3 Gemma Herbert LayoutLMv2 LayoutLMv3 " +
    "LayoutXLM Llama Luke M2M100 MBart MBart50 MLuke Marian MarkupLM MyT5 Nllb Nougat OpenAIGPT PLBart Pegasus Perceiver Phobert ProphetNet Qwen2 Reformer RemBert RoCBert RoFormer " +
    "SeamlessM4T Splinter T5 Tapas Udop Whisper XGLM XLM XLNet"
  ).split(" "),
);

/**
 * The class of this name, or of this kind of model where there is no name; undefined where tokenizer.json stands for itself.
 *
 * @throws UffbError for a class that is not supported
 */
export function chooseClass(name: unknown, modelType: unknown, source: string): TokenizerClass | undefined {
  const type = typeof modelType === "string" ? modelType : "";
  if (ALWAYS_PLAIN.includes(type)) return undefined;
  if (typeof name !== "string") return Object.hasOwn(OF_MODEL, type) ? OF_MODEL[type] : undefined;
  const plain = name.replace(/Fast$/, "");
  const found = CLASSES.find(({ names }) => names.includes(plain));
  if (found || !OTHERS.has(plain.replace(/Tokenizer$/, ""))) return found;
  const supported = CLASSES.flatMap(({ names }) => names).join(", ");
  fail(
    `${source}: tokenizer_class`,
    `${show(name)} is not supported; supported are ${supported}, PreTrainedTokenizerFast`,
  );
}
