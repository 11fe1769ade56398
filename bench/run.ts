/** `npm run bench -- policy [--pods N] [--policies N] [--local-pods N] [--json FILE]`: prints rows, and writes them where asked. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { benchPolicy } from './policy.ts';
import type { BenchRow } from './row.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pods: { type: 'string' },
    policies: { type: 'string' },
    'local-pods': { type: 'string', default: '200' },
    json: { type: 'string' },
  },
});

exposeGarbageCollection();
const rows = benchesNamed(positionals).flatMap((bench) => bench());
for (const { name, unit, ours, peer, ratio } of rows) {
  console.log(`${name.padEnd(48)} ${String(ours).padStart(9)} ${unit}${peer === null ? '' : `  ${ratio}x of ${peer}`}`);
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`);

function benchesNamed(names: readonly string[]): readonly (() => readonly BenchRow[])[] {
  const known: Record<string, () => readonly BenchRow[]> = { policy: policyRows };
  const chosen = names.length === 0 ? Object.keys(known) : names;
  return chosen.map((name) => {
    const bench = known[name];
    if (bench !== undefined) return bench;
    console.error(`bench: no bench called ${name}, expected ${Object.keys(known).join(', ')}`);
    return process.exit(2);
  });
}

function policyRows(): readonly BenchRow[] {
  const localPods = Number(values['local-pods']);
  if (values.pods !== undefined || values.policies !== undefined) {
    return benchPolicy({ pods: Number(values.pods ?? 10_000), policies: Number(values.policies ?? 1000), localPods });
  }
  return [
    ...benchPolicy({ pods: 10_000, policies: 1000, localPods }),
    ...benchPolicy({ pods: 250_000, policies: 10_000, localPods }),
  ];
}

/** Memory figures mean little without a collection before each. */
function exposeGarbageCollection(): void {
  setFlagsFromString('--expose-gc');
  globalThis.gc ??= runInNewContext('gc');
}
