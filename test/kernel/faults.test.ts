/** What goes wrong around a running agent, on a real kernel: nothing opens, nothing foreign is touched, and it comes right by itself. */
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { spawnProcess } from '../../src/backends/exec.ts';
import type { Run } from '../../src/backends/exec.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { KernelWriter } from '../../src/backends/kernel-writer.ts';
import { askAgent } from '../../src/lab/ask-agent.ts';
import type { AgentStatus } from '../../src/telemetry/status.ts';
import { chainOf, dataplaneOf, hookOf, inSet, ruleOf, setOf } from '../fakes/dataplanes.ts';
import { AgentProcess, type AgentPlace } from './agent-process.ts';
import { imageOf } from './kernel-image.ts';
import type { Netns } from './netns.ts';
import { connectNetns, createNetns, describeKernel } from './netns.ts';

const cluster = `
apiVersion: v1
kind: Node
metadata: {name: node-a}
spec: {podCIDRs: [10.88.0.0/24]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {app: db}}
spec: {nodeName: node-a}
status: {podIP: 10.88.0.26, podIPs: [{ip: 10.88.0.26}]}
---
apiVersion: v1
kind: Pod
metadata: {name: backend, labels: {app: backend}}
spec: {nodeName: elsewhere}
status: {podIP: 10.88.1.27, podIPs: [{ip: 10.88.1.27}]}
`;
const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: backend}}}]}]}
`;

for (const variant of ['nft', 'legacy'] as const) {
  describeKernel(`faults around an agent, iptables-${variant}`, () => {
    let node: Netns;
    let pod: Netns;
    let directory: string;
    let place: AgentPlace;
    let running: AgentProcess | undefined;

    beforeEach(async () => {
      [node, pod] = [await createNetns('fn'), await createNetns('fp')];
      await connectNetns(
        { netns: node, device: 'cali-db' },
        { netns: pod, device: 'eth0', addresses: ['10.88.0.26/32'] },
      );
      await node.exec('ip route add 10.88.0.26/32 dev cali-db');
      directory = await mkdtemp(join(tmpdir(), 'sluice-faults-'));
      place = {
        netns: node.name,
        node: 'node-a',
        manifests: join(directory, 'manifests'),
        runDir: join(directory, 'run'),
        variant,
      };
      await mkdir(place.manifests);
      await mkdir(place.runDir);
      await put('cluster.yaml', cluster);
      await put('policy.yaml', policy);
      running = await AgentProcess.start(place);
    });

    afterEach(async () => {
      await running?.end('SIGKILL');
      await Promise.all([node.destroy(), pod.destroy()]);
      await rm(directory, { recursive: true });
    });

    async function put(name: string, text: string): Promise<void> {
      await writeFile(join(directory, 'new'), text);
      await rename(join(directory, 'new'), join(place.manifests, name));
    }

    async function emptyDirectory(): Promise<void> {
      for (const name of await readdir(place.manifests)) await rm(join(place.manifests, name));
    }

    const statusOf = async (): Promise<AgentStatus | undefined> => (await askAgent(place.runDir))?.status;
    const reasonOf = async (part: string): Promise<string> =>
      (await statusOf())?.parts.find((one) => one.part === part)?.reason ?? 'ready';

    test('started again where a manifest cannot be read, or none is there, it leaves what protects the pods', async () => {
      const image = await imageOf(place);
      expect(image).toContain('cali-tw-cali-db');
      for (const [broken, reason] of [
        [() => put('policy.yaml', 'spec: [\n'), 'policy.yaml cannot be read'],
        [emptyDirectory, 'there is no manifest'],
      ] as const) {
        await running?.end('SIGKILL');
        await broken();
        running = AgentProcess.launch(place);
        await expect.poll(() => reasonOf('source'), { timeout: 15_000 }).toContain(reason);
        // The preflight beside it tries out what it needs, under names of its own.
        await expect.poll(() => imageOf(place), { timeout: 10_000 }).toBe(image);
      }
      await put('cluster.yaml', cluster);
      await put('policy.yaml', policy);
      await running?.untilSettled(1);
      await expect.poll(() => imageOf(place), { timeout: 10_000 }).toBe(image);
    });

    test('manifests that vanish at once, as with a volume that is unmounted, change nothing', async () => {
      const image = await imageOf(place);
      await emptyDirectory();
      await expect.poll(async () => (await statusOf())?.diagnostics.errors, { timeout: 10_000 }).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      expect(await imageOf(place)).toBe(image);
    });

    test('117: everything flushed, sets destroyed: it comes back by itself', async () => {
      const image = await imageOf(place);
      if (variant === 'nft') await node.exec('nft flush ruleset');
      else {
        for (const program of ['iptables-legacy', 'ip6tables-legacy']) {
          for (const table of ['filter', 'raw', 'mangle', 'nat']) {
            await node.exec(`${program} -t ${table} -F`);
            await node.exec(`${program} -t ${table} -X`);
          }
        }
      }
      await node.exec('ipset destroy').catch(() => 'the agent was faster: rules refer to the sets again');
      await expect.poll(() => imageOf(place), { timeout: 15_000 }).toBe(image);
    });

    test('a pod whose link goes down is closed, and programmed again when it is back', async () => {
      const image = await imageOf(place);
      await node.exec('ip link set cali-db down');
      await expect.poll(() => node.exec('ipset list cali40programmed')).not.toContain('10.88.0.26');
      expect(await node.exec('ipset list cali40policed')).toContain('10.88.0.26');
      await node.exec('ip link set cali-db up');
      await node.exec('ip route add 10.88.0.26/32 dev cali-db');
      await expect.poll(() => imageOf(place), { timeout: 10_000 }).toBe(image);
    });
  });
}

describeKernel('faults of the tools', () => {
  let netns: Netns;
  beforeEach(async () => {
    netns = await createNetns('ft');
  });
  afterEach(() => netns.destroy());

  const wanted = dataplaneOf({
    sets: [setOf('s:a', ['10.0.0.1'])],
    chains: { filter: [chainOf('cali-FORWARD', ruleOf({ kind: 'drop' }, inSet(setOf('s:a', []).name)))] },
    hooks: [hookOf('FORWARD', 'cali-FORWARD')],
  });

  test('legacy: another program holds the xtables lock for half a minute, longer than one try waits', async () => {
    const lock = join(await mkdtemp(join(tmpdir(), 'sluice-lock-')), 'lock');
    const withLock: Run = ([program, ...args], options) =>
      netns.run(['env', `XTABLES_LOCKFILE=${lock}`, program, ...args], options);
    const backend = new KernelBackend({ run: withLock, variant: 'legacy', ownership: { services: false } });
    const writer = new KernelWriter({ backend });
    const holder = spawnProcess(['flock', lock, 'sleep', '30']);
    await expect.poll(() => isLocked(lock)).toBe(true);
    const report = await writer.resync(wanted);
    expect(report.durationMs).toBeGreaterThan(20_000);
    expect(await netns.exec('iptables-legacy-save')).toContain('-j cali-FORWARD');
    expect((await holder.exited).exitCode).toBe(0);
    await rm(join(lock, '..'), { recursive: true });
  }, 240_000);

  test.each(['nft', 'legacy'] as const)('%s: a restore that hangs is ended, and given again', async (variant) => {
    let hanging = 2;
    const hangs: Run = ([program, ...args], options) =>
      program.endsWith('-restore') && hanging-- > 0
        ? netns.run(['sleep', '600'], { ...options, timeoutMs: 300 })
        : netns.run([program, ...args], options);
    const backend = new KernelBackend({ run: hangs, variant, ownership: { services: false } });
    const writer = new KernelWriter({ backend });
    const { refused } = await writer.resync(wanted);
    expect(refused).toEqual([]);
    expect(hanging).toBeLessThan(0);
    expect(await netns.exec(`iptables-${variant}-save`)).toContain('-j cali-FORWARD');
    expect((await writer.resync(wanted)).writes).toBe(0);
  });

  test('a member that the real ipset refuses is left out and named, the others go in', async () => {
    const backend = new KernelBackend({ run: netns.run, variant: 'nft', ownership: { services: false } });
    const writer = new KernelWriter({ backend });
    const members = ['10.0.0.1', 'fd00::1', 'nonsense', '10.0.0.2'];
    const sets = dataplaneOf({ sets: [setOf('s:bad', members), setOf('s:good', ['10.0.0.3'])] });
    const { refused } = await writer.resync(sets);
    expect(refused.map((refusal) => (refusal.kind === 'member' ? refusal.member : refusal.kind))).toEqual([
      'fd00::1',
      'nonsense',
    ]);
    const saved = await netns.exec('ipset save');
    for (const member of ['10.0.0.1', '10.0.0.2', '10.0.0.3'])
      expect(saved).toMatch(new RegExp(`^add \\S+ ${member}$`, 'm'));
  });

  async function isLocked(lock: string): Promise<boolean> {
    return netns.exec(['flock', '--nonblock', lock, 'true']).then(
      () => false,
      () => true,
    );
  }
});
