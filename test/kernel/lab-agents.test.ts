/** A lab with its real agents: Services by name, policies that come and go, an agent that is killed. */
import { mkdtemp, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/backends/exec.ts';
import { labDown } from '../../src/lab/down.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { namespacesOf } from '../../src/lab/network.ts';
import type { LabOptions } from '../../src/lab/options.ts';
import { labDefaults } from '../../src/lab/options.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { isAlive, pause, readState } from '../../src/lab/run-directory.ts';
import { labStatus } from '../../src/lab/status.ts';
import { labUp } from '../../src/lab/up.ts';
import { describeKernel } from './netns.ts';
import { probe, probeAll } from './probe.ts';

const apps = ['frontend', 'backend', 'db'];
const manifests = apps
  .map(
    (app) => `
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${app} }
spec:
  replicas: 2
  selector: { matchLabels: { app: ${app} } }
  template:
    metadata: { labels: { app: ${app} } }
    spec: { containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: ${app} }
spec: { selector: { app: ${app} }, ports: [{ port: 80, targetPort: 8080 }] }
`,
  )
  .join('---');

const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: db-from-backend }
spec:
  podSelector: { matchLabels: { app: db } }
  ingress: [{ from: [{ podSelector: { matchLabels: { app: backend } } }] }]
