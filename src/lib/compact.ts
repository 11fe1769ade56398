/** Values that are kept by the ten thousand, without the room that the engine leaves in what has grown. */

/** The same list in exactly its size: one that grew from nothing has 17 places, and an empty one is an object of its own. */
export function compact<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? empty : list.slice();
}

const empty: readonly never[] = [];

/** As `+`, but one string: what `+` joins is kept in pieces, three times as large. */
export function flat(...parts: readonly string[]): string {
  return parts.join('');
}
