/** A compare in parts, on the real kernel: what is read chain by chain is what was written, and a foreign hand shows in its part. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { compileAll } from '../../src/compile/compiler.ts';
import { syntheticFacts } from '../../src/compile/synthetic-facts.ts';
import type { Dataplane } from '../../src/dataplane/dataplane.ts';
import { loadScenario } from '../scenario.ts';
import { Bench, cidr, endpoint, service, slice } from '../service/fixtures.ts';
import type { Netns } from './netns.ts';
import { createNetns, describeKernel } from './netns.ts';

/** Policies of many kinds, both families. */
const scenarios = ['ports-many', 'dual-stack-selectors', 'nat-outgoing'];

/** KUBE chains have no hash: their text is compared. */
function services(): Dataplane {
  const shapes = Array.from({ length: 12 }, (_, index) => [
    service(`ns/s-${index}`, {
      type: 'LoadBalancer',
      clusterIps: [`10.96.0.${index + 1}`, `fd00:96::${index + 1}`],
      loadBalancerIps: [`203.0.113.${index + 1}`, `2001:db8::${index + 1}`],
      loadBalancerSourceRanges: [cidr('192.168.0.0/16'), cidr('fd00:192::/32')],
      sessionAffinitySeconds: 60,
      ports: [{ port: 1000 + index, nodePort: 30_000 + index }],
    }),
    slice(`ns/s-${index}`, [endpoint(`10.200.0.${index + 1}`), endpoint(`10.200.1.${index + 1}`)]),
    slice(`ns/s-${index}`, [endpoint(`fd00:10::${index + 1}`, 'here')], { suffix: 'v6' }),
  ]);
  return new Bench().set(...shapes.flat()).dataplane;
}

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`a compare in parts, iptables-${variant}`, () => {
    let netns: Netns;
    const programs: string[] = [];

    beforeEach(async () => {
      netns = await createNetns(variant);
      programs.length = 0;
    });
    afterEach(() => netns.destroy());

    function writerIn(): KernelWriter {
      const backend = new KernelBackend({
        run: (argv, options) => {
          programs.push(argv[0]);
          return netns.run(argv, options);
        },
        variant,
        ownership: { services: true },
        sectionChains: 5,
        sectionMembers: 2,
      });
      return new KernelWriter({ backend });
    }

    async function compiled(name: string): Promise<Dataplane> {
      const { state, options } = await loadScenario(name);
      return compileAll(state, options, syntheticFacts(state, options.nodeName)).dataplane;
    }

    async function written(dataplane: Dataplane): Promise<KernelWriter> {
      const writer = writerIn();
      expect(await writer.resync(dataplane)).toMatchObject({ refused: [] });
      programs.length = 0;
      return writer;
    }

    /** Tables and sets that differ, from one part to the next. */
    async function inspectAll(writer: KernelWriter, dataplane: Dataplane): Promise<readonly string[]> {
      const found: string[] = [];
      for (let part = 0; part < 1000; part += 1) {
        const { scope, isLast } = await writer.inspectNext(dataplane);
        if (isLast) return found;
        found.push(...scope.tables, ...(scope.ipSets ? ['ipset'] : []));
      }
      throw new Error('it has no end');
    }

    test.each([...scenarios, 'Services'])('%s: what was written is found, and nothing else is', async (name) => {
      const dataplane = name === 'Services' ? services() : await compiled(name);
      const writer = await written(dataplane);
      expect(await inspectAll(writer, dataplane)).toEqual([]);
      expect(programs.length).toBeGreaterThan(8);
      // By chains, in no part by the whole table.
      if (variant === 'nft') expect(programs.filter((program) => program.endsWith('-save'))).toEqual([]);
    });

    test('a foreign hand shows, wherever it was', async () => {
      const dataplane = await compiled('seed');
      const writer = await written(dataplane);
      const chains = [...dataplane.tables.ipv4.chains.filter.keys()].filter((_, index) => index % 4 === 0);
      expect(chains.length).toBeGreaterThan(2);
      for (const chain of chains) {
        await netns.exec(`iptables-${variant} -A ${chain} -j ACCEPT`);
        expect(await inspectAll(writer, dataplane), chain).toEqual(['filter']);
        await netns.exec(`iptables-${variant} -D ${chain} -j ACCEPT`);
      }
      await netns.exec(`iptables-${variant} -I FORWARD -j ACCEPT`);
      expect(await inspectAll(writer, dataplane)).toEqual(['filter']);
      await netns.exec(`iptables-${variant} -D FORWARD -j ACCEPT`);
      await netns.exec(`ip6tables-${variant} -t raw -N cali-left-over`);
      expect(await inspectAll(writer, dataplane)).toEqual(['raw']);
      await netns.exec(`ip6tables-${variant} -t raw -X cali-left-over`);
      const [filled] = [...dataplane.ipSets.values()].filter(({ members }) => members.size > 0);
      await netns.exec(`ipset flush ${filled?.name ?? ''}`);
      expect(await inspectAll(writer, dataplane)).toEqual(['ipset']);
    });

    test('nothing of it is a transaction, which others would have to make way for', async () => {
      if (variant === 'legacy') return;
      const dataplane = await compiled('seed');
      const writer = await written(dataplane);
      const heard = netns.exec(['bash', '-c', 'timeout 3 nft monitor; true']);
      await sleep(500);
      await inspectAll(writer, dataplane);
      await netns.exec('iptables-nft -N somebody-elses');
      expect((await heard).trim().split('\n')).toEqual([
        expect.stringContaining('somebody-elses'),
        expect.stringMatching(/^# new generation/),
      ]);
    });
  });
}
