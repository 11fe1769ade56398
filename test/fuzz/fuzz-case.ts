/** One input of the fuzz: manifests one after the other, as a directory would hold them, and what an administrator chose. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../src/config/schema.ts';
import { configSchema } from '../../src/config/schema.ts';
import type { WatchBodies } from './watch-streams.ts';

export interface FuzzCase {
  /** Texts of the one manifest file, in the order in which it is changed. */
  readonly texts: readonly string[];
  /** Instead of `texts`: what the watches of an API server send, by path of the kind. */
  readonly bodies?: WatchBodies;
  /** Keys of the agent's configuration. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Pods are ports of a bridge, not routed. */
  readonly isBridged: boolean;
  /** Which of the nodes is looked at, modulo their number. */
  readonly node: number;
}

/** A case that is kept: what it once broke. */
export interface CorpusCase extends FuzzCase {
  readonly why: string;
}

export const corpusFolder = join(import.meta.dirname, 'corpus');

/** By file name. */
export function readCorpus(): ReadonlyMap<string, CorpusCase> {
  const files = readdirSync(corpusFolder)
    .filter((name) => name.endsWith('.json'))
    .toSorted();
  return new Map(files.map((name) => [name, readCase(join(corpusFolder, name))]));
}

export function readCase(file: string): CorpusCase {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the fuzz, or by hand after its form
  return JSON.parse(readFileSync(file, 'utf8')) as CorpusCase;
}

export function configOf({ settings }: FuzzCase): Config {
  return configSchema.parse(settings);
}
