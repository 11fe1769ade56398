/** Runs of items that are together no larger than `limit`; one that is larger by itself is alone. */
export function cutBySize<T>(
  items: readonly T[],
  limit: number,
  sizeOf: (item: T) => number,
): readonly (readonly T[])[] {
  const pieces: T[][] = [];
  let size = 0;
  for (const item of items) {
    const more = sizeOf(item);
    const last = pieces.at(-1);
    if (last === undefined || size + more > limit) {
      pieces.push([item]);
      size = more;
    } else {
      last.push(item);
      size += more;
    }
  }
  return pieces;
}
