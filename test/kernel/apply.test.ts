/** The writer against the real kernel: both variants, both families. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import type { Chain, IpSet } from '../../src/dataplane/rule.ts';
import { chainOf, dataplaneOf, hookOf, inSet, jumpTo, markIs, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { parseIp } from '../../src/lib/ip.ts';
import type { IpAddress } from '../../src/lib/ip.ts';
import type { Netns } from './netns.ts';
import { createNetns, describeKernel } from './netns.ts';

const policyChain = 'cali-pi-_tTE-E7yY40ogArNVgKt';
const friends4 = setOf('s:LrVD8vMIGQDyv8Y7sPFB1Ge', ['10.88.0.27', '10.99.0.0/16']);
const friends6 = setOf('s:LrVD8vMIGQDyv8Y7sPFB1Ge', ['fd00::27', 'fd99::/64'], { family: 'ipv6' });
const someAddress = parseIp('10.88.0.27') ?? notAnAddress();
const programmed = setOf('programmed', ['10.88.0.26'], { type: 'hash:ip', gate: true });
const cut = setOf('cut', [], { type: 'hash:ip,port,ip', dynamic: true });

function notAnAddress(): IpAddress {
  throw new Error('not an address');
}

function policyOf(set: IpSet): Chain {
  return chainOf(
    policyChain,
    ruleOf({ kind: 'set-mark', value: 0x10000, mask: 0x10000 }, { kind: 'protocol', protocol: 'tcp' }, inSet(set.name)),
    ruleOf({ kind: 'return' }, markIs(0x10000)),
  );
}

const endpoint = chainOf(
  'cali-tw-cali95aa86cbb2a',
  ruleOf({ kind: 'accept' }, { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] }),
  ruleOf(jumpTo(policyChain)),
  ruleOf({ kind: 'drop' }),
);
const forward = chainOf(
  'cali-FORWARD',
  ruleOf({ kind: 'set-mark', value: 0, mask: 0xf0000 }),
  ruleOf({ kind: 'goto', chain: endpoint.name }, { kind: 'interface', direction: 'out', name: 'cali95aa86cbb2a' }),
);
const guard = chainOf('cali-POSTROUTING', ruleOf({ kind: 'drop' }, markIs(0x80000)));
const hooks = [
  hookOf('FORWARD', 'cali-FORWARD'),
  hookOf('POSTROUTING', 'cali-POSTROUTING', { table: 'mangle' }),
  {
    ...hookOf('FORWARD', 'cali-FORWARD', { position: 'last' }),
    rule: { ...ruleOf({ kind: 'accept' }, markIs(0x10000)), comments: ['Policy explicitly accepted packet.'] },
  },
] as const;

function wantedFor(policies: readonly Chain[] = [], sets: readonly IpSet[] = []): Dataplane {
  const four = dataplaneOf({
    sets: [friends4, friends6, programmed, cut, ...sets],
    chains: { filter: [forward, endpoint, policyOf(friends4), ...policies], mangle: [guard] },
    hooks,
  });
  const six = dataplaneOf({
    chains: { filter: [forward, endpoint, policyOf(friends6)], mangle: [guard] },
    hooks,
    families: ['ipv6'],
  });
  return { ipSets: four.ipSets, tables: { ipv4: four.tables.ipv4, ipv6: six.tables.ipv6 } };
}

function withoutTimeAndCounters(text: string): string {
  return text.replaceAll(/^#.*\n/gm, '').replaceAll(/\[\d+:\d+\]/g, '[0:0]');
}

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`writing to the kernel, iptables-${variant}`, () => {
    let netns: Netns;
    const writerIn = (): KernelWriter =>
      new KernelWriter({ backend: new KernelBackend({ run: netns.run, variant, ownership: { services: false } }) });
    const rules = async (family: 'ip' | 'ip6' = 'ip'): Promise<string> =>
      withoutTimeAndCounters(await netns.exec(`${family}tables-${variant}-save`));
    const counters = async (): Promise<readonly string[]> =>
      (await netns.exec(`iptables-${variant}-save -c`)).split('\n').filter((line) => line.includes('cali'));

    beforeEach(async () => {
      netns = await createNetns(variant);
    });
    afterEach(() => netns.destroy());

    test('everything arrives; a second compare and a restarted agent write nothing and keep the counters', async () => {
      const writer = writerIn();
      expect(await writer.resync(wantedFor())).toMatchObject({ refused: [] });
      const four = await rules();
      expect(four).toContain(`-A ${policyChain} -p tcp -m comment --comment "cali:`);
      expect(four).toMatch(/-A FORWARD .*-j cali-FORWARD\n.*-A FORWARD .*"Policy explicitly accepted packet."/s);
      expect(await rules('ip6')).toContain('--match-set cali60s:LrVD8vMIGQDyv8Y7sPFB1Ge src');
      const sets = await netns.exec('ipset list cali40s:LrVD8vMIGQDyv8Y7sPFB1Ge');
      expect(sets.split('Members:\n')[1]?.trim().split('\n').toSorted()).toEqual(['10.88.0.27', '10.99.0.0/16']);

      // A counter of ours: packets from this node to itself pass mangle POSTROUTING.
      await netns.exec(['bash', '-c', 'echo x > /dev/udp/127.0.0.1/9']);
      const before = await counters();
      expect(before.some((line) => /\[[1-9]\d*:\d+\] -A POSTROUTING/.test(line))).toBe(true);
      expect(await writer.resync(wantedFor())).toMatchObject({ writes: 0, differenceCount: 0 });
      expect(await writerIn().resync(wantedFor())).toMatchObject({ writes: 0, differenceCount: 0, refused: [] });
      expect(await counters()).toEqual(before);
    });

    test('a changed policy is rewritten, its neighbours keep their counters', async () => {
      const writer = writerIn();
      await writer.resync(wantedFor());
      await netns.exec(['bash', '-c', 'echo x > /dev/udp/127.0.0.1/9']);
      const before = (await counters()).filter((line) => !line.includes(policyChain));
      const chain = chainOf(policyChain, ruleOf({ kind: 'return' }));
      const wanted = wantedFor([chain]);
      const change = { family: 'ipv4', table: 'filter', name: chain.name, chain } as const;
      expect(await writer.update({ ipSets: [], chains: [change], hooks: [] }, wanted)).toMatchObject({
        writes: 1,
        chainsWritten: 1,
      });
      expect((await counters()).filter((line) => !line.includes(policyChain))).toEqual(before);
      expect(await writerIn().resync(wanted)).toMatchObject({ writes: 0 });
    });

    test('stale objects of ours go, foreign rules, chains and sets stay byte for byte', async () => {
      await netns.exec('ipset create foreign hash:ip');
      await netns.exec('ipset add foreign 192.0.2.1');
      for (const family of ['ip', 'ip6']) {
        await netns.exec(
          [`${family}tables-${variant}-restore`, '--noflush'],
          [
            '*filter',
            ':DOCKER-USER - [0:0]',
            ':KUBE-FIREWALL - [0:0]',
            ...(family === 'ip' ? ['-A DOCKER-USER -m set --match-set foreign src -j DROP'] : []),
            '-A FORWARD -j DOCKER-USER',
            '-A FORWARD -m comment --comment "two  spaces; -j ACCEPT" -p tcp -m multiport --dports 1,2,3 -j ACCEPT',
            '-A INPUT -j KUBE-FIREWALL',
            'COMMIT',
            '*nat',
            ':DOCKER - [0:0]',
            '-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER',
            'COMMIT',
            '',
          ].join('\n'),
        );
      }
      // What this agent makes on its own may leave empty built-in chains of tables behind: let them exist before.
      await writerIn()
        .resync(
          dataplaneOf({ chains: { raw: [chainOf('cali-x')], mangle: [guard] }, hooks, families: ['ipv4', 'ipv6'] }),
        )
        .catch(() => undefined);
      await writerIn().cleanup();
      const [four, six, sets] = [await rules(), await rules('ip6'), await netns.exec('ipset save')];
      expect(four).not.toContain('cali');

      await netns.exec('ipset create cali40s:stale hash:net');
      await netns.exec('ipset create cali4t7 hash:net');
      await netns.exec(
        [`iptables-${variant}-restore`, '--noflush'],
        [
          '*filter',
          ':cali-pi-stale - [0:0]',
          ':cali-old - [0:0]',
          '-A cali-old -j cali-pi-stale',
          '-A cali-pi-stale -m set --match-set cali40s:stale src -j ACCEPT',
          '-A FORWARD -m comment --comment "cali:0123456789abcdef" -j cali-old',
          'COMMIT',
          '',
        ].join('\n'),
      );
      const writer = writerIn();
      await writer.resync(wantedFor());
      const after = await rules();
      expect(after).not.toMatch(/stale|cali-old/);
      for (const line of four.split('\n')) expect(after.split('\n')).toContain(line);
      expect(await netns.exec('ipset list -name')).not.toMatch(/stale|cali4t/);

      await writer.cleanup();
      expect([await rules(), await rules('ip6'), await netns.exec('ipset save')]).toEqual([four, six, sets]);
      expect(await writer.cleanup()).toMatchObject({ writes: 0 });
    });

    test('a set of another type, referred to by our own chain, becomes the right type', async () => {
      await netns.exec(`ipset create ${friends4.name} hash:ip`);
      await netns.exec(
        [`iptables-${variant}-restore`, '--noflush'],
        `*filter\n:${policyChain} - -\n-A ${policyChain} -m set --match-set ${friends4.name} src -j ACCEPT\nCOMMIT\n`,
      );
      const writer = writerIn();
      expect(await writer.resync(wantedFor())).toMatchObject({ refused: [] });
      expect(await netns.exec(`ipset list -t ${friends4.name}`)).toContain('Type: hash:net');
      expect(await writer.resync(wantedFor())).toMatchObject({ writes: 0 });
    });

    test('/0 and a set of more than 65,536 members; one that grows beyond its room while in use', async () => {
      const address = (index: number): string => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
      const many = (count: number): IpSet =>
        setOf('s:many', ['0.0.0.0/0', ...Array.from({ length: count }, (_, index) => address(index))]);
      const chain = chainOf('cali-pi-many', ruleOf({ kind: 'accept' }, inSet(many(0).name)));
      const writer = writerIn();
      const small = wantedFor([chain], [many(60_000)]);
      expect(await writer.resync(small)).toMatchObject({ refused: [] });
      const large = wantedFor([chain], [many(140_000)]);
      expect(await writer.resync(large)).toMatchObject({ refused: [] });
      const listed = await netns.exec('ipset save cali40s:many');
      expect(listed).toMatch(/maxelem 262144/);
      expect(listed.split('\n').filter((line) => line.startsWith('add '))).toHaveLength(140_002);
      expect(listed).toContain('add cali40s:many 0.0.0.0/1\n');
      expect(await writerIn().resync(large)).toMatchObject({ writes: 0 });
      expect(await netns.exec('ipset list -name')).not.toContain('cali4t');
    });

    test.each<[string, Chain]>([
      [
        'by the kernel at COMMIT',
        chainOf(
          'cali-pi-bad',
          ruleOf({ kind: 'dnat', address: someAddress, port: 80 }, { kind: 'protocol', protocol: 'tcp' }),
        ),
      ],
      ['by a missing set', chainOf('cali-pi-bad', ruleOf({ kind: 'accept' }, inSet(setOf('s:nosuch', []).name)))],
      ['by a missing chain', chainOf('cali-pi-bad', ruleOf(jumpTo('cali-pi-nosuch')))],
      [
        'for 16 ports',
        chainOf(
          'cali-pi-bad',
          ruleOf(
            { kind: 'accept' },
            { kind: 'protocol', protocol: 'tcp' },
            {
              kind: 'ports',
              side: 'destination',
              ports: Array.from({ length: 16 }, (_, port) => ({ first: port + 1, last: port + 1 })),
            },
          ),
        ),
      ],
    ])('one chain that is refused %s is closed; the others are written', async (_, bad) => {
      const good = Array.from({ length: 30 }, (_unused, index) =>
        chainOf(`cali-pi-good${index}`, ruleOf({ kind: 'return' })),
      );
      const user = chainOf('cali-tw-user', ruleOf(jumpTo('cali-pi-bad')), ruleOf({ kind: 'drop' }));
      const wanted = wantedFor([...good.slice(0, 15), bad, ...good.slice(15), user]);
      const writer = writerIn();
      const report = await writer.resync(wanted);
      expect(report.refused).toMatchObject([{ kind: 'chain', chain: bad, instead: 'closed' }]);
      const found = await rules();
      expect(found).toContain(':cali-pi-bad ');
      expect(found).not.toContain('-A cali-pi-bad');
      for (const { name } of good) expect(found).toContain(`-A ${name} `);
      expect(found).toMatch(/-A cali-tw-user .*-j cali-pi-bad/);
      expect(found).toMatch(/-A FORWARD .*-j cali-FORWARD/);
      expect(await writer.resync(wanted)).toMatchObject({ writes: 0, refused: [{ chain: bad }] });
    });

    test('a deleted jump, an accept above it, a flushed chain: found and mended', async () => {
      const writer = writerIn();
      await writer.resync(wantedFor());
      const right = await rules();
      for (const disturbance of [
        ['-F', 'cali-FORWARD'],
        ['-F', 'FORWARD'],
        ['-D', 'FORWARD', '1'],
        ['-I', `cali-tw-cali95aa86cbb2a`, '-j', 'ACCEPT'],
      ]) {
        await netns.exec([`iptables-${variant}`, ...disturbance]);
        const report = await writer.resync(wantedFor());
        expect(report.differenceCount).toBe(1);
        expect(await rules()).toBe(right);
      }
      await netns.exec([`iptables-${variant}`, '-I', 'FORWARD', '-j', 'ACCEPT']);
      expect((await writer.resync(wantedFor())).differenceCount).toBe(1);
      expect((await rules()).split('\n').filter((line) => line.startsWith('-A FORWARD'))).toEqual([
        expect.stringContaining('-j cali-FORWARD'),
        '-A FORWARD -j ACCEPT',
        expect.stringContaining('Policy explicitly accepted packet.'),
      ]);
      await netns.exec('ipset flush cali40programmed');
      expect((await writer.resync(wantedFor())).differences).toEqual([
        { place: 'ipset cali40programmed', before: '', after: 'with 10.88.0.26' },
      ]);
    });
  });
}
