/** A whole lab in the background, without agents: up, exec, following the manifests, down, and what a crash leaves. */
import { mkdtemp, readdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Argv } from '../../src/backends/exec.ts';
import { run, spawnProcess } from '../../src/backends/exec.ts';
import { labDown } from '../../src/lab/down.ts';
import { namespaceOf } from '../../src/lab/exec.ts';
import { LabError } from '../../src/lab/lab-error.ts';
import type { LabProgress } from '../../src/lab/lab.ts';
import { labOfNamespace } from '../../src/lab/names.ts';
import { namespacesOf } from '../../src/lab/network.ts';
import type { LabOptions } from '../../src/lab/options.ts';
import { labDefaults } from '../../src/lab/options.ts';
import type { LabState } from '../../src/lab/run-directory.ts';
import { isAlive, pause, readState } from '../../src/lab/run-directory.ts';
import { labStatus } from '../../src/lab/status.ts';
import { labForeground, labUp } from '../../src/lab/up.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { describeKernel } from './netns.ts';
import { probe } from './probe.ts';

const manifests = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: c, image: none, ports: [{ containerPort: 80 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
${podText('alone')}`;

function podText(name: string, port = 80): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec: { containers: [{ name: c, image: none, ports: [{ containerPort: ${port} }, { containerPort: 53, protocol: UDP }] }] }
`;
}

describeKernel('a lab', () => {
  const name = `sltest-${process.pid}`;
  let temporary = '';
  let options: LabOptions;
  let machineBefore: string;

  beforeAll(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'sluice-lab-'));
    process.env.SLUICE_LAB_RUN_DIR = join(temporary, 'run');
    machineBefore = await machineNetwork();
  });

  beforeEach(async () => {
    const directory = await mkdtemp(join(temporary, 'manifests-'));
    await writeFile(join(directory, 'cluster.yaml'), manifests);
    options = { ...labDefaults, directory, name, nodes: 2, agents: false };
  });

  afterAll(async () => {
    await labDown({ name });
    await rm(temporary, { recursive: true });
    delete process.env.SLUICE_LAB_RUN_DIR;
  });

  test('up, packets, a changed directory, down: and nothing is left', async () => {
    const progress: LabProgress[] = [];
    const lab = await labUp(options, { onProgress: (step) => progress.push(step) });
    expect(lab.pods.map(({ key }) => key)).toEqual(['default/alone', 'default/web-0', 'default/web-1']);
    expect(lab.nodes).toHaveLength(2);
    expect(progress.at(-1)).toEqual({ step: 'pods', done: 3, total: 3 });
    expect((await probe(lab, { from: 'web', to: 'alone', port: 80, protocol: 'TCP' })).answer?.pod).toBe('alone');
    expect(await labStatus(name)).toMatchObject({ phase: 'ready', isFollowing: true });

    await addPod('later');
    const grown = await untilState(name, (state) => hasPod(state, 'default/later'));
    expect(addressesOf(grown, 'default/alone')).toEqual(addressesOf(lab, 'default/alone'));
    const outsideToLater = { from: 'outside', to: 'later', port: 80, protocol: 'TCP' as const };
    expect((await probe(grown, outsideToLater)).answer?.pod).toBe('later');
    expect((await probe(grown, { ...outsideToLater, port: 53, protocol: 'UDP' })).answer?.pod).toBe('later');
    expect(await inside(grown, 'alone', ['curl', '-s', 'http://later/'])).toBe('later\n');
    const toOutside = { from: 'alone', to: 'outside', port: 80, protocol: 'TCP' as const };
    expect((await probe(grown, toOutside)).answer).toMatchObject({ pod: 'outside', server: '172.31.254.2' });

    await addPod('later', 8080);
    await untilTrue(async () => (await probe(grown, { ...outsideToLater, port: 8080 })).answer?.pod === 'later');

    await unlink(join(options.directory, 'later.yaml'));
    const shrunk = await untilState(name, (state) => !hasPod(state, 'default/later'));
    expect(await namespacesOf((owner) => owner === name)).not.toContain(namespaceOf(grown, 'later'));
    expect((await probe(shrunk, { from: 'web', to: 'alone', port: 80, protocol: 'TCP' })).verdict).toBe('allowed');

    expect(await labDown({ name })).toEqual([name]);
    await expectNothingLeft(lab);
  });

  test('the complete objects lie where agents read them, and follow', async () => {
    await labUp(options);
    const directory = join(temporary, 'run', name, 'cluster');
    expect((await readdir(join(directory, 'Pod', 'default'))).sort()).toEqual([
      'alone.yaml',
      'web-0.yaml',
      'web-1.yaml',
    ]);
    expect(await readdir(join(directory, 'Service', 'default'))).toEqual(['web.yaml']);
    await addPod('later');
    await untilState(name, (state) => hasPod(state, 'default/later'));
    await untilTrue(async () => (await readdir(join(directory, 'Pod', 'default'))).includes('later.yaml'));
    await labDown({ name });
  });

  test('a command in a pod has our streams, and its exit code is ours', async () => {
    await labUp(options);
    const script = join(import.meta.dirname, '..', '..', 'src', 'lab', 'exec.ts');
    const code = `import { labExec } from ${JSON.stringify(script)};
      process.exitCode = await labExec(${JSON.stringify(name)}, process.argv[1], process.argv.slice(2));`;
    const inPod = (...argv: string[]) => [process.execPath, '--input-type=module', '-e', code, ...argv] as const;
    expect((await run(inPod('alone', 'cat'), { input: 'to and fro' })).stdout).toBe('to and fro');
    expect((await run(inPod('web', 'curl', '-s', 'http://alone/'))).stdout).toBe('alone\n');
    expect((await run(inPod('node/node-0', 'ip', '-o', 'link', 'show', 'eth0'))).stdout).toContain('eth0');
    await expect(run(inPod('outside', 'sh', '-c', 'exit 7'))).rejects.toMatchObject({ exitCode: 7 });
    await expect(run(inPod('outside', 'sh', '-c', 'kill -9 $$'))).rejects.toMatchObject({ exitCode: 137 });
    await expect(run(inPod('nobody', 'true'))).rejects.toThrow(/no pod default\/nobody in lab .*default\/alone/);
    await labDown({ name });
  });

  test('a lab in the foreground lives until it is told to end', async () => {
    const controller = new AbortController();
    const ready = Promise.withResolvers<LabState>();
    const lab = labForeground(options, {
      signal: controller.signal,
      logger: createLogger('error'),
      onProgress: () => undefined,
      onReady: ready.resolve,
    });
    const state = await Promise.race([ready.promise, lab]);
    if (state === undefined) throw new Error('the lab ended');
    expect((await probe(state, { from: 'web', to: 'alone', port: 80, protocol: 'TCP' })).verdict).toBe('allowed');
    controller.abort();
    await lab;
    expect(await namespacesOf((owner) => owner === name)).toEqual([]);
  });

  test('a name that is up is refused', async () => {
    await labUp(options);
    await expect(labUp(options)).rejects.toThrow(/a lab named .* is up/);
    expect(await labStatus(name)).toMatchObject({ phase: 'ready', isFollowing: true });
    await labDown({ name });
  });

  test.each(['down', 'up'] as const)('what a killed lab leaves is removed by %s', async (remedy) => {
    const lab = await labUp(options);
    process.kill(lab.lab.pid, 'SIGKILL');
    await untilTrue(async () => !(await isAlive(lab.lab)));
    expect((await labStatus(name)).isFollowing).toBe(false);
    if (remedy === 'up') {
      const again = await labUp(options);
      expect((await probe(again, { from: 'web', to: 'alone', port: 80, protocol: 'TCP' })).verdict).toBe('allowed');
    }
    await labDown({ name });
    await expectNothingLeft(lab);
  });

  test('a recorded process that is somebody else now is left alone', async () => {
    const lab = await labUp(options);
    process.kill(lab.lab.pid, 'SIGKILL');
    await untilTrue(async () => !(await isAlive(lab.lab)));
    const bystander = spawnProcess(['sleep', '60']);
    const file = join(temporary, 'run', name, 'state.json');
    const reused = { what: 'agent n', pid: bystander.pid, startTime: '1' };
    await writeFile(file, JSON.stringify({ ...lab, processes: [reused] }));
    await labDown({ name });
    expect(bystander.kill()).toBe(true);
    expect((await bystander.exited).signal).toBe('SIGTERM');
  });

  test('Ctrl-C while it comes up takes it away again', async () => {
    const controller = new AbortController();
    const up = labUp(options, { signal: controller.signal, onProgress: () => controller.abort() });
    await expect(up).rejects.toThrow(/abort/i);
    expect(await namespacesOf((owner) => owner === name)).toEqual([]);
    expect(await readState(name)).toBeUndefined();
  });

  test('a network that the machine has a route to is refused', async () => {
    const route = JSON.parse((await run(['ip', '-json', '-4', 'route', 'show', 'table', 'main'])).stdout);
    const taken = route.find(({ dst }: { dst: string }) => dst.includes('/'))?.dst;
    expect(taken).toBeDefined();
    const node = `apiVersion: v1\nkind: Node\nmetadata: { name: taken }\nspec: { podCIDR: ${taken} }\n`;
    await writeFile(join(options.directory, 'node.yaml'), node);
    const failure = await labUp(options).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(LabError);
    expect(failure).toMatchObject({
      problem: 'input',
      message: expect.stringContaining(`overlaps the machine's route ${taken}`),
    });
    expect(await namespacesOf((owner) => owner === name)).toEqual([]);
  });

  test.each([
    ['a directory that is not there', { directory: '/nowhere/at/all' }, /nowhere/],
    ['a name that is no name', { name: '../x' }, /--name \.\.\/x: expected lower-case/],
    ['no nodes', { nodes: 0 }, /--nodes 0: expected a number/],
  ])('bad input: %s', async (_title, choice, message) => {
    const failure = await labUp({ ...options, ...choice }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ problem: 'input', message: expect.stringMatching(message) });
  });

  async function addPod(pod: string, port = 80): Promise<void> {
    const draft = join(options.directory, `.${pod}`);
    await writeFile(draft, podText(pod, port));
    await rename(draft, join(options.directory, `${pod}.yaml`));
  }

  async function expectNothingLeft(lab: LabState): Promise<void> {
    expect(await namespacesOf((owner) => owner === name)).toEqual([]);
    expect(await readdir(join(temporary, 'run'))).toEqual([]);
    expect(await isAlive(lab.lab)).toBe(false);
    expect(await machineNetwork()).toBe(machineBefore);
    const etc = await readdir('/etc/netns').catch(() => []);
    expect(etc.filter((netns) => labOfNamespace(netns) === name)).toEqual([]);
  }
});

/** Links, addresses and routes of the machine's own namespace. */
async function machineNetwork(): Promise<string> {
  const commands = ['link', 'address', 'route'].map((object) => run(['ip', '-o', object, 'show']));
  return (await Promise.all(commands)).map(({ stdout }) => stdout).join('\n');
}

async function inside(lab: LabState, target: string, argv: Argv): Promise<string> {
  return (await run(['ip', 'netns', 'exec', namespaceOf(lab, target), ...argv])).stdout;
}

function hasPod(state: LabState, key: string): boolean {
  return state.pods.some((pod) => pod.key === key);
}

function addressesOf(state: LabState, key: string): readonly string[] {
  return state.pods.find((pod) => pod.key === key)?.addresses ?? [];
}

async function untilState(name: string, isReached: (state: LabState) => boolean): Promise<LabState> {
  let found: LabState | undefined;
  await untilTrue(async () => {
    found = await readState(name);
    return found !== undefined && isReached(found);
  });
  if (found === undefined) throw new Error('no state');
  return found;
}

async function untilTrue(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error('not within 20 s');
    await pause(25);
  }
}
