/** Whom a machine outside the cluster sees, by real packets: with natOutgoing the pod's node, without it the pod. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileOptions } from '../../src/agent/compile-options.ts';
import { run } from '../../src/backends/exec.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { ClusterModel } from '../../src/explain/cluster-model.ts';
import { modelOf } from '../../src/explain/compile-node.ts';
import { parseFlows } from '../../src/explain/flow-file.ts';
import { checkFlows } from '../../src/explain/flows.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import type { TestLab } from './lab-fixture.ts';
import { testLab } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { labObjects, wrongFlows } from './service-flows.ts';

function pod(name: string, node: string, spec = ''): string {
  return `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec: { nodeName: ${node}, ${spec}containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
`;
}

const objects = [
  ...['node1', 'node2'].map((name) => `apiVersion: v1\nkind: Node\nmetadata: { name: ${name} }\n`),
  pod('a', 'node1'),
  pod('b', 'node2'),
  pod('host-1', 'node1', 'hostNetwork: true, '),
  pod('host-2', 'node2', 'hostNetwork: true, '),
  `apiVersion: v1
kind: Service
metadata: { name: b }
spec: { selector: { app: b }, ipFamilyPolicy: PreferDualStack, ports: [{ port: 80, targetPort: 8080 }] }
`,
].join('---\n');

/** `outer`: who is seen where the packet leaves the cluster. */
function flowsWhere(outer: 'a' | 'node/node1'): ReturnType<typeof parseFlows> {
  return parseFlows(
    `
- { from: a, to: "172.31.254.2:80", expect: allowed, source: ${outer} }
- { from: a, to: "[fd00:172:31:254::2]:80", expect: allowed, source: ${outer} }
- { from: a, to: "host-2:8080", expect: allowed, source: ${outer}, why: another node is outside the pod networks }
- { from: a, to: "host-1:8080", expect: allowed, source: a, why: to its own node nothing leaves }
- { from: a, to: "b:8080", expect: allowed, source: a }
- { from: a, to: "svc/b:80", expect: allowed, source: a, dnat: "b:8080", why: the Service leads to a pod }
- { from: outside, to: "b:8080", expect: allowed, source: outside, why: what comes in keeps its source }
- { from: node/node1, to: "172.31.254.2:80", expect: allowed, source: node/node1 }
`,
    'flows.yaml',
  );
}

const choices = [
  { cni: 'ptp', iptables: 'nft', natOutgoing: true },
  { cni: 'bridge', iptables: 'legacy', natOutgoing: true },
  { cni: 'ptp', iptables: 'nft', natOutgoing: false },
] as const;

for (const { natOutgoing, ...choice } of choices) {
  describeKernel(`natOutgoing ${natOutgoing}: ${choice.cni}, iptables-${choice.iptables}`, () => {
    let lab: TestLab;

    beforeAll(async () => {
      const agentArguments = natOutgoing ? ['--nat-outgoing'] : [];
      lab = await testLab({ 'cluster.yaml': objects }, { ...choice, ipFamilies: ['ipv4', 'ipv6'], agentArguments });
    });
    afterAll(() => lab.down());

    test('who is seen, by packets and by the tracer', async () => {
      const { flows, diagnostics } = flowsWhere(natOutgoing ? 'node/node1' : 'a');
      expect(diagnostics).toEqual([]);
      const model = await modelOfLab();
      expect(checkFlows(model, flows).flatMap(({ passed, reason }) => (passed ? [] : [reason]))).toEqual([]);
      expect(await wrongFlows(lab.state, model, flows)).toEqual([]);
    });

    test('the rule is where it should be, and counts', async () => {
      const netns = namespaceOf(lab.state, 'node/node1');
      const { stdout } = await run([
        'ip',
        'netns',
        'exec',
        netns,
        `iptables-${choice.iptables}-save`,
        '-t',
        'nat',
        '-c',
      ]);
      const lines = stdout.split('\n').filter((line) => /cali-nat-outgoing .*-j MASQUERADE/.test(line));
      expect(lines).toHaveLength(natOutgoing ? 1 : 0);
      if (!natOutgoing) return;
      expect(lines[0]).toContain('cali:flqWnvo8yq4ULQLa');
      expect(lines[0]).not.toMatch(/^\[0:0\]/);
      const jumps = stdout.split('\n').flatMap((line) => /-A POSTROUTING .*-j (\S+)$/.exec(line)?.[1] ?? []);
      expect(jumps).toEqual(['KUBE-POSTROUTING', 'cali-POSTROUTING']);
    });

    async function modelOfLab(): Promise<ClusterModel> {
      const flags = { serviceProxy: true, natOutgoing, clusterCidrs: '10.88.0.0/16,fd00:10:88::/48' };
      const config = loadConfig({ flags: { ...flags, localTrafficDetector: 'localPods' }, environment: {} });
      const state = await labObjects(lab.state);
      return modelOf({ state, optionsOf: (node, facts) => compileOptions(config, node, state, facts) });
    }
  });
}
