import { expect, test } from 'vitest';
import { Arrivals } from '../../src/agent/arrivals.ts';
import { compileOptions } from '../../src/agent/compile-options.ts';
import { countingRun } from '../../src/agent/counting-run.ts';
import { CommandError } from '../../src/backends/exec.ts';
import { ClusterStore } from '../../src/cluster/state.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { ConfigSources } from '../../src/config/load.ts';
import type { EndpointBinding } from '../../src/dataplane/endpoint-binding.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { nodeObject } from '../compile/node.ts';
import { FakeKernel } from '../fakes/kernel.ts';
import { ManualClock } from '../fakes/manual-clock.ts';
import { ip } from '../policy/objects.ts';

test('the oldest change of a kind is the one that is measured', async () => {
  const clock = new ManualClock();
  const arrivals = new Arrivals(clock);
  arrivals.note('Pod');
  await clock.advance(7);
  arrivals.note('Pod');
  arrivals.note('Service');
  expect(arrivals.take()).toEqual([
    { kind: 'Pod', at: 0 },
    { kind: 'Service', at: 7 },
  ]);
  expect(arrivals.take()).toEqual([]);
});

test('programs that write are counted, and their failures', async () => {
  const metrics = createMetrics();
  const kernel = new FakeKernel();
  const run = countingRun(kernel.run, metrics);
  await run(['iptables-nft-save', '-t', 'filter']);
  await run(['iptables-nft-restore', '--noflush'], { input: '*filter\nCOMMIT\n' });
  await run(['ipset', '-exist', 'restore'], { input: 'create cali40s:x hash:net family inet maxelem 1024\n' });
  await run(['ipset', 'restore'], { input: 'save cali40s:x\n' });
  kernel.failNext(/restore/);
  await expect(run(['iptables-nft-restore', '--noflush'], { input: '*filter\nCOMMIT\n' })).rejects.toThrow(
    CommandError,
  );
  const text = await metrics.registry.metrics();
  expect(text).toContain('sluice_restore_calls_total{program="iptables-nft-restore"} 2');
  expect(text).toContain('sluice_restore_errors_total{program="iptables-nft-restore"} 1');
  expect(text).not.toContain('iptables-nft-save');
  // The second call only reads.
  expect(text).toContain('sluice_restore_calls_total{program="ipset"} 1');
});

function optionsFor(flags: ConfigSources['flags'], bindings: readonly EndpointBinding[] = []) {
  const state = new ClusterStore();
  state.apply([{ type: 'set', object: nodeObject }]);
  const facts = {
    bindings: new Map(bindings.map((binding, index) => [ip(`10.9.0.${index + 2}`), binding])),
    nodeAddresses: nodeObject.addresses,
    conntrackLiberal: true,
  };
  return compileOptions(loadConfig({ flags, environment: {} }), 'node-a', state, facts);
}

test('without --service-proxy, Services are somebody else’s', () => {
  expect(optionsFor({}).services).toBeUndefined();
});

test.each([
  ['cluster CIDRs', { clusterCidrs: '10.9.0.0/16' }, { kind: 'clusterCidr', cidrs: [{ address: '10.9.0.0' }] }],
  ['the pods themselves where no CIDR is known', {}, { kind: 'localPods' }],
  [
    'one cluster CIDR of each family',
    { clusterCidrs: '10.9.0.0/16,fd09::/48' },
    { kind: 'clusterCidr', cidrs: [{ address: '10.9.0.0' }, { address: 'fd09::' }] },
  ],
  [
    'the pods themselves where a family has several CIDRs: no rule can name two',
    { clusterCidrs: '10.9.0.0/16,fd09::/48,10.10.0.0/16' },
    { kind: 'localPods' },
  ],
  ['the pods themselves', { localTrafficDetector: 'localPods', clusterCidrs: '10.9.0.0/16' }, { kind: 'localPods' }],
  ["the node's CIDRs", { localTrafficDetector: 'nodeCidr' }, { kind: 'nodeCidr', cidrs: nodeObject.podCidrs }],
  [
    'a prefix',
    { localTrafficDetector: 'interfacePrefix', interfacePrefixes: 'cali' },
    { kind: 'interfacePrefix', prefix: 'cali' },
  ],
  [
    'the pods themselves where there are several prefixes',
    { localTrafficDetector: 'interfacePrefix', interfacePrefixes: 'cali,eni' },
    { kind: 'localPods' },
  ],
  [
    'the bridge that the pods are behind, of several the first by name',
    { localTrafficDetector: 'bridge' },
    { kind: 'bridge', name: 'cni0' },
  ],
  ['none', { localTrafficDetector: 'none' }, { kind: 'none' }],
])('local traffic is told by %s', (_name, flags, detector) => {
  const bridged = ['cni1', 'cni0', 'cni2'].map((bridge) => ({ kind: 'bridged', bridge }) as const);
  const { services } = optionsFor({ serviceProxy: true, ...flags }, bridged);
  expect(services?.detector).toMatchObject(detector);
  expect(services).toMatchObject({ nodeAddresses: nodeObject.addresses, conntrackLiberal: true });
});
