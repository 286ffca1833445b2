/** The two files that `torch.save` has written: both hold a pickle of the objects and, beside it, the raw bytes of each storage. */

import { UffbError } from "../../base/errors.ts";
import { quoted } from "../../base/printable.ts";
import { type Host, unpickle, type Value } from "./machine.ts";
import { type Storage, TorchHost } from "./tensors.ts";
import { readZip } from "./zip.ts";

function missing(storage: Storage): never {
  throw new UffbError(`the storage ${quoted(storage.key)} is not in the file`);
}

/** PyTorch 1.6 and later: NAME/data.pkl, NAME/data/KEY and NAME/byteorder in a ZIP file. */
export function readZipCheckpoint(file: Uint8Array): Value {
  const entries = readZip(file);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1)
    throw new UffbError("a ZIP file, but not a PyTorch checkpoint: it has no NAME/data.pkl");
  const root = pickles[0]!.slice(0, -"data.pkl".length);
  const byteorder = entries.get(`${root}byteorder`);
  if (byteorder !== undefined && new TextDecoder().decode(byteorder.subarray(0, 16)) !== "little") {
    throw new UffbError("its numbers are big-endian; save it again on a little-endian machine");
  }
  const host = new TorchHost();
  const { value } = unpickle(entries.get(`${root}data.pkl`)!, 0, host);
  for (const storage of host.storages.values()) {
    const bytes = entries.get(`${root}data/${storage.key}`) ?? missing(storage);
    const expected = storage.byteLength;
    if (bytes.length !== expected) {
      throw new UffbError(
        `the storage ${quoted(storage.key)} has ${bytes.length} bytes instead of ${expected}`,
      );
    }
    storage.bytes = bytes;
  }
  return value;
}

const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
const SMALL = 64 * 2 ** 10;

/** The small pickles around the one that matters have plain values only. */
const PLAIN: Host = {
  global: (module, name) => {
    throw new UffbError(`the file's header asks for ${quoted(`${module}.${name}`)}`);
  },
  call: () => {
    throw new UffbError("the file's header calls something");
  },
  persistent: () => {
    throw new UffbError("the file's header refers to a storage");
  },
};

/**
 * PyTorch before 1.6: five pickles one after the other (magic number, protocol, facts about the machine, the objects, the list of
 * storage keys), then for each key its number of elements (int64) and their bytes.
 */
export function readLegacyCheckpoint(file: Uint8Array): Value {
  const magic = unpickle(file, 0, PLAIN, SMALL);
  if (magic.value !== MAGIC) throw new UffbError("a pickle, but not a PyTorch checkpoint");
  const protocol = unpickle(file, magic.end, PLAIN, SMALL);
  if (protocol.value !== PROTOCOL) throw new UffbError("a PyTorch checkpoint of an unknown version");
  const system = unpickle(file, protocol.end, PLAIN, SMALL);
  if (!(system.value instanceof Map) || system.value.get("little_endian") !== true) {
    throw new UffbError("its numbers are big-endian; save it again on a little-endian machine");
  }
  const host = new TorchHost();
  const objects = unpickle(file, system.end, host);
  const keys = unpickle(file, objects.end, PLAIN, 2 ** 20 + 512 * host.storages.size);
  if (!Array.isArray(keys.value) || keys.value.length !== host.storages.size) {
    throw new UffbError("its list of storages is not that of its tensors");
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let at = keys.end;
  for (const key of keys.value) {
    const storage = host.storages.get(key as string);
    if (storage === undefined || storage.bytes !== undefined) {
      throw new UffbError("its list of storages is not that of its tensors");
    }
    const end = at + 8 + storage.byteLength;
    if (end > file.length || view.getBigInt64(at, true) !== BigInt(storage.length)) missing(storage);
    storage.bytes = file.subarray(at + 8, end);
    at = end;
  }
  return objects.value;
}