`;

const newcomer = `
apiVersion: v1
kind: Pod
metadata: { name: newcomer, labels: { app: backend } }
spec: { containers: [{ name: c, image: none, ports: [{ containerPort: 8080 }] }] }
`;

const choices = [
  { cni: 'ptp', iptables: 'nft', ipFamilies: ['ipv4'] },
  { cni: 'bridge', iptables: 'legacy', ipFamilies: ['ipv4', 'ipv6'] },
] as const;

for (const choice of choices) {
  const { cni, iptables, ipFamilies } = choice;
  describeKernel(`a lab with agents: ${cni}, ${iptables}, ${ipFamilies.join(' and ')}`, () => {
    const name = `sltest-${process.pid}-${cni}`;
    let temporary = '';
    let options: LabOptions;
    let lab: LabState;

    beforeAll(async () => {
      temporary = await mkdtemp(join(tmpdir(), 'sluice-lab-'));
      process.env.SLUICE_LAB_RUN_DIR = join(temporary, 'run');
      const directory = join(temporary, 'manifests');
      await run(['mkdir', directory]);
      options = { ...labDefaults, ...choice, directory, name, nodes: 2 };
      await write('cluster.yaml', manifests);
      lab = await labUp(options);
    });

    afterAll(async () => {
      await labDown({ name });
      await rm(temporary, { recursive: true });
      delete process.env.SLUICE_LAB_RUN_DIR;
      expect(await namespacesOf((owner) => owner === name)).toEqual([]);
    });

    test('up means that every pod is programmed', async () => {
      const status = await labStatus(name);
      expect(lab.messages).toEqual([]);
      expect(status.agents.map(({ isReady }) => isReady)).toEqual([true, true]);
      expect(status.agents.reduce((sum, { programmed }) => sum + programmed, 0)).toBe(6);
    });

    test('curl by the name of a Service prints the name of one of its pods', async () => {
      for (const from of apps) {
        const answers = await Promise.all(apps.map((to) => curl(from, to)));
        expect(answers).toEqual(apps.map((app) => expect.stringMatching(new RegExp(`^${app}-[01]\\n$`))));
      }
    });

    test('without a policy all reach all, in every family', async () => {
      const flows = ipFamilies.flatMap((family) => everyPair().map((flow) => ({ ...flow, family })));
      const results = await probeAll(lab, flows);
      expect(flows.filter((_flow, index) => results[index]?.verdict !== 'allowed')).toEqual([]);
    });

    test('a policy that is written down applies, and does not any more when it is taken away', async () => {
      await write('policy.yaml', policy);
      await untilVerdict('frontend-0', 'denied');
      const flows = ipFamilies.flatMap((family) => everyPair().map((flow) => ({ ...flow, family })));
      const results = await probeAll(lab, flows);
      const isExpected = ({ from, to }: (typeof flows)[number], verdict: string | undefined): boolean =>
        verdict === (to.startsWith('db') && !from.startsWith('backend') && from !== to ? 'denied' : 'allowed');
      expect(flows.filter((flow, index) => !isExpected(flow, results[index]?.verdict))).toEqual([]);
      await unlink(join(options.directory, 'policy.yaml'));
      await untilVerdict('frontend-0', 'allowed');
    });

    test('a pod that comes later is wired, programmed and let through', async () => {
      await write('policy.yaml', policy);
      await untilVerdict('frontend-0', 'denied');
      await write('newcomer.yaml', newcomer);
      await untilTrue(async () => (await readState(name))?.pods.some(({ key }) => key === 'default/newcomer') ?? false);
      await untilVerdict('newcomer', 'allowed');
      await unlink(join(options.directory, 'newcomer.yaml'));
    });

    test('an agent that is killed is started again, and nothing opens meanwhile', async () => {
      const agents = (await readState(name))?.processes ?? [];
      for (const { pid } of agents) process.kill(pid, 'SIGKILL');
      await untilTrue(async () => (await Promise.all(agents.map(isAlive))).every((alive) => !alive));
      expect((await probe(lab, toDb('frontend-0'))).verdict).toBe('denied');
      expect((await probe(lab, toDb('backend-0'))).verdict).toBe('allowed');
      await untilTrue(async () => (await labStatus(name)).agents.every(({ isReady }) => isReady));
      expect((await probe(lab, toDb('frontend-0'))).verdict).toBe('denied');
      expect((await readState(name))?.processes.map(({ pid }) => pid)).not.toEqual(agents.map(({ pid }) => pid));
    });

    async function write(file: string, text: string): Promise<void> {
      const draft = join(options.directory, `.${file}`);
      await writeFile(draft, text);
      await rename(draft, join(options.directory, file));
    }

    async function curl(from: string, to: string): Promise<string> {
      const argv = ['curl', '-sS', '--max-time', '5', to] as const;
      return (await run(['ip', 'netns', 'exec', namespaceOf(lab, from), ...argv])).stdout;
    }

    async function untilVerdict(from: string, verdict: 'allowed' | 'denied'): Promise<void> {
      await untilTrue(async () => {
        const present = (await readState(name)) ?? lab;
        return (await probe(present, toDb(from), 700)).verdict === verdict;
      });
    }

    function everyPair() {
      const pods = apps.flatMap((app) => [`${app}-0`, `${app}-1`]);
      return pods.flatMap((from) => pods.map((to) => ({ from, to, port: 8080, protocol: 'TCP' as const })));
    }
  });
}

describeKernel('a lab whose agents do not start', () => {
  test('up fails with what the agent said, and takes everything away', async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'sluice-lab-'));
    process.env.SLUICE_LAB_RUN_DIR = join(temporary, 'run');
    const name = `sltest-${process.pid}-bad`;
    await writeFile(join(temporary, 'cluster.yaml'), manifests);
    const options = { ...labDefaults, directory: join(temporary, 'cluster.yaml'), name };
    const failure = labUp({ ...options, agentArguments: ['--no-such-flag'] });
    await expect(failure).rejects.toThrow(
      /the agent of node .* ends again and again; its last lines:\n.*--no-such-flag/s,
    );
    expect(await namespacesOf((owner) => owner === name)).toEqual([]);
    await rm(temporary, { recursive: true });
    delete process.env.SLUICE_LAB_RUN_DIR;
  });
});

function toDb(from: string) {
  return { from, to: 'db-0', port: 8080, protocol: 'TCP' as const };
}

async function untilTrue(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error('not within 30 s');
    await pause(25);
  }
}
