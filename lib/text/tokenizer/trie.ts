/**
 * The tokens of a vocabulary as a tree of their UTF-16 units, whose edges are in one open hash table: a few bytes an edge, where a map for each
 * node would take a hundred.
 */
export class Trie {
  /** By slot of the table: the node that an edge starts at plus 1 (0: no edge here), its unit, and the node that it leads to. */
  #from: Int32Array;
  #unit: Uint16Array;
  #to: Int32Array;
  /** By node: the token that ends there, or -1. */
  #value: Int32Array;
  /** 32 minus the binary logarithm of the number of slots. */
  #shift = 22;
  #nodes = 1;

  constructor(tokens: ReadonlyMap<string, number>) {
    const slots = 1 << (32 - this.#shift);
    this.#from = new Int32Array(slots);
    this.#unit = new Uint16Array(slots);
    this.#to = new Int32Array(slots);
    this.#value = new Int32Array(slots / 2).fill(-1);
    for (const [token, id] of tokens) {
      let node = 0;
      for (let i = 0; i < token.length; i++) node = this.#enter(node, token.charCodeAt(i));
      if (node > 0) this.#value[node] = id;
    }
  }

  /** The node that `unit` leads to from a node (0: the root), or -1. */
  next(node: number, unit: number): number {
    const slot = this.#find(node, unit);
    return this.#from[slot] === 0 ? -1 : this.#to[slot]!;
  }

  /** The token that ends at a node, or -1. */
  value(node: number): number {
    return this.#value[node]!;
  }

  /** The slot of an edge, or the free one where it would be. */
  #find(node: number, unit: number): number {
    const mask = this.#from.length - 1;
    let slot = (Math.imul(node, 0x9e3779b1) ^ Math.imul(unit + 1, 0x85ebca6b)) >>> this.#shift;
    while (this.#from[slot] !== 0 && (this.#from[slot] !== node + 1 || this.#unit[slot] !== unit))
      slot = (slot + 1) & mask;
    return slot;
  }

  #enter(node: number, unit: number): number {
    const slot = this.#find(node, unit);
    if (this.#from[slot] !== 0) return this.#to[slot]!;
    const to = this.#nodes++;
    this.#put(slot, node, unit, to);
    if (this.#nodes === this.#value.length) this.#grow();
    return to;
  }

  #put(slot: number, node: number, unit: number, to: number): void {
    this.#from[slot] = node + 1;
    this.#unit[slot] = unit;
    this.#to[slot] = to;
  }

  /** Twice the slots, so that never more than half of them are taken. */
  #grow(): void {
    const [from, unit, to, value] = [this.#from, this.#unit, this.#to, this.#value];
    this.#shift--;
    this.#from = new Int32Array(2 * from.length);
    this.#unit = new Uint16Array(2 * from.length);
    this.#to = new Int32Array(2 * from.length);
    for (let old = 0; old < from.length; old++) {
      if (from[old] === 0) continue;
      const node = from[old]! - 1;
      this.#put(this.#find(node, unit[old]!), node, unit[old]!, to[old]!);
    }
    this.#value = new Int32Array(2 * value.length).fill(-1);
    this.#value.set(value);
  }
}
