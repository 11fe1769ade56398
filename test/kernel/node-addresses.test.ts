/** A node that gets an address while it runs: its nodePorts answer there at once, and stop when it goes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import type { TestLab } from './lab-fixture.ts';
import { agentReport, testLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { probeAll } from './probe.ts';

const objects = `apiVersion: v1
kind: Node
metadata: { name: node1 }
---
apiVersion: v1
kind: Pod
metadata: { name: web, labels: { app: web } }
spec: { nodeName: node1, containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Pod
metadata: { name: client }
spec: { nodeName: node1, containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: NodePort, selector: { app: web }, ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] }
---
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: { name: kubernetes }
spec: { cidrs: [10.96.0.0/16] }
`;

const late = '192.168.77.1';

for (const iptables of ['nft', 'legacy'] as const) {
  describeKernel(`addresses of a running node, iptables-${iptables}`, () => {
    let lab: TestLab;
    beforeAll(async () => {
      const agentArguments = ['--node-port-addresses', '192.168.77.0/24'];
      lab = await testLab({ 'cluster.yaml': objects }, { iptables, agentArguments });
    });
    afterAll(() => lab.down());

    test('the nodePort answers at an address from the moment that the node has it', async () => {
      const netns = namespaceOf(lab.state, 'node/node1');
      const address = (verb: 'add' | 'del') => run(['ip', '-n', netns, 'address', verb, `${late}/32`, 'dev', 'eth0']);
      expect(await answers(late)).toBe(false);
      await address('add');
      await untilTrue('the nodePort answers at the new address', () => answers(late));
      expect(await answers('172.31.255.11')).toBe(false);
      expect((await agentReport(lab.state, 'node1')).status.ready).toBe(true);
      await address('del');
      await untilTrue('the jump is gone', async () => !(await savedNat(netns)).includes(late));
    });

    test('a ClusterIP that no Service has is dropped on the node, not sent out of it', async () => {
      const netns = namespaceOf(lab.state, 'node/node1');
      await probeAll(lab.state, [{ from: 'client', to: '10.96.77.77', port: 80, protocol: 'TCP' }], 300);
      const saved = (await run(['ip', 'netns', 'exec', netns, `iptables-${iptables}-save`, '-c', '-t', 'filter']))
        .stdout;
      const rule = saved.split('\n').find((line) => line.includes('unallocated cluster IPs')) ?? '';
      expect(rule).toMatch(/-A KUBE-SERVICES -d 10\.96\.0\.0\/16 .*-j DROP$/);
      expect(rule).not.toMatch(/^\[0:0\]/);
    });

    async function answers(to: string): Promise<boolean> {
      const [result] = await probeAll(lab.state, [{ from: 'client', to, port: 30_080, protocol: 'TCP' }], 300);
      return result?.answer?.pod === 'web';
    }

    async function savedNat(netns: string): Promise<string> {
      return (await run(['ip', 'netns', 'exec', netns, `iptables-${iptables}-save`, '-t', 'nat'])).stdout;
    }
  });
}
