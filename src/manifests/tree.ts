/** YAML text as a tree in which every value knows its line; aliases and merge keys are resolved. */
import type { Alias, Document, ParsedNode, YAMLMap } from 'yaml';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';

export type Tree = MapTree | ListTree | ScalarTree;

export interface MapTree {
  readonly kind: 'map';
  readonly line: number;
  readonly entries: ReadonlyMap<string, MapEntry>;
  /** Keys that stand more than once; `entries` has the first. */
  readonly duplicates: readonly { readonly key: string; readonly line: number }[];
}

export interface MapEntry {
  /** Line of the key. */
  readonly line: number;
  readonly value: Tree;
}

export interface ListTree {
  readonly kind: 'list';
  readonly line: number;
  readonly items: readonly Tree[];
}

export interface ScalarTree {
  readonly kind: 'scalar';
  readonly line: number;
  readonly value: string | number | boolean | null;
  /** As written, where it stands without quotes. */
  readonly plain?: string;
}

/** One YAML document: what could be read of it, or why it is not YAML. */
export type DocumentTree =
  | { readonly kind: 'tree'; readonly tree: Tree; readonly hasDuplicates: boolean }
  | { readonly kind: 'empty' }
  | { readonly kind: 'broken'; readonly line: number; readonly message: string };

/** A piece of a file that can be parsed alone. */
export interface Chunk {
  readonly text: string;
  /** 1-based line of its first line in the file. */
  readonly line: number;
}

/** Values that the aliases of one document may repeat: more is an attack or a mistake. */
const repeatLimit = 20_000;
const depthLimit = 100;

/**
 * Cuts a file at its document markers, so that a change to one document leaves the others as they were.
 * YAML forbids a marker at the start of a line inside of any value. Directives belong to the marker that follows: such a file stays whole.
 */
export function splitDocuments(text: string): readonly Chunk[] {
  if (/^%/m.test(text)) return [{ text, line: 1 }];
  const chunks: Chunk[] = [];
  let start = 0;
  let line = 1;
  for (const marker of text.matchAll(/^(?:---|\.\.\.)(?=\s|$)/gm)) {
    if (marker.index === start) continue;
    const chunk = text.slice(start, marker.index);
    chunks.push({ text: chunk, line });
    line += countLines(chunk);
    start = marker.index;
  }
  chunks.push({ text: text.slice(start), line });
  return chunks;
}

/** Reads every document of a chunk. Never throws. */
export function readDocuments(chunk: Chunk): readonly DocumentTree[] {
  const lineCounter = new LineCounter();
  try {
    const documents = parseAllDocuments(chunk.text, {
      lineCounter,
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: 'silent',
    });
    if (!Array.isArray(documents)) return [];
    const lineAt = (offset: number) => lineCounter.linePos(offset).line + chunk.line - 1;
    return documents.map((document) => readDocument(document, lineAt));
  } catch (error) {
    // The YAML library gives up on some inputs (nesting beyond its stack) by an exception of its own.
    return [broken(chunk.line, error instanceof Error ? error.message : String(error))];
  }
}

function readDocument(document: Document.Parsed, lineAt: (offset: number) => number): DocumentTree {
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) return broken(lineAt(problem.pos[0]), problem.message);
  if (document.contents === null) return { kind: 'empty' };
  const builder = new TreeBuilder(document, lineAt);
  const tree = builder.build(document.contents, 0);
  if (builder.failure !== undefined) return builder.failure;
  if (tree.kind === 'scalar' && tree.value === null) return { kind: 'empty' };
  return { kind: 'tree', tree, hasDuplicates: builder.hasDuplicates };
}

type BrokenDocument = Extract<DocumentTree, { kind: 'broken' }>;

function broken(line: number, message: string): BrokenDocument {
  const [first = ''] = message.split('\n');
  return { kind: 'broken', line, message: first.replace(/[.:]$/, '') };
}

type MapNode = YAMLMap<ParsedNode, ParsedNode | null>;

interface MapContents {
  readonly entries: Map<string, MapEntry>;
  readonly duplicates: { readonly key: string; readonly line: number }[];
  readonly merged: MapTree[];
}

