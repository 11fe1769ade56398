/** What becomes allowed again while a round is at work on it. */
import { expect, test } from 'vitest';
import { CutKeeper, cutPart, type MemberWriter } from '../../src/agent/cut-keeper.ts';
import type { NetworkPolicy } from '../../src/cluster/objects.ts';
import type { WriteReport } from '../../src/backends/write-report.ts';
import type { CutView } from '../../src/compile/cut.ts';
import { parseConversationMember } from '../../src/dataplane/conversation.ts';
import type { DataplaneDelta } from '../../src/dataplane/dataplane.ts';
import { policyIngressChain } from '../../src/dataplane/names.ts';
import type { ObservedSet } from '../../src/dataplane/observed.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { Readiness } from '../../src/telemetry/readiness.ts';
import { nodeObject, routed, testNode } from '../compile/node.ts';
import { ManualClock, settle } from '../fakes/manual-clock.ts';
import { labels, pod, policy } from '../policy/objects.ts';

const p = pod('a/p', { ips: ['10.9.0.10'], labels: { app: 'p' } });
const denyIn = policy('a/deny-in', { podSelector: labels({ app: 'p' }) });
const member = '10.8.0.5,tcp:80,10.9.0.10';

test('a change that only allows, written while the first connections are cut, lets them go', async () => {
  const held = new Set<string>();
  const isWritten = Promise.withResolvers<void>();
  let writes = 0;
  const cut: ObservedSet = {
    name: 'cali40cut',
    type: 'hash:ip,port,ip',
    family: 'ipv4',
    members: held,
    maxElements: 9,
  };
  const writer: MemberWriter = {
    observed: { ipSets: new Map([['cali40cut', cut]]) },
    async changeMembers(_set, { add, remove }) {
      writes += 1;
      if (writes === 1) await isWritten.promise;
      for (const one of add) held.add(one);
      for (const one of remove) held.delete(one);
      return nothingWritten;
    },
  };
  let policies: readonly NetworkPolicy[] = [denyIn];
  const conversation = parseConversationMember(member);
  if (conversation === undefined) throw new Error(`not a member: ${member}`);
  const clock = new ManualClock();
  const keeper = new CutKeeper({
    view: () => viewOf(policies),
    readConversations: () => Promise.resolve(new Map([[member, { ...conversation, connections: 1 }]])),
    writer,
    resyncSeconds: 90,
    clock,
    logger: createLogger('error'),
    metrics: createMetrics(),
    readiness: new Readiness([cutPart]),
  });
  const abort = new AbortController();
  const ended = keeper.run(abort.signal);
  const pass = async (): Promise<void> => {
    for (let turn = 0; turn < 50; turn += 1) {
      await settle();
      await clock.advance(20);
    }
  };
  keeper.note(aPolicyChain);
  keeper.written(false);
  await pass();
  expect(writes).toBe(1);
  policies = [];
  keeper.note({ ipSets: [], chains: [], hooks: [] });
  keeper.written(false);
  isWritten.resolve();
  await pass();
  expect([...held]).toEqual([]);
  abort.abort();
  await ended;
});

function viewOf(policies: readonly NetworkPolicy[]): CutView {
  const { dataplane, endpoints } = testNode([{ pod: p, binding: routed('vethp') }], policies);
  return { dataplane, endpoints, nodeAddresses: nodeObject.addresses };
}

const aPolicyChain: DataplaneDelta = {
  ipSets: [],
  chains: [{ family: 'ipv4', table: 'filter', name: policyIngressChain('a/deny-in') }],
  hooks: [],
};

const nothingWritten: WriteReport = {
  writes: 1,
  chainsWritten: 0,
  chainsRemoved: 0,
  setsWritten: 1,
  differenceCount: 0,
  differences: [],
  refused: [],
  durationMs: 1,
};
