/** Which unit tests judge the mutants of a layer: its own, and for one that is data for others also theirs. */
import { globSync } from 'node:fs';
import { resolve } from 'node:path';

const alsoJudging: Readonly<Record<string, readonly string[]>> = { dataplane: ['backends', 'compile', 'service'] };

/** Properties and slow tests see most mutants but take seconds for one that survives: only where SLUICE_SLOW asks for them. */
export const withSlowTests = process.env['SLUICE_SLOW'] !== undefined;
/** Milliseconds of processor time. */
export const slowest = 150;

export function testFilesOf(layer: string): readonly string[] {
  const folders = [layer, ...(alsoJudging[layer] ?? [])];
  const files = folders.flatMap((folder) => globSync(`test/${folder}/**/*.test.ts`).toSorted());
  const isProperty = (file: string): boolean => file.endsWith('.property.test.ts');
  const quick = files.filter((file) => !isProperty(file));
  const chosen = withSlowTests ? [...quick, ...files.filter(isProperty)] : quick;
  return chosen.map((file) => resolve(file));
}

/** A test of a time judges the machine, not a mutant. */
export function isOfTime(testName: string): boolean {
  return testName.includes(' in well under ');
}
