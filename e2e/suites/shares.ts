/** Specs dealt out to several test programs that run beside each other: each has namespaces of its own, and mostly waits. */

/** `count` lists or fewer, none empty, of lengths that differ by one at most; neighbours, which are alike, part. */
export function sharesOf<Item>(items: readonly Item[], count: number): readonly (readonly Item[])[] {
  const shares = Array.from({ length: Math.min(count, items.length) }, (_, share) =>
    items.filter((_item, index) => index % count === share),
  );
  return shares.filter((share) => share.length > 0);
}

/** Go's regular expression of exactly these specs: names as reports have them, tags included. */
export function focusOf(names: readonly string[]): string {
  return names.map((name) => `${escapeForGo(withoutLabels(name))}( \\[|$)`).join('|');
}

/** Ginkgo appends a spec's labels to its name in reports, as one list that `--ginkgo.focus` does not see. */
export function withoutLabels(name: string): string {
  return name.replace(/ \[[^[\]]*, [^[\]]*\]$/, '').replace(/ \[sig-[a-z-]+\]$/, '');
}

/** Escapes what Go's and JavaScript's regular expressions read as more than itself. */
export function escapeForGo(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
