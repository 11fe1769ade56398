/** UDP flows of Services in a real conntrack: clients with one port for ever, while what they ask for changes (scenarios 105 to 110). */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namespaceOf } from '../../src/lab/exec.ts';
import { Asking } from './asking.ts';
import type { TestLab } from './lab-fixture.ts';
import { endAgents, testLab, untilAgentsAreBack, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { inside } from './raw-packets.ts';
import { labObjects } from './service-flows.ts';

const nodes = ['node1', 'node2']
  .map((name) => `apiVersion: v1\nkind: Node\nmetadata: { name: ${name} }\n`)
  .join('---\n');

/** Behind the Service where `app` is dns. */
function pods(apps: Readonly<Record<string, string>>): string {
  const placed = { 'dns-a': 'node1', 'dns-b': 'node2', 'calm-a': 'node2', client: 'node1' };
  return Object.entries(placed)
    .map(
      ([name, node]) => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${apps[name] ?? name} } }
spec: { nodeName: ${node}, containers: [{ name: c, image: none, ports: [{ containerPort: 53, protocol: UDP }] }] }
`,
    )
    .join('---\n');
}

const calm = `apiVersion: v1
kind: Service
metadata: { name: calm }
spec: { type: NodePort, clusterIP: 10.96.0.20, selector: { app: calm-a }, ports: [{ port: 53, protocol: UDP, nodePort: 30520 }] }
`;

function dns(clusterIp: string, nodePort: number): string {
  return `apiVersion: v1
kind: Service
metadata: { name: dns }
spec: { type: LoadBalancer, clusterIP: ${clusterIp}, selector: { app: dns }, ports: [{ port: 53, protocol: UDP, nodePort: ${nodePort} }] }
status: { loadBalancer: { ingress: [{ ip: 203.0.113.53 }] } }
`;
}

const all = ['pod', 'node', 'outside', 'balanced'] as const;
/** Of a Service that nobody changes. */
const undisturbed = ['calm', 'calm nodePort'] as const;

for (const iptables of ['nft', 'legacy'] as const) {
  describeKernel(`UDP flows of Services, ${iptables}`, () => {
    let lab: TestLab;
    let asking: Asking;
    let calmFlows: readonly string[];

    beforeAll(async () => {
      const files = { 'nodes.yaml': nodes, 'pods.yaml': pods({ 'dns-a': 'dns' }), 'calm.yaml': calm };
      lab = await testLab({ ...files, 'dns.yaml': dns('10.96.0.10', 30_530) }, { iptables });
      const { state } = lab;
      const node = state.nodes[0]?.addresses[0] ?? '';
      const from = (target: string) => namespaceOf(state, target);
      asking = new Asking({
        [from('client')]: [
          { id: 'pod', address: '10.96.0.10', port: 53 },
          { id: 'calm', address: '10.96.0.20', port: 53 },
          { id: 'new address', address: '10.96.0.11', port: 53 },
        ],
        [from('node/node1')]: [{ id: 'node', address: '10.96.0.10', port: 53 }],
        [from('outside')]: [
          { id: 'outside', address: node, port: 30_530 },
          { id: 'balanced', address: '203.0.113.53', port: 53 },
          { id: 'calm nodePort', address: node, port: 30_520 },
          { id: 'new nodePort', address: node, port: 30_531 },
        ],
      });
      await answersAre('dns-a');
      await answersAre('calm-a', undisturbed);
      calmFlows = await calmFlowsNow();
      expect(calmFlows).toHaveLength(2);
    });
    afterAll(async () => {
      await asking.stop();
      await lab.down();
    });

    test('105, 108: the endpoint is exchanged for one of another node; the old one would still answer', async () => {
      await lab.write('pods.yaml', pods({ 'dns-b': 'dns' }));
      await answersAre('dns-b');
    });

    test('110: no endpoint is left: nobody answers', async () => {
      await lab.write('pods.yaml', pods({}));
      await answersAre();
    });

    test('106: the first endpoint comes: the clients that never stopped asking reach it', async () => {
      await lab.write('pods.yaml', pods({ 'dns-a': 'dns' }));
      await answersAre('dns-a');
    });

    test('107: the target port changes to one that nobody has: the old port’s flows end', async () => {
      await lab.write('dns.yaml', dns('10.96.0.10', 30_530).replace('port: 53,', 'port: 53, targetPort: 54,'));
      await answersAre();
      await lab.write('dns.yaml', dns('10.96.0.10', 30_530));
      await answersAre('dns-a');
    });

    test('the nodePort changes: the old one is nobody’s, the new one answers those who asked it before it was there', async () => {
      expect(asking.ever('new nodePort')).toEqual([]);
      await lab.write('dns.yaml', dns('10.96.0.10', 30_531));
      await answersAre('dns-a', ['pod', 'node', 'new nodePort']);
      await answersAre(undefined, ['outside']);
    });

    test('the ClusterIP changes: the same', async () => {
      expect(asking.ever('new address')).toEqual([]);
      await lab.write('dns.yaml', dns('10.96.0.11', 30_531));
      await answersAre('dns-a', ['new address', 'new nodePort']);
      await answersAre(undefined, ['pod', 'node']);
    });

    test('110: the Service is deleted: nobody answers', async () => {
      await lab.remove('dns.yaml');
      await answersAre(undefined, [...all, 'new address', 'new nodePort']);
    });

    test('a Service that is deleted while the agents are dead', async () => {
      await lab.write('dns.yaml', dns('10.96.0.10', 30_530));
      await answersAre('dns-a');
      const dead = await endAgents(lab, 'SIGKILL');
      await lab.remove('dns.yaml');
      await untilAgentsAreBack(lab, dead);
      await answersAre();
    });

    test('109, 118: flows of a Service that did not change were never touched, also while agents died', async () => {
      expect((await labObjects(lab.state)).services.has('default/calm')).toBe(true);
      expect(await calmFlowsNow()).toEqual(calmFlows);
      await answersAre('calm-a', undisturbed);
      expect(undisturbed.map((id) => asking.ever(id))).toEqual([['calm-a'], ['calm-a']]);
    });

    /** As conntrack numbers them: one that was ended and began anew has another number. */
    async function calmFlowsNow(): Promise<readonly string[]> {
      const listed = await inside(namespaceOf(lab.state, 'node/node1'), ['conntrack', '-L', '-p', 'udp', '-o', 'id']);
      const own = listed.split('\n').filter((line) => / dst=10\.96\.0\.20 | dport=30520 /.test(line));
      return own.map((line) => / id=(\d+)/.exec(line)?.[1] ?? line).toSorted();
    }

    /** Undefined: nobody answers. */
    async function answersAre(pod?: string, ids: readonly string[] = all): Promise<void> {
      const wanted = pod === undefined ? '' : pod;
      for (const id of ids) {
        const what = `${id} is answered by ${pod ?? 'nobody'}`;
        await untilTrue(what, () => asking.lately(id).join() === wanted);
      }
    }
  });
}
