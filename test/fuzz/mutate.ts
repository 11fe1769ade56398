/** Changes to plain objects and to bytes, chosen by numbers, so that fast-check can shrink them. */

export type Plain = string | number | boolean | null | undefined | readonly Plain[] | { readonly [key: string]: Plain };

export type Mutation =
  | { readonly kind: 'replace'; readonly at: number; readonly value: Plain }
  | { readonly kind: 'delete'; readonly at: number }
  | { readonly kind: 'add'; readonly at: number; readonly key: string; readonly value: Plain }
  | { readonly kind: 'move'; readonly at: number; readonly from: number }
  | { readonly kind: 'repeat'; readonly at: number; readonly times: number };

/** The value with one place changed; `at` counts places in the order in which they are written, modulo their number. */
export function mutate(root: Plain, mutation: Mutation): Plain {
  const places = placesOf(root);
  const target = places[mutation.at % places.length] ?? [];
  switch (mutation.kind) {
    case 'replace':
      return changeAt(root, target, () => mutation.value);
    case 'delete':
      return target.length === 0 ? root : changeAt(root, target, () => undefined);
    case 'add':
      return changeAt(root, target, (found) =>
        isMap(found) ? { ...found, [mutation.key]: mutation.value } : [found ?? null, mutation.value],
      );
    case 'move': {
      const source = places[mutation.from % places.length] ?? [];
      return changeAt(root, target, () => valueAt(root, source));
    }
    default:
      return changeAt(root, target, (found) =>
        Array.isArray(found) ? Array.from({ length: mutation.times }, () => found).flat() : found,
      );
  }
}

export interface ByteEdit {
  readonly at: number;
  readonly kind: 'flip' | 'insert' | 'delete' | 'copy';
  readonly bytes: Uint8Array;
}

/** What a file would read as after such edits: bytes that are no UTF-8 become U+FFFD, as in every reader. */
export function editBytes(text: string, edits: readonly ByteEdit[]): string {
  let bytes = Buffer.from(text);
  for (const { at, kind, bytes: given } of edits) {
    const place = at % (bytes.length + 1);
    const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)];
    const slice = bytes.subarray(place, place + given.length * 8);
    if (kind === 'insert') bytes = Buffer.concat([before, given, after]);
    else if (kind === 'delete') bytes = Buffer.concat([before, after.subarray(given.length)]);
    else if (kind === 'copy') bytes = Buffer.concat([before, slice, after]);
    else bytes = Buffer.concat([before, flipped(after, given)]);
  }
  return bytes.toString('utf8');
}

function flipped(bytes: Buffer, mask: Uint8Array): Buffer {
  return Buffer.from(bytes.map((byte, index) => byte ^ (mask[index] ?? 0)));
}

type Path = readonly (string | number)[];

function placesOf(value: Plain, path: Path = []): readonly Path[] {
  if (isList(value)) return [path, ...value.flatMap((item, index) => placesOf(item, [...path, index]))];
  if (isMap(value)) return [path, ...Object.entries(value).flatMap(([key, item]) => placesOf(item, [...path, key]))];
  return [path];
}

function valueAt(root: Plain, path: Path): Plain {
  let found = root;
  for (const part of path) {
    if (isList(found)) found = found[Number(part)];
    else if (isMap(found)) found = found[String(part)];
  }
  return found;
}

function changeAt(value: Plain, [first, ...rest]: Path, change: (found: Plain) => Plain): Plain {
  if (first === undefined) return change(value);
  if (isList(value)) {
    return value.flatMap((item, index) => {
      if (index !== first) return [item];
      const changed = changeAt(item, rest, change);
      return changed === undefined ? [] : [changed];
    });
  }
  if (!isMap(value)) return value;
  const entries = Object.entries(value).map(
    ([key, item]) => [key, key === first ? changeAt(item, rest, change) : item] as const,
  );
  return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
}

function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value);
}

export function isMap(value: Plain): value is { readonly [key: string]: Plain } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
