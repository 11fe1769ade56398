/**
 * `npm test`: runs every vitest project (or those named as arguments), prints each one's count, and ends with
 * `N passed, N failed, N skipped` alone on a line. Fewer tests than minimum.json names is a failure: a suite that
 * silently stopped running must not look green. As root no kernel test may be skipped.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startVitest, type TestModule } from 'vitest/node';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const isRoot = process.getuid?.() === 0;
const chosen = process.argv.slice(2);
const counts = await runVitest();
const problems = [...tooFew(counts), ...skippedAsRoot(counts)];
for (const [project, count] of counts) console.log(`${project.padEnd(8)} ${formatCount(count)}`);
if (!isRoot) console.log('not root: the kernel tests were skipped, they need network namespaces');
for (const problem of problems) console.log(`problem: ${problem}`);
const total = [...counts.values()].reduce(addCounts, { passed: 0, failed: problems.length, skipped: 0 });
console.log(formatCount(total));
process.exit(total.failed > 0 ? 1 : 0);

async function runVitest(): Promise<Map<string, Count>> {
  const result = new Map<string, Count>();
  let errors: readonly unknown[] = [];
  const vitest = await startVitest('test', [], {
    run: true,
    watch: false,
    root: join(import.meta.dirname, '..'),
    ...(chosen.length > 0 ? { project: chosen } : {}),
    reporters: [
      process.env.CI === undefined ? 'default' : 'dot',
      {
        onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
          for (const module of modules) countModule(result, module);
          errors = unhandled;
        },
      },
    ],
  });
  await vitest.close();
  if (errors.length > 0) result.set('errors', { passed: 0, failed: errors.length, skipped: 0 });
  return result;
}

function countModule(result: Map<string, Count>, module: TestModule): void {
  const count = result.get(module.project.name) ?? { passed: 0, failed: 0, skipped: 0 };
  for (const testCase of module.children.allTests()) {
    const { state } = testCase.result();
    if (state === 'passed') count.passed += 1;
    else if (state === 'failed') count.failed += 1;
    else count.skipped += 1;
  }
  // A file that does not load has no tests, and must not look like none were meant.
  count.failed += module.errors().length;
  result.set(module.project.name, count);
}

function tooFew(found: ReadonlyMap<string, Count>): readonly string[] {
  const minimum: unknown = JSON.parse(readFileSync(join(import.meta.dirname, 'minimum.json'), 'utf8'));
  return Object.entries(minimum ?? {}).flatMap(([project, least]) => {
    if (chosen.length > 0 && !chosen.includes(project)) return [];
    const count = found.get(project) ?? { passed: 0, failed: 0, skipped: 0 };
    const ran = count.passed + count.failed + count.skipped;
    return ran >= Number(least) ? [] : [`${project}: ${ran} tests, minimum.json names ${String(least)}`];
  });
}

function skippedAsRoot(found: ReadonlyMap<string, Count>): readonly string[] {
  const skipped = found.get('kernel')?.skipped ?? 0;
  return isRoot && skipped > 0 ? [`${skipped} kernel tests skipped although root`] : [];
}

function addCounts(left: Count, right: Count): Count {
  return {
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
  };
}

function formatCount({ passed, failed, skipped }: Count): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}
