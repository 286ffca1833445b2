// The package ships no types. Only what files/safetensors/ uses is declared.
declare module "safetensors" {
  export class SafeTensor {
    /** `buffer` must start its ArrayBuffer: u64 header length, header, data. */
    constructor(buffer: Uint8Array);
    /** Offsets count from the start of `buffer`. */
    readonly metadata: Map<string, { dtype: string; shape: number[]; data_offsets: number[] }>;
  }
}

// Imported `with { type: "file" }`: the path of a file that the compiled binary carries.
declare module "*.safetensors" {
  const path: string;
  export default path;
}
