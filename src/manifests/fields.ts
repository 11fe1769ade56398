/** Reads fields out of a tree and remembers what was wrong with them: `path: what is wrong, what is expected`. */
import type { MapTree, ScalarTree, Tree } from './tree.ts';

/** A place in an object; `tree` is absent where nothing (or null) stands. */
export interface Field {
  /** Empty at the object itself. */
  readonly path: string;
  readonly line: number;
  readonly tree?: Tree;
}

export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

/** What is wrong with one object. */
export class ObjectReport {
  readonly problems: Problem[] = [];

  /** Yields undefined, as the reader that found the error does. */
  error(field: Field, message: string): undefined {
    this.problems.push({ severity: 'error', path: field.path, line: field.line, message });
  }

  warning(field: Field, message: string): void {
    this.problems.push({ severity: 'warning', path: field.path, line: field.line, message });
  }

  get failed(): boolean {
    return this.problems.some((problem) => problem.severity === 'error');
  }

  /** An error at the path itself or at anything inside it. */
  failedUnder(path: string): boolean {
    return this.#errors().some(
      (found) => found === path || found.startsWith(`${path}.`) || found.startsWith(`${path}[`),
    );
  }

  failedAt(path: string): boolean {
    return this.#errors().includes(path);
  }

  #errors(): readonly string[] {
    return this.problems.filter((problem) => problem.severity === 'error').map((problem) => problem.path);
  }
}

/** A field of a map; of anything else, an absent field. */
export function child(field: Field, key: string): Field {
  const path = field.path === '' ? key : `${field.path}.${key}`;
  const entry = field.tree?.kind === 'map' ? field.tree.entries.get(key) : undefined;
  if (entry === undefined || isNull(entry.value)) return { path, line: entry?.line ?? field.line };
  return { path, line: entry.line, tree: entry.value };
}

/** A field of a field of a field. */
export function descend(field: Field, ...keys: readonly string[]): Field {
  return keys.reduce(child, field);
}

export function readMap(report: ObjectReport, field: Field): MapTree | undefined {
  if (field.tree === undefined || field.tree.kind === 'map') return field.tree;
  return report.error(field, `${describe(field.tree)}, expected a map of fields`);
}

/** Every entry of a map as a field. */
export function readEntries(report: ObjectReport, field: Field): readonly (readonly [string, Field])[] {
  const map = readMap(report, field);
  return map === undefined ? [] : [...map.entries.keys()].map((key) => [key, child(field, key)]);
}

/** The items of a list; absent fields and non-lists have none. */
export function readItems(report: ObjectReport, field: Field): readonly Field[] {
  const { tree, path } = field;
  if (tree === undefined) return [];
  if (tree.kind !== 'list') {
    report.error(field, `${describe(tree)}, expected a list (each item after a "-")`);
    return [];
  }
  return tree.items.map((item, index) => {
    const line = item.line === 0 ? field.line : item.line;
    return isNull(item) ? { path: `${path}[${index}]`, line } : { path: `${path}[${index}]`, line, tree: item };
  });
}

/** Items that are maps; a bare "-" is refused, because the API server would read it as an item with every field left out. */
export function readMapItems(report: ObjectReport, field: Field): readonly Field[] {
  return readItems(report, field).filter((item) => {
    if (item.tree === undefined)
      report.error(item, 'empty, expected a map of fields (write {} where none is to be set)');
    return readMap(report, item) !== undefined;
  });
}

export function readString(report: ObjectReport, field: Field): string | undefined {
  const { tree } = field;
  if (tree === undefined) return undefined;
  if (tree.kind !== 'scalar') return report.error(field, `${describe(tree)}, expected a string`);
  if (typeof tree.value !== 'string') {
    return report.error(field, `${describe(tree)}, expected a string: write "${written(tree)}" in quotes`);
  }
  if (tree.plain !== undefined && isOldBoolean(tree.plain)) {
    return report.error(
      field,
      `${tree.plain} is a boolean to Kubernetes, expected a string: write "${tree.plain}" in quotes`,
    );
  }
  return tree.value;
}

/** A string that `accepts` likes; `what` it is and `expected` go into the message. */
export function readSyntax(
  report: ObjectReport,
  field: Field,
  syntax: { readonly accepts: (text: string) => boolean; readonly what: string; readonly expected: string },
): string | undefined {
  const text = readString(report, field);
  if (text === undefined || syntax.accepts(text)) return text;
  return report.error(field, `${quote(text)} is not ${syntax.what}, expected ${syntax.expected}`);
}

