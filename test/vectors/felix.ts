/** The vectors that Felix's own code produced, typed as far as tests use them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface VectorChain {
  readonly chain: string;
  readonly hashes: readonly string[];
  readonly rules: readonly string[];
}

/** Reads one file of test/vectors/felix; the caller names the parts it uses. */
export function felixVectors<T>(file: string): T {
  const parsed: unknown = JSON.parse(readFileSync(join(import.meta.dirname, 'felix', file), 'utf8'));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- recorded data of a known shape
  return parsed as T;
}
