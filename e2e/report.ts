/** `node e2e/report.ts FILE...`: what `npm run e2e -- --json FILE` wrote, as Markdown tables, one for each suite: a line a case, a column a cluster. */
import { readFileSync } from 'node:fs';
import type { ResultRow } from './results.ts';
import { withoutLabels } from './suites/shares.ts';

const rows = process.argv.slice(2).flatMap(readRows);
if (rows.length === 0) {
  console.error('e2e report: no results: node e2e/report.ts FILE...');
  process.exit(2);
}
for (const [suite, own] of Map.groupBy(rows, ({ label }) => suiteOf(label))) console.log(`${tableOf(suite, own)}\n`);

function readRows(file: string): readonly ResultRow[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by e2e/run.ts
  return JSON.parse(readFileSync(file, 'utf8')) as readonly ResultRow[];
}

function tableOf(suite: string, own: readonly ResultRow[]): string {
  const places = [...new Set(own.map(({ label }) => placeOf(label)))];
  const counts = places.map((place) => {
    const there = own.filter(({ label }) => placeOf(label) === place);
    return `${there.filter(({ outcome }) => outcome === 'passed').length} of ${there.length}`;
  });
  const lines = [...Map.groupBy(own, ({ name }) => name)].map(([name, results]) => {
    const cells = places.map((place) => cellOf(results.find(({ label }) => placeOf(label) === place)));
    return `| ${shortName(name).replaceAll('|', String.raw`\|`)} | ${cells.join(' | ')} |`;
  });
  return [
    `### ${suite}`,
    '',
    `| Case | ${places.join(' | ')} |`,
    `|---|${places.map(() => '---|').join('')}`,
    `| passed | ${counts.join(' | ')} |`,
    ...lines.toSorted((one, other) => one.localeCompare(other)),
  ].join('\n');
}

/** Without what all of upstream's names have, and without the labels that their reports append. */
function shortName(name: string): string {
  return withoutLabels(name).replace(/^\[sig-[a-z-]+\] /, '');
}

function cellOf(result: ResultRow | undefined): string {
  if (result === undefined) return 'not run';
  const { outcome, message = '' } = result;
  const why = (message.split('\n')[0] ?? '').slice(0, 120).replaceAll('|', String.raw`\|`);
  return outcome === 'passed' ? 'passed' : `**${outcome}**: ${why}`;
}

/** `netpol (ptp, sluice)` is suite `netpol` on `ptp, sluice`. */
function suiteOf(label: string): string {
  return label.replace(/ \(.*/, '');
}

function placeOf(label: string): string {
  return /\((.*)\)$/.exec(label)?.[1] ?? 'alone';
}
