import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bytes, zip } from "../../../testing/forge.ts";
import { UffbError } from "../../base/errors.ts";
import { readZip } from "./zip.ts";

const A = { name: "m/a", data: bytes("alpha") };
const B = { name: "m/b", data: bytes("beta") };

describe("reading", () => {
  test.each([false, true])("gives each entry as a view of the file (zip64 %p)", (zip64) => {
    const file = zip([A, { name: "m/data/0", data: bytes() }, B], { zip64 });
    const entries = readZip(file);
    expect([...entries.keys()]).toEqual(["m/a", "m/data/0", "m/b"]);
    expect(entries.get("m/a")).toEqual(A.data);
    expect(entries.get("m/data/0")).toEqual(bytes());
    expect(entries.get("m/b")?.buffer).toBe(file.buffer);
  });

  test("passes over a comment, and is not fooled by one that looks like an end record", () => {
    expect(readZip(zip([A], { comment: `PK\x05\x06${"x".repeat(30)}` })).get("m/a")).toEqual(A.data);
  });
});

describe("refuses", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["a compressed entry", zip([{ ...A, method: 8 }]), /m\/a is compressed/],
    ["an encrypted entry", zip([{ ...A, flags: 0x801 }]), /m\/a is encrypted/],
    ["a name twice", zip([A, B, A]), /m\/a is there twice/],
    ["an entry over another", zip([A, { ...B, header: 0, localName: "m/a" }]), /not where it should be/],
    ["an entry that reaches into the next", zip([{ ...A, size: 30 }, B]), /m\/a overlaps/],
    ["an entry that reaches beyond the file", zip([{ ...A, size: 2 ** 31 }]), /m\/a overlaps/],
    ["a huge zip64 size", zip([{ ...A, size: 2 ** 50 }], { zip64: true }), /m\/a overlaps/],
    ["an entry outside the file", zip([{ ...A, header: 10 ** 9 }]), /not where it should be/],
    ["a local header of another name", zip([{ ...A, localName: "m/x" }]), /not where it should be/],
    ["a way out", zip([{ ...A, name: "../m/a" }]), /not a plain path/],
    ["an absolute name", zip([{ ...A, name: "/etc/passwd" }]), /not a plain path/],
    ["a drive", zip([{ ...A, name: "c:a" }]), /not a plain path/],
    ["a backslash", zip([{ ...A, name: "m\\a" }]), /not a plain path/],
    ["a NUL", zip([{ ...A, name: "m/a\0.pkl" }]), /not a plain path/],
    ["an empty step", zip([{ ...A, name: "m//a" }]), /not a plain path/],
    ["a dot step", zip([{ ...A, name: "m/./a" }]), /not a plain path/],
    ["a cut file", zip([A, B]).slice(0, -1), /no end record/],
    ["a few bytes", bytes("PK"), /too short/],
    ["something before the archive", bytes("x", zip([A])), /bad central directory/],
  ];
  test.each(cases)("%s", (_name, file, message) => {
    expect(() => readZip(file)).toThrow(UffbError);
    expect(() => readZip(file)).toThrow(message);
  });
});

test("any change of a byte gives an error or entries inside the file", () => {
  const honest = zip([A, B, { name: "m/c", data: bytes("g".repeat(40)) }], { zip64: true });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      (changes) => {
        const file = honest.slice();
        for (const [at, value] of changes) file[at] = value;
        let entries: Map<string, Uint8Array>;
        try {
          entries = readZip(file);
        } catch (error) {
          expect(error).toBeInstanceOf(UffbError);
          return;
        }
        const total = [...entries.values()].reduce((sum, data) => sum + data.length, 0);
        expect(total).toBeLessThanOrEqual(file.length);
      },
    ),
    { numRuns: 2000 },
  );
});
