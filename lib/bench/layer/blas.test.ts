import { afterEach, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { TemporaryFolder } from "../../../testing/folders.ts";
import { installHint } from "./blas.ts";

const { PATH } = process.env;
afterEach(() => {
  process.env.PATH = PATH;
});

test("the hint names packages that this system has", () => {
  using folder = new TemporaryFolder();
  process.env.PATH = folder.path;
  expect(installHint()).toBe("install OpenBLAS, BLIS, oneDNN or MKL");
  const lists = "libblis4 - BLAS\\nlibblis10 - BLAS\\nlibopenblas0 - BLAS\\nlibdnnl3.6 - oneDNN";
  writeFileSync(folder.file("apt-cache"), `#!/bin/sh\nprintf '${lists}\\n'\n`);
  chmodSync(folder.file("apt-cache"), 0o755);
  expect(installHint()).toBe("apt-get install libopenblas0 libblis10 libdnnl3.6 brings more");
});
