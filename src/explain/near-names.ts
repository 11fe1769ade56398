/** Names that somebody may have meant. */

/** At most three of `known`, nearest first: the same last part elsewhere, or few letters away. */
export function nearNames(wanted: string, known: readonly string[]): readonly string[] {
  const scored = [...new Set(known)].flatMap((name) => {
    const score = lastPart(name) === lastPart(wanted) ? 1 : editDistance(name, wanted);
    return score <= Math.max(2, Math.floor(wanted.length / 4)) ? [{ name, score }] : [];
  });
  const sorted = scored.sort((left, right) => left.score - right.score || (left.name < right.name ? -1 : 1));
  return sorted.slice(0, 3).map(({ name }) => name);
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Levenshtein: insertions, deletions and replacements. */
function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min((previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, replaced));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
