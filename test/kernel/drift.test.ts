/** Events of the real kernel: somebody else's changes are seen at once, our own are not. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { streamLines } from '../../src/backends/exec.ts';
import { OwnProcesses } from '../../src/backends/iptables/rule-events.ts';
import { watchRules } from '../../src/backends/iptables/watch-rules.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { TableName } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, hookOf, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { imageOf } from './kernel-image.ts';
import type { Netns } from './netns.ts';
import { createNetns, describeKernel } from './netns.ts';

const wanted = dataplaneOf({
  sets: [setOf('s:a', ['10.0.0.1'])],
  chains: { filter: [chainOf('cali-FORWARD', ruleOf({ kind: 'drop' }))], raw: [chainOf('cali-raw')] },
  hooks: [hookOf('FORWARD', 'cali-FORWARD'), hookOf('PREROUTING', 'cali-raw', { table: 'raw' })],
  families: ['ipv4', 'ipv6'],
});

describeKernel('drift', () => {
  let netns: Netns;
  beforeEach(async () => {
    netns = await createNetns('dr');
  });
  afterEach(() => netns.destroy());

  test('foreign changes of our chains and hooks come as events, our own do not', async () => {
    const own = new OwnProcesses();
    const ownership = { services: false };
    const writer = new KernelWriter({
      backend: new KernelBackend({ run: own.remembering(netns.run), variant: 'nft', ownership }),
    });
    const controller = new AbortController();
    const seen: (readonly TableName[])[] = [];
    let raw = 0;
    const lines = async function* (argv: readonly string[], signal: AbortSignal): AsyncGenerator<string> {
      for await (const line of streamLines(['ip', 'netns', 'exec', netns.name, ...argv], signal)) {
        raw += 1;
        yield line;
      }
    };
    const watching = (async () => {
      for await (const tables of watchRules(controller.signal, { ownership, own, lines })) seen.push(tables);
    })();
    // The monitor is up when it tells of a change.
    await expect
      .poll(async () => {
        await netns.exec('iptables-nft -t nat -N PROBE');
        await netns.exec('iptables-nft -t nat -X PROBE');
        return raw;
      })
      .toBeGreaterThan(0);
    const before = raw;
    await writer.resync(wanted);
    await expect.poll(() => raw).toBeGreaterThan(before);
    await netns.exec('ip6tables-nft -D FORWARD 1');
    await expect.poll(() => seen).toEqual([['filter']]);
    const report = await writer.resync(wanted, { scope: { tables: ['filter'], ipSets: false } });
    expect(report.differences.map(({ place }) => place)).toEqual(['ipv6 filter hooks in FORWARD']);
    await netns.exec('nft flush ruleset');
    await expect.poll(() => seen.flat()).toEqual(expect.arrayContaining(['filter', 'raw']));
    await writer.resync(wanted);
    expect((await writer.resync(wanted)).writes).toBe(0);
    controller.abort();
    await watching;
  });

  test.each(['nft', 'legacy'] as const)('%s: the cheap look finds a lost jump and a changed set', async (variant) => {
    const backend = new KernelBackend({ run: netns.run, variant, ownership: { services: false } });
    const writer = new KernelWriter({ backend });
    await writer.resync(wanted);
    expect(await writer.checkDrift(wanted)).toMatchObject({ writes: 0, differenceCount: 0 });
    for (const disturbance of [
      `iptables-${variant} -I FORWARD -j ACCEPT`,
      `ip6tables-${variant} -t raw -F PREROUTING`,
      'ipset add cali40s:a 10.0.0.9',
      'ipset flush cali40s:a',
    ]) {
      await netns.exec(disturbance);
      expect(await writer.checkDrift(wanted)).toMatchObject({ differenceCount: 1 });
      expect(await writer.checkDrift(wanted)).toMatchObject({ writes: 0 });
    }
  });

  /** Habits of others, and by what they are found: events name tables (nf_tables), the look finds hooks and sets, a full compare the rest. */
  const habits: readonly (readonly [
    name: string,
    foundBy: 'look' | 'event',
    act: (program: string) => readonly string[],
  ])[] = [
    ['a jump of ours is deleted', 'look', (program) => [`${program} -D FORWARD 1`]],
    ['a rule goes above ours', 'look', (program) => [`${program} -I FORWARD -j ACCEPT`]],
    ['iptables -F', 'look', (program) => [`${program} -F`]],
    [
      'all is flushed and deleted, as firewalld does',
      'look',
      (program) => [`${program} -F`, `${program} -X`, `${program} -t raw -F`, `${program} -t raw -X`],
    ],
    ['a chain of ours is flushed', 'event', (program) => [`${program} -F cali-FORWARD`]],
    ['a chain of ours is edited', 'event', (program) => [`${program} -I cali-FORWARD -j ACCEPT`]],
    [
      'a chain of ours is deleted',
      'event',
      (program) => [`${program} -D FORWARD 1`, `${program} -F cali-FORWARD`, `${program} -X cali-FORWARD`],
    ],
    ['a set is flushed', 'look', () => ['ipset flush cali40s:a']],
    ['a set is destroyed', 'look', () => ['ipset destroy cali40s:a']],
    [
      'a set is destroyed and made anew, of another type',
      'look',
      () => ['ipset destroy cali40s:a', 'ipset create cali40s:a hash:ip'],
    ],
  ];

  test.each(
    habits.flatMap(([name, foundBy, act]) =>
      (['nft', 'legacy'] as const).map((variant) => ({ name, variant, foundBy, act })),
    ),
  )('$variant: $name: found, told with before and after, mended in a few writes', async ({ variant, foundBy, act }) => {
    const backend = new KernelBackend({ run: netns.run, variant, ownership: { services: false } });
    const writer = new KernelWriter({ backend });
    await writer.resync(wanted);
    const image = await imageOf({ netns: netns.name, variant });
    for (const disturbance of act(`iptables-${variant}`)) await netns.exec(disturbance);
    const isHidden = foundBy === 'event';
    const report = isHidden
      ? await writer.resync(wanted, { scope: { tables: ['filter'], ipSets: false } })
      : await writer.checkDrift(wanted);
    expect(report.differences.length).toBeGreaterThan(0);
    for (const { place, before, after } of report.differences) expect(`${place}${before}`).not.toBe(`${place}${after}`);
    expect(report.writes).toBeLessThanOrEqual(5);
    const ownOnly = (text: string): string => text.replace('-A FORWARD -j ACCEPT\n', '');
    expect(ownOnly(await imageOf({ netns: netns.name, variant }))).toBe(image);
    expect((await writer.resync(wanted)).writes).toBe(0);
  });
});
