import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Results } from '../../e2e/results.ts';
import { run } from '../../src/backends/exec.ts';

const report = join(import.meta.dirname, '..', '..', 'e2e', 'report.ts');

test('results of two runs become one table for each suite, with what was not run in one of them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-report-'));
  try {
    const [sluice, proxy] = [new Results(), new Results()];
    sluice.add('service (ptp, sluice)', [
      { name: '[sig-network] b [Tag] [sig-network, Tag]', outcome: 'passed', seconds: 3.4 },
      { name: 'a | x', outcome: 'failed', seconds: 1, message: 'no | answer\nand more' },
    ]);
    sluice.add('chart', [{ name: 'lint', outcome: 'passed', seconds: 1 }]);
    proxy.add('service (ptp, kube-proxy)', [
      { name: '[sig-network] b [Tag] [sig-network, Tag]', outcome: 'skipped', seconds: 0, message: 'needs a cloud' },
    ]);
    const files = [sluice, proxy].map((results, index) => {
      const file = join(folder, `${index}.json`);
      writeFileSync(file, JSON.stringify(results.rows()));
      return file;
    });
    const { stdout } = await run([process.execPath, report, ...files]);
    expect(stdout.trim().split('\n')).toEqual([
      '### service',
      '',
      '| Case | ptp, sluice | ptp, kube-proxy |',
      '|---|---|---|',
      '| passed | 1 of 2 | 0 of 1 |',
      String.raw`| a \| x | **failed**: no \| answer | not run |`,
      '| b [Tag] | passed | **skipped**: needs a cloud |',
      '',
      '### chart',
      '',
      '| Case | alone |',
      '|---|---|',
      '| passed | 1 of 1 |',
      '| lint | passed |',
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
