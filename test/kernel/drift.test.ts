/** Events of the real kernel: somebody else's changes are seen at once, our own are not. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { streamLines } from '../../src/backends/exec.ts';
import { OwnProcesses } from '../../src/backends/iptables/rule-events.ts';
import { watchRules } from '../../src/backends/iptables/watch-rules.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { TableName } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, hookOf, ruleOf, setOf } from '../fakes/dataplanes.ts';
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
});