/** One of a few words. */
export function readWord<Word extends string>(
  report: ObjectReport,
  field: Field,
  words: readonly Word[],
): Word | undefined {
  const text = readString(report, field);
  if (text === undefined) return undefined;
  const word = words.find((candidate) => candidate === text);
  return word ?? report.error(field, `${quote(text)}, expected ${alternatives(words)}`);
}

export function readBoolean(report: ObjectReport, field: Field): boolean | undefined {
  const { tree } = field;
  if (tree === undefined) return undefined;
  if (tree.kind === 'scalar' && typeof tree.value === 'boolean') return tree.value;
  if (tree.kind === 'scalar' && tree.plain !== undefined && isOldBoolean(tree.plain)) {
    return /^(y|yes|on)$/i.test(tree.plain);
  }
  return report.error(field, `${describe(tree)}, expected true or false`);
}

/** A whole number between `first` and `last`; `what` it is goes into the message. */
export function readInteger(
  report: ObjectReport,
  field: Field,
  range: { readonly what: string; readonly first: number; readonly last: number },
): number | undefined {
  const { tree } = field;
  const { what, first, last } = range;
  if (tree === undefined) return undefined;
  if (tree.kind !== 'scalar' || typeof tree.value !== 'number') {
    return report.error(field, `${describe(tree)}, expected ${what}, a number of ${first}-${last}`);
  }
  if (tree.plain !== undefined && /^[-+]?0[0-9]/.test(tree.plain)) {
    return report.error(field, `${tree.plain} is octal to Kubernetes, expected a number without a leading 0`);
  }
  if (Number.isInteger(tree.value) && tree.value >= first && tree.value <= last) return tree.value;
  return report.error(field, `${written(tree)} is not ${what}, expected ${first}-${last}`);
}

/** Refuses (or warns of) fields that are not known: a typo must not be read as a field left out. */
export function checkFields(
  report: ObjectReport,
  field: Field,
  known: readonly string[],
  severity: 'error' | 'warning' = 'warning',
): void {
  if (field.tree?.kind !== 'map') return;
  for (const key of field.tree.entries.keys()) {
    if (known.includes(key)) continue;
    const place = { ...child(field, key) };
    const message = `unknown field, ${suggest(key, known)}`;
    if (severity === 'error') report.error(place, message);
    else report.warning(place, message);
  }
}

/** Reports every key that stands twice, anywhere in the object. */
export function checkDuplicates(report: ObjectReport, field: Field): void {
  const { tree } = field;
  if (tree?.kind === 'list') for (const item of readItems(report, field)) checkDuplicates(report, item);
  if (tree?.kind !== 'map') return;
  for (const { key, line } of tree.duplicates)
    report.error({ path: child(field, key).path, line }, 'stands twice, expected once');
  for (const key of tree.entries.keys()) checkDuplicates(report, child(field, key));
}

/** Field path to line, for everything below `field` and itself. */
export function collectLines(field: Field, lines: Map<string, number> = new Map()): Map<string, number> {
  lines.set(field.path, field.line);
  if (field.tree?.kind === 'map') for (const key of field.tree.entries.keys()) collectLines(child(field, key), lines);
  if (field.tree?.kind === 'list') {
    for (const item of readItems(new ObjectReport(), field)) collectLines(item, lines);
  }
  return lines;
}

/** How a value is named in a message: `a list`, `70000 is a number`. */
export function describe(tree: Tree): string {
  if (tree.kind !== 'scalar') return tree.kind === 'map' ? 'is a map' : 'is a list';
  if (tree.value === null) return 'empty';
  if (typeof tree.value === 'string') return `${quote(tree.value)} is a string`;
  return `${written(tree)} is a ${typeof tree.value}`;
}

/** Quoted for a message; long and strange text is cut. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** `a, b or c` */
export function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function written(tree: ScalarTree): string {
  return tree.plain ?? String(tree.value);
}

function isNull(tree: Tree): boolean {
  return tree.kind === 'scalar' && tree.value === null;
}

/** What YAML 1.1, which Kubernetes reads, calls a boolean and YAML 1.2 a string. */
function isOldBoolean(text: string): boolean {
  return /^(y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF)$/.test(text);
}

function suggest(key: string, known: readonly string[]): string {
  const allowed = key.length < 6 ? 1 : 2;
  const near = known.filter((candidate) => editDistance(key.toLowerCase(), candidate.toLowerCase()) <= allowed);
  if (near.length === 1) return `did you mean ${near[0]}?`;
  return known.length > 8 ? 'expected a field of the API' : `expected ${alternatives(known)}`;
}

function editDistance(left: string, right: string): number {
  if (Math.abs(left.length - right.length) > 2) return 3;
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (const [index, letter] of left.split('').entries()) {
    const next = [index + 1];
    for (const [column, other] of right.split('').entries()) {
      const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
