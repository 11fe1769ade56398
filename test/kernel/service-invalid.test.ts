/**
 * A server's segment out of the window (scenario 111): conntrack does not translate it back, so a client that got it would see a stranger's address and
 * reset the connection that it has by the Service.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { namespaceOf } from '../../src/lab/exec.ts';
import type { TestLab } from './lab-fixture.ts';
import { restartAgents, testLab, untilTrue } from './lab-fixture.ts';
import { describeKernel } from './netns.ts';
import { inside } from './raw-packets.ts';
import { Talks } from './talk.ts';

const clusterIp = '10.96.0.10';
const port = 9001;

const objects = [
  'apiVersion: v1\nkind: Node\nmetadata: { name: node1 }\n',
  ...['server', 'client'].map(
    (name) => `apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { app: ${name} } }
spec: { nodeName: node1, containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
`,
  ),
  `apiVersion: v1
kind: Service
metadata: { name: talk }
spec: { clusterIP: ${clusterIp}, selector: { app: server }, ports: [{ port: ${port} }] }
`,
].join('---\n');

const counted = 'inet sluice_counted';

describeKernel('a segment out of the window', () => {
  let lab: TestLab;
  let talks: Talks;
  let server: string;
  beforeAll(async () => {
    // Without policy's own drop: what is left is kube-proxy's.
    lab = await testLab({ 'cluster.yaml': objects }, { agentArguments: ['--invalid-drop=false'] });
    server = lab.state.pods.find(({ key }) => key === 'default/server')?.addresses[0] ?? '';
    await lab.untilProgrammed('Service', 1);
    talks = new Talks([
      { netns: namespaceOf(lab.state, 'server'), order: { listen: [{ port, kind: 'server' }], connect: [] } },
      {
        netns: namespaceOf(lab.state, 'client'),
        order: { listen: [], connect: [{ id: 'talk', address: clusterIp, port, kind: 'server' }] },
      },
    ]);
    await untilTrue('they talk', () => talks.of('talk').times.length > 3);
    const from = `ip saddr ${server} tcp sport ${port}`;
    await count('node/node1', `hook prerouting priority 0`, `${from} ct state invalid`);
    await count('client', `hook prerouting priority -400`, from);
  });
  afterAll(async () => {
    await talks.stop();
    await lab.down();
  });

  test('111: it is dropped: the client sees no stranger, and the connection goes on', async () => {
    await send();
    expect(await packets('node/node1')).toBeGreaterThan(0);
    expect(await packets('client')).toBe(0);
    await goesOn();
  });

  test('111: a conntrack that is liberal translates it: nothing is dropped, and the connection goes on', async () => {
    const before = await packets('node/node1');
    await inside(namespaceOf(lab.state, 'node/node1'), [
      'sysctl',
      '-qw',
      'net.netfilter.nf_conntrack_tcp_be_liberal=1',
    ]);
    await restartAgents(lab, 'SIGTERM');
    const forward = () => inside(namespaceOf(lab.state, 'node/node1'), ['iptables-nft', '-S', 'KUBE-FORWARD']);
    await untilTrue('the drop is gone', async () => !(await forward()).includes('INVALID'));
    await send();
    expect([(await packets('node/node1')) - before, await packets('client')]).toEqual([0, 0]);
    await goesOn();
  });

  test('without either the client gets it: what kept it away was the drop', async () => {
    const node = namespaceOf(lab.state, 'node/node1');
    await inside(node, ['sysctl', '-qw', 'net.netfilter.nf_conntrack_tcp_be_liberal=0']);
    expect(await inside(node, ['iptables-nft', '-S', 'KUBE-FORWARD'])).not.toContain('INVALID');
    await send();
    expect(await packets('client')).toBeGreaterThan(0);
  });

  /** All round the numbers: most are out of any window. */
  async function send(): Promise<void> {
    const listed = await inside(namespaceOf(lab.state, 'node/node1'), [
      'conntrack',
      '-L',
      '-p',
      'tcp',
      '-d',
      clusterIp,
    ]);
    const [, client = '', to = ''] = /ESTABLISHED src=(\S+) dst=\S+ sport=(\d+)/.exec(listed) ?? [];
    const sequences = Array.from({ length: 16 }, (_, index) => index * 2 ** 28);
    const lines = sequences.map((sequence) => `${server} ${port} ${client} ${to} ${sequence}\n`);
    const script = join(import.meta.dirname, 'tcp-segments.pl');
    await inside(namespaceOf(lab.state, 'server'), ['perl', script], lines.join(''));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }

  async function goesOn(): Promise<void> {
    const { length } = talks.of('talk').times;
    await untilTrue('they go on talking', () => talks.of('talk').times.length > length + 5);
    expect(talks.of('talk').isComplete).toBe(true);
  }

  async function count(where: string, hook: string, match: string): Promise<void> {
    const script = `add table ${counted}
add chain ${counted} c { type filter ${hook}; }
add rule ${counted} c ${match} counter
`;
    await inside(namespaceOf(lab.state, where), ['nft', '-f', '-'], script);
  }

  async function packets(where: string): Promise<number> {
    const listed = await inside(namespaceOf(lab.state, where), ['nft', 'list', 'table', ...counted.split(' ')]);
    return Number(/counter packets (\d+)/.exec(listed)?.[1]);
  }
});
