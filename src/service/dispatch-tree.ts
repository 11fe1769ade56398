/**
 * A large list of "address, protocol, port -> rule" as a tree of small chains, so that a packet passes O(log n) rules and a change rewrites
 * O(log n) small chains. The tree is immutable and its shape follows from its entries alone, whatever the order in which they came.
 */

export interface Entry<Value> {
  /** Hex digits, all of one length in a tree; a digit is one level. */
  readonly key: string;
  /** Tells entries with one key apart and orders them. */
  readonly id: string;
  readonly value: Value;
}

export type Tree<Value> = Leaf<Value> | Inner<Value>;

export interface Leaf<Value> {
  readonly kind: 'leaf';
  /** Sorted by key, then id. */
  readonly entries: readonly Entry<Value>[];
}

export interface Inner<Value> {
  readonly kind: 'inner';
  /** What all keys below begin with; as long as possible. */
  readonly prefix: string;
  readonly count: number;
  /** By the digit after the prefix. */
  readonly children: readonly (Tree<Value> | undefined)[];
}

/** A leaf has at most so many entries, unless they all have one key. */
export const leafLimit = 16;
const radix = 16;

export function insertEntry<Value>(tree: Tree<Value> | undefined, entry: Entry<Value>): Tree<Value> {
  if (tree === undefined) return { kind: 'leaf', entries: [entry] };
  if (tree.kind === 'leaf') return grow(insertSorted(tree.entries, entry));
  if (!entry.key.startsWith(tree.prefix)) return fork(tree, entry);
  const digit = digitAt(entry.key, tree.prefix.length);
  const before = tree.children[digit];
  const child = insertEntry(before, entry);
  return { ...tree, count: tree.count + countOf(child) - countOf(before), children: tree.children.with(digit, child) };
}

/** An entry that is not there leaves the tree as it is. */
export function removeEntry<Value>(tree: Tree<Value> | undefined, key: string, id: string): Tree<Value> | undefined {
  if (tree === undefined) return undefined;
  if (tree.kind === 'leaf') {
    const entries = tree.entries.filter((entry) => entry.key !== key || entry.id !== id);
    if (entries.length === tree.entries.length) return tree;
    return entries.length === 0 ? undefined : { kind: 'leaf', entries };
  }
  if (!key.startsWith(tree.prefix)) return tree;
  const digit = digitAt(key, tree.prefix.length);
  const before = tree.children[digit];
  const child = removeEntry(before, key, id);
  return child === before
    ? tree
    : shrink({ ...tree, count: tree.count - 1, children: tree.children.with(digit, child) });
}

export function countOf<Value>(tree: Tree<Value> | undefined): number {
  if (tree === undefined) return 0;
  return tree.kind === 'leaf' ? tree.entries.length : tree.count;
}

/** Sorted by key, then id. */
export function entriesOf<Value>(tree: Tree<Value> | undefined): readonly Entry<Value>[] {
  if (tree === undefined) return [];
  return tree.kind === 'leaf' ? tree.entries : tree.children.flatMap((child) => entriesOf(child));
}

/** A leaf, or an inner node where there are too many for one. */
function grow<Value>(entries: readonly Entry<Value>[]): Tree<Value> {
  const first = entries[0];
  const last = entries.at(-1);
  if (entries.length <= leafLimit || first === undefined || last === undefined || first.key === last.key) {
    return { kind: 'leaf', entries };
  }
  const prefix = commonPrefix(first.key, last.key);
  const groups: Entry<Value>[][] = Array.from({ length: radix }, () => []);
  for (const entry of entries) groups[digitAt(entry.key, prefix.length)]?.push(entry);
  const children = groups.map((members) => (members.length === 0 ? undefined : grow(members)));
  return { kind: 'inner', prefix, count: entries.length, children };
}

/** The entry is outside: a node above that holds both. */
function fork<Value>(tree: Inner<Value>, entry: Entry<Value>): Inner<Value> {
  const prefix = commonPrefix(tree.prefix, entry.key);
  const none: readonly (Tree<Value> | undefined)[] = Array.from({ length: radix }, () => undefined);
  const children = none
    .with(digitAt(tree.prefix, prefix.length), tree)
    .with(digitAt(entry.key, prefix.length), { kind: 'leaf', entries: [entry] });
  return { kind: 'inner', prefix, count: tree.count + 1, children };
}

function shrink<Value>(tree: Inner<Value>): Tree<Value> {
  if (tree.count <= leafLimit) return { kind: 'leaf', entries: entriesOf(tree) };
  const present = tree.children.filter((child) => child !== undefined);
  const [only] = present;
  return present.length === 1 && only !== undefined ? only : tree;
}

function insertSorted<Value>(entries: readonly Entry<Value>[], entry: Entry<Value>): readonly Entry<Value>[] {
  const place = entries.findIndex((other) => isBefore(entry, other));
  return place < 0 ? [...entries, entry] : entries.toSpliced(place, 0, entry);
}

function isBefore(one: Entry<unknown>, other: Entry<unknown>): boolean {
  return one.key === other.key ? one.id < other.id : one.key < other.key;
}

function commonPrefix(one: string, other: string): string {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length += 1;
  return one.slice(0, length);
}

function digitAt(key: string, index: number): number {
  return Number.parseInt(key.charAt(index), radix);
}
