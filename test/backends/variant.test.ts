/** Which of the two iptables a node uses, told by what others have left in the tables. */
import { expect, test } from 'vitest';
import type { Run } from '../../src/backends/exec.ts';
import { CommandError } from '../../src/backends/exec.ts';
import type { AskedNode } from '../../src/backends/iptables/variant.ts';
import { detectVariant } from '../../src/backends/iptables/variant.ts';

const hint = ':KUBE-IPTABLES-HINT - [0:0]\n';
const canary = ':KUBE-KUBELET-CANARY - [0:0]\n';
const rule = '-A FORWARD -j ACCEPT\n';

/** What `iptables-VARIANT-save -t TABLE` prints, as `VARIANT TABLE`; legacy tables that have no text do not exist. */
function kernelOf(texts: Readonly<Record<string, string>>): AskedNode {
  const run: Run = async (argv) => {
    await Promise.resolve();
    const [program, ...args] = argv;
    if (program === 'ip6tables-legacy-save') throw new CommandError({ argv, code: 'ENOENT' });
    const [, variant = ''] = program.split('-');
    const isIpv4 = program.startsWith('iptables');
    return { stdout: isIpv4 ? (texts[`${variant} ${args[1]}`] ?? '') : '', stderr: '', durationMs: 0 };
  };
  const readProc = async (path: string): Promise<string> => {
    await Promise.resolve();
    // The module of the other family is not there.
    if (path !== '/proc/net/ip_tables_names') throw new Error(`ENOENT: ${path}`);
    return Object.keys(texts)
      .flatMap((place) => (place.startsWith('legacy ') ? [`${place.slice(7)}\n`] : []))
      .join('');
  };
  return { run, readProc };
}

test.each([
  ['nothing anywhere', {}, 'nft', undefined],
  ["kubelet's hint", { 'nft mangle': hint }, 'nft', undefined],
  ["kubelet's hint in the legacy tables", { 'legacy mangle': hint }, 'legacy', undefined],
  ['its canary in a table that is asked last', { 'legacy nat': canary }, 'legacy', undefined],
  ['rules in the legacy tables alone', { 'legacy filter': rule }, 'legacy', undefined],
  ['rules in both', { 'nft filter': rule, 'legacy filter': rule }, 'nft', /also in the legacy tables \(1 rules\)/],
  [
    'the hint says legacy, more rules are elsewhere',
    { 'nft filter': rule + rule, 'legacy mangle': hint },
    'legacy',
    /also in the nft tables \(2 rules\)/,
  ],
] as const)('%s', async (_, texts, variant, mixed) => {
  const found = await detectVariant(kernelOf(texts), 'auto');
  expect(found.variant).toBe(variant);
  if (mixed === undefined) expect(found.mixed).toBeUndefined();
  else expect(found.mixed).toMatch(mixed);
});

test('what is configured stands, and a mix is told all the same', async () => {
  const found = await detectVariant(kernelOf({ 'nft mangle': hint, 'nft filter': rule }), 'legacy');
  expect(found).toMatchObject({ variant: 'legacy', reason: 'configured' });
  expect(found.mixed).toMatch(/also in the nft tables/);
});

test('what is configured is not asked for', async () => {
  const asked: string[] = [];
  const kernel = kernelOf({ 'nft filter': rule, 'legacy filter': rule });
  const run: Run = (argv) => {
    asked.push(argv.join(' '));
    return kernel.run(argv);
  };
  expect((await detectVariant({ ...kernel, run }, 'nft')).mixed).toMatch(/also in the legacy tables/);
  expect(asked.filter((program) => program.includes('-nft-'))).toEqual([]);
});
