/**
 * Every flow of every scenario as real packets: all scenarios in one lab of two nodes with real agents. A denied flow
 * counts only where the same flow passes while no policy is there.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadManifests } from '../../src/manifests/load-manifests.ts';
import { policiesIn } from '../evaluator/api-policy.ts';
import { scenarioDefaults, scenarioNames } from '../scenario.ts';
import { testLab, type TestLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { probeAll } from './probe.ts';
import type { PreparedFlow, TriedFlow } from './scenario-flows.ts';
import { joinScenarios, labModel, mistakesOf, prepareFlows, tableOf } from './scenario-flows.ts';

const joined = joinScenarios();

const choices = [
  { cni: 'ptp', iptables: 'nft', alsoRemoved: false },
  { cni: 'bridge', iptables: 'legacy', alsoRemoved: true },
  { cni: 'ptp', iptables: 'legacy', alsoRemoved: false },
  { cni: 'bridge', iptables: 'nft', alsoRemoved: false },
] as const;

for (const { cni, iptables, alsoRemoved } of choices) {
  describeKernel(`scenarios by packets: ${cni}, iptables-${iptables}`, () => {
    let lab: TestLab | undefined;
    let tried: readonly TriedFlow[] = [];

    beforeAll(async () => {
      lab = await testLab({ 'objects.yaml': joined.objects }, { cni, iptables, ipFamilies: ['ipv4', 'ipv6'] });
      expect(lab.state.messages).toEqual([]);
      tried = await tryFlows(lab, await preparedFlows(cni), alsoRemoved);
    }, 240_000);

    afterAll(async () => {
      await lab?.down();
      process.stdout.write(`${tableOf(`${cni}, iptables-${iptables}`, tried)}\n`);
    });

    test.each(scenarioNames)('%s', (name) => {
      const own = tried.filter(({ scenario }) => scenario === name);
      expect(own.length).toBeGreaterThan(0);
      expect(own.flatMap(mistakesOf)).toEqual([]);
    });

    test('enough was sent to mean something', () => {
      const sent = tried.filter(({ policed }) => policed !== undefined);
      expect(sent.length).toBe(tried.filter(({ packet }) => packet !== undefined).length);
      expect(sent.length).toBeGreaterThanOrEqual(400);
      expect(sent.filter(({ policed }) => policed?.verdict === 'denied').length).toBeGreaterThanOrEqual(100);
      for (const isOf of [(to: string) => to.includes(':'), (to: string) => !to.includes(':')]) {
        const own = sent.filter(({ packet }) => isOf(packet?.to ?? ''));
        expect(own.length).toBeGreaterThanOrEqual(300);
        expect(own.filter(({ policed }) => policed?.verdict === 'denied').length).toBeGreaterThanOrEqual(100);
      }
    });
  });
}

/** All are asked at once, and the machine may be busy. */
const patienceMs = 2500;

/** What the evaluator and the tracer say of every flow in this very lab, and the packet to send. */
async function preparedFlows(cni: 'ptp' | 'bridge'): Promise<readonly PreparedFlow[]> {
  const temporary = await mkdtemp(join(tmpdir(), 'sluice-scenarios-'));
  try {
    await writeFile(join(temporary, 'all.yaml'), `${joined.objects}\n---\n${joined.policies}\n`);
    const { state } = await loadManifests(temporary, scenarioDefaults);
    return await prepareFlows(labModel(state, cni), policiesIn(joined.policies));
  } finally {
    await rm(temporary, { recursive: true });
  }
}

async function tryFlows(
  lab: TestLab,
  flows: readonly PreparedFlow[],
  alsoRemoved: boolean,
): Promise<readonly TriedFlow[]> {
  const sendable = flows.filter(({ packet }) => packet !== undefined);
  const probed = async () => {
    const results = await probeAll(
      lab.state,
      sendable.flatMap(({ packet }) => packet ?? []),
      patienceMs,
    );
    return new Map(sendable.map((flow, index) => [flow, results[index]]));
  };
  await lab.untilProgrammed('NetworkPolicy', 0);
  const open = await probed();
  await lab.write('policies.yaml', joined.policies);
  await lab.untilProgrammed('NetworkPolicy', joined.policyCount);
  const policed = await probed();
  await lab.remove('policies.yaml');
  await lab.untilProgrammed('NetworkPolicy', 0);
  const removed = alsoRemoved ? await probed() : undefined;
  return flows.map((flow) => ({
    ...flow,
    open: open.get(flow),
    policed: policed.get(flow),
    ...(removed === undefined ? {} : { removed: removed.get(flow) }),
  }));
}