class TreeBuilder {
  hasDuplicates = false;
  failure: BrokenDocument | undefined;
  readonly #document: Document.Parsed;
  readonly #lineAt: (offset: number) => number;
  #openAliases = 0;
  #repeated = 0;

  constructor(document: Document.Parsed, lineAt: (offset: number) => number) {
    this.#document = document;
    this.#lineAt = lineAt;
  }

  build(node: unknown, depth: number): Tree {
    const line = this.#lineOf(node);
    if (this.#openAliases > 0) this.#repeated += 1;
    if (depth > depthLimit) return this.#fail(line, `nested deeper than ${depthLimit} levels`);
    if (this.#repeated > repeatLimit) return this.#fail(line, `aliases repeat more than ${repeatLimit} values`);
    if (isAlias(node)) return this.#buildAlias(node, line, depth);
    if (isMap<ParsedNode, ParsedNode | null>(node)) return this.#buildMap(node, line, depth);
    if (isSeq(node)) return { kind: 'list', line, items: this.#buildItems(node.items, depth) };
    if (isScalar(node)) return scalarTree(node.value, line, node.type === 'PLAIN' ? node.source : undefined);
    return scalarTree(null, line, undefined);
  }

  #buildAlias(node: Alias, line: number, depth: number): Tree {
    const target = node.resolve(this.#document);
    if (target === undefined) return this.#fail(line, `the alias *${node.source} has no anchor`);
    this.#openAliases += 1;
    const tree = this.build(target, depth + 1);
    this.#openAliases -= 1;
    return tree;
  }

  #buildItems(items: readonly unknown[], depth: number): Tree[] {
    const result: Tree[] = [];
    for (const item of items) {
      if (this.failure !== undefined) break;
      result.push(this.build(item, depth + 1));
    }
    return result;
  }

  #buildMap(node: MapNode, line: number, depth: number): MapTree {
    const contents: MapContents = { entries: new Map(), duplicates: [], merged: [] };
    for (const pair of node.items) {
      if (this.failure !== undefined) break;
      this.#addPair(contents, pair, depth);
    }
    const { entries, duplicates, merged } = contents;
    for (const [key, entry] of merged.flatMap((source) => [...source.entries])) {
      if (!entries.has(key)) entries.set(key, entry);
    }
    if (duplicates.length > 0) this.hasDuplicates = true;
    return { kind: 'map', line, entries, duplicates };
  }

  #addPair(contents: MapContents, pair: MapNode['items'][number], depth: number): void {
    const line = this.#lineOf(pair.key);
    const key = keyText(pair.key);
    if (key === undefined) {
      this.#fail(line, 'a key is not a string');
      return;
    }
    const value = this.build(pair.value ?? undefined, depth + 1);
    const isMerge = key === '<<' && isScalar(pair.key) && pair.key.type === 'PLAIN';
    if (isMerge) contents.merged.push(...this.#mergedMaps(value));
    else if (contents.entries.has(key)) contents.duplicates.push({ key, line });
    else contents.entries.set(key, { line, value: value.line === 0 ? { ...value, line } : value });
  }

  #mergedMaps(value: Tree): readonly MapTree[] {
    const maps = value.kind === 'list' ? value.items : [value];
    return maps.flatMap((map) => {
      if (map.kind === 'map') return [map];
      this.#fail(map.line, 'a merge key (<<) needs a map');
      return [];
    });
  }

  #lineOf(node: unknown): number {
    if (typeof node !== 'object' || node === null || !('range' in node) || !Array.isArray(node.range)) return 0;
    const [offset] = node.range;
    return typeof offset === 'number' ? this.#lineAt(offset) : 0;
  }

  #fail(line: number, message: string): Tree {
    this.failure ??= broken(line, message);
    return scalarTree(null, line, undefined);
  }
}

function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  const { value } = key;
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

function scalarTree(value: unknown, line: number, plain: string | undefined): ScalarTree {
  const known = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
  return { kind: 'scalar', line, value: known, ...(plain === undefined ? {} : { plain }) };
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}
