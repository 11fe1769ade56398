/** Which unit tests judge the mutants of a layer: its own, and for one that is data for others also theirs. */
import { globSync } from 'node:fs';
import { resolve } from 'node:path';

const alsoJudging: Readonly<Record<string, readonly string[]>> = { dataplane: ['backends', 'compile', 'service'] };

/** Properties see most mutants but take seconds for one that survives: last, and only where SLUICE_PROPERTIES asks for them. */
export function testFilesOf(layer: string): readonly string[] {
  const folders = [layer, ...(alsoJudging[layer] ?? [])];
  const files = folders.flatMap((folder) => globSync(`test/${folder}/**/*.test.ts`).toSorted());
  const isProperty = (file: string): boolean => file.endsWith('.property.test.ts');
  const quick = files.filter((file) => !isProperty(file));
  const chosen = process.env['SLUICE_PROPERTIES'] === undefined ? quick : [...quick, ...files.filter(isProperty)];
  return chosen.map((file) => resolve(file));
}

/** A test of a time judges the machine, not a mutant. */
export function isOfTime(testName: string): boolean {
  return testName.includes(' in well under ');
}
