/** The whole agent on an API server, in a network namespace: what it does when it is run as it should be, and when it is not. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeAuthority, signServer } from '../../e2e/cluster/certificates.ts';
import type { ProcessExit, RunningProcess } from '../../src/backends/exec.ts';
import { run, spawnProcess } from '../../src/backends/exec.ts';
import { sysctlPath } from '../../src/backends/links/sysctls.ts';
import { podOf } from '../fakes/kube-api.ts';
import { paths } from '../kube/following.ts';
import { allResources } from '../../src/kube/resources.ts';
import { pause } from '../../src/lab/run-directory.ts';
import { plantEarlierAgent, rulesAndSetsOf } from './earlier-agent.ts';
import { untilTrue as untilTrueSoon } from './lab-fixture.ts';
import type { Netns } from './netns.ts';
import { connectNetns, createNetns, describeKernel } from './netns.ts';
import { RemoteApi, writeKubeconfig } from './remote-api.ts';

/** Starts compete for the processors of whoever else tests here. */
function untilTrue(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  return untilTrueSoon(what, isTrue, 50_000);
}

const root = join(import.meta.dirname, '..', '..');

interface AgentEnd {
  readonly exit: ProcessExit;
  /** Of standard error. */
  readonly lines: readonly string[];
  /** Whether /readyz ever said that it was. */
  readonly wasReady: boolean;
}

interface StartedAgent {
  readonly process: RunningProcess;
  log(): Promise<string>;
  end(): Promise<AgentEnd>;
}

vi.setConfig({ testTimeout: 180_000 });

describeKernel('the agent on a cluster', () => {
  let netns: Netns;
  let directory: string;
  const open: (() => void)[] = [];

  beforeEach(async () => {
    netns = await createNetns('cl');
    directory = mkdtempSync(join(tmpdir(), 'sluice-agent-cluster-'));
  });
  afterEach(async () => {
    for (const close of open.splice(0)) close();
    await netns.destroy();
    rmSync(directory, { recursive: true });
  });

  async function startApi(...argv: readonly string[]): Promise<{ api: RemoteApi; url: string }> {
    const api = new RemoteApi(netns.name, argv);
    open.push(() => api.kill());
    const url = await api.url();
    await api.tell({
      do: 'put',
      path: paths.nodes,
      object: { metadata: { name: 'n1' }, spec: { podCIDR: '10.244.1.0/24' } },
    });
    return { api, url };
  }

  function kubeconfig(server: string, cluster: object = {}): string {
    return writeKubeconfig(directory, server, cluster);
  }

  /** `before`: what it is run by, such as `env` and its arguments. */
  function start(file: string, flags: readonly string[] = [], before: readonly string[] = []): StartedAgent {
    const [out, error] = [join(directory, 'out'), join(directory, 'error')];
    const program = [process.execPath, join(root, 'src', 'main.ts'), 'agent', '--kubeconfig', file];
    const variant = flags.includes('--iptables-backend') ? [] : ['--iptables-backend', 'nft'];
    const own = ['--node-name', 'n1', '--run-dir', join(directory, 'run'), ...variant, ...flags];
    const argv = ['ip', 'netns', 'exec', netns.name, ...before, ...program, ...own] as const;
    const started = spawnProcess(argv, { stdout: { file: out }, stderr: { file: error } });
    open.push(() => started.kill('SIGKILL'));
    return {
      process: started,
      log: () => readFile(out, 'utf8'),
      end: async () => {
        const isOver = started.exited.then(() => true);
        const isLater = () => pause(50).then(() => false);
        let wasReady = false;
        while (!(await Promise.race([isOver, isLater()]))) wasReady ||= (await readyz()) === 'ok\n';
        return { exit: await started.exited, lines: (await readFile(error, 'utf8')).trim().split('\n'), wasReady };
      },
    };
  }

  const image = (): Promise<string> => rulesAndSetsOf(netns);

  /** Also a while later. The trial of what the kernel can do makes things of its own for a moment. */
  async function staysAsItWas(before: string): Promise<void> {
    await expect.poll(image, { timeout: 10_000 }).toBe(before);
    await pause(1500);
    expect(await image()).toBe(before);
  }

  async function errorLines(agent: StartedAgent): Promise<readonly string[]> {
    return (await agent.log()).split('\n').filter((line) => line.includes('"level":"error"'));
  }

  /** It ended with one line for people, was never ready, and nothing of what an earlier agent left was touched. */
  async function endsUntouched(agent: StartedAgent, before: string, exitCode: number, words: string): Promise<void> {
    const { exit, lines, wasReady } = await agent.end();
    expect(exit.exitCode).toBe(exitCode);
    expect(lines).toEqual([expect.stringContaining(words)]);
    expect(wasReady).toBe(false);
    expect(await image()).toBe(before);
  }

  async function readyz(): Promise<string> {
    return netns.exec(['curl', '-sS', '-m', '2', 'http://127.0.0.1:9840/readyz']).catch(() => '');
  }

  async function rules(): Promise<string> {
    return (await netns.exec(['iptables-nft-save']))
      .split('\n')
      .filter((line) => line.startsWith('-A') || line.startsWith(':cali'))
      .join('\n');
  }

  test('follows policies into the kernel, and keeps them without its API server', async () => {
    const { api, url } = await startApi();
    start(kubeconfig(url));
    await untilTrue('ready', async () => (await readyz()) === 'ok\n');
    const inside = await createNetns('po');
    open.push(() => void inside.destroy());
    await connectNetns(
      { netns, device: 'veth0', addresses: ['10.244.1.1/24'] },
      { netns: inside, device: 'eth0', addresses: ['10.244.1.7/24'] },
    );
    await netns.exec('ip route add 10.244.1.7/32 dev veth0');
    const pod = podOf('web', {
      spec: { nodeName: 'n1', containers: [] },
      status: { phase: 'Running', podIP: '10.244.1.7' },
    });
    await api.tell({ do: 'put', path: paths.pods, object: pod });
    const spec = { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'] };
    const policy = { metadata: { name: 'deny', namespace: 'demo' }, spec };
    await api.tell({ do: 'put', path: paths.policies, object: policy });
    await untilTrue('the policy is in the kernel', async () => /-A cali-tw-\S+ .*-j cali-pi-/.test(await rules()));
    const metrics = await netns.exec(['curl', '-sS', '-m', '5', 'http://127.0.0.1:9840/metrics']);
    expect(metrics).toMatch(
      /^sluice_build_info\{version="[^"]+",iptables="\d[^"]*",variant="nft",ipset="\d[^"]*",kernel="\d[^"]*"\} 1$/m,
    );
    expect(metrics).toMatch(/^sluice_kube_watches_total\{kind="Pod"\} [1-9]/m);
    api.kill();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await readyz()).toBe('ok\n');
    expect(await rules()).toMatch(/-A cali-tw-\S+ .*-j cali-pi-/);
  });

  test.each([
    ['a kind without permission', [], 'networkpolicies'],
    ['no such Node', ['--node-name', 'n2'], 'has no Node "n2"'],
  ])('%s: waits, readiness names it, no rule is changed; then it goes on', async (_name, flags, reason) => {
    const before = await plantEarlierAgent(netns);
    const { api, url } = await startApi();
    await api.tell({ do: 'forbid', path: flags.length === 0 ? paths.policies : '/nothing' });
    const agent = start(kubeconfig(url), flags);
    await untilTrue('readiness names it', async () => (await readyz()).includes(reason));
    await untilTrue('the log tells it', async () => (await errorLines(agent)).length > 0);
    await staysAsItWas(before);
    expect(await errorLines(agent)).toEqual([expect.stringContaining(reason.replaceAll('"', String.raw`\"`))]);
    await api.tell({ do: 'put', path: paths.nodes, object: { metadata: { name: 'n2' }, spec: {} } });
    await api.tell({ do: 'allow', path: paths.policies });
    await untilTrue('ready', async () => (await readyz()) === 'ok\n');
    expect(await image()).toContain(':cali-FORWARD');
    expect(await image()).not.toContain('cali-pi-');
  });

  test('an API server that does not answer: waits, readiness names it, no rule is changed', async () => {
    const before = await plantEarlierAgent(netns);
    const agent = start(kubeconfig('https://127.0.0.1:1'));
    await untilTrue('readiness names it', async () => (await readyz()).includes('ECONNREFUSED'));
    await staysAsItWas(before);
    expect(await readyz()).toContain('ECONNREFUSED');
    // Each kind is told once.
    const told = await errorLines(agent);
    expect(told).toHaveLength(allResources.length);
    for (const line of told) expect(line).toContain('ECONNREFUSED');
  });

  test('a certificate that is refused: one line, exit 4, no rule is changed', async () => {
    const before = await plantEarlierAgent(netns);
    const authority = await makeAuthority(join(directory, 'pki'));
    const server = await signServer(authority, join(directory, 'pki'), 'server', ['api.example']);
    const { url } = await startApi(server.certificate, server.key);
    const agent = start(kubeconfig(url, { 'certificate-authority': authority.certificate }));
    await endsUntouched(agent, before, 4, 'certificates do not fit');
  });

  test('a kubeconfig that does not exist: one line, exit 2, no rule is changed', async () => {
    const before = await plantEarlierAgent(netns);
    await endsUntouched(start(join(directory, 'nowhere')), before, 2, 'nowhere: cannot be read');
  });

  test('a busy port: one line, exit 1, no rule is changed', async () => {
    const before = await plantEarlierAgent(netns);
    const { url } = await startApi();
    const busy = spawnProcess(
      ['ip', 'netns', 'exec', netns.name, process.execPath, '-e', 'require("net").createServer().listen(9840)'],
      {},
    );
    open.push(() => busy.kill('SIGKILL'));
    await untilTrue('the port is taken', async () => (await netns.exec('ss -Hltn sport = :9840')) !== '');
    await endsUntouched(start(kubeconfig(url)), before, 1, 'port 9840: already in use');
  });

  test('iptables is missing: one line, exit 3, no rule is changed', async () => {
    const before = await plantEarlierAgent(netns);
    const { url } = await startApi();
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    for (const program of ['ip', 'ipset', 'nft', 'conntrack', 'stdbuf', 'sh', 'uname', 'nsenter']) {
      const found = (await run(['sh', '-c', `command -v ${program} || true`])).stdout.trim();
      if (found !== '') symlinkSync(found, join(bin, program));
    }
    await endsUntouched(start(kubeconfig(url), [], ['env', `PATH=${bin}`]), before, 3, 'iptables');
  });

  test('/proc/sys that cannot be written: one line, readiness names the setting, no rule is changed', async () => {
    const { url } = await startApi();
    const earlier = start(kubeconfig(url));
    await untilTrue('ready', async () => (await readyz()) === 'ok\n');
    earlier.process.kill('SIGTERM');
    await earlier.process.exited;
    const before = await image();
    expect(before).toContain(':cali-FORWARD');
    await netns.exec(['tee', sysctlPath('net.ipv4.ip_forward')], '0');
    const readOnly = 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"';
    const agent = start(kubeconfig(url), [], ['unshare', '-m', 'sh', '-c', readOnly, 'sh']);
    await untilTrue('readiness names it', async () => (await readyz()).includes('ip_forward'));
    await untilTrue('the rest is ready', async () => (await readyz()).split('\n').length === 2);
    await staysAsItWas(before);
    expect(await readyz()).toContain('sysctls: sysctl net.ipv4.ip_forward cannot be set to 1');
    expect(await errorLines(agent)).toEqual([expect.stringContaining('net.ipv4.ip_forward cannot be set to 1')]);
  });

  test('the variant is chosen at the start and kept as long as the agent runs, whatever kubelet does meanwhile', async () => {
    const { api, url } = await startApi();
    await netns.exec('iptables-legacy -t mangle -N KUBE-IPTABLES-HINT');
    const auto = ['--iptables-backend', 'auto'];
    const first = start(kubeconfig(url), auto);
    await untilTrue('ready', async () => (await readyz()) === 'ok\n');
    const saved = (variant: string): Promise<string> => netns.exec(`iptables-${variant}-save`);
    expect(await saved('legacy')).toContain('-j cali-FORWARD');
    await netns.exec('iptables-legacy -t mangle -X KUBE-IPTABLES-HINT');
    await netns.exec('iptables-nft -t mangle -N KUBE-IPTABLES-HINT');
    const [jump = ''] = (await saved('legacy')).split('\n').filter((line) => line.endsWith('-j cali-FORWARD'));
    await netns.exec('iptables-legacy-restore --noflush', `*filter\n${jump.replace('-A', '-D')}\nCOMMIT\n`);
    await untilTrue('drift is mended', async () => (await saved('legacy')).includes('-j cali-FORWARD'));
    const node = { metadata: { name: 'n1' }, spec: { podCIDR: '10.244.9.0/24' } };
    await api.tell({ do: 'put', path: paths.nodes, object: node });
    await untilTrue('a change is written', async () => (await saved('legacy')).includes('10.244.9.0/24'));
    expect(await saved('nft')).not.toContain('cali-');
    first.process.kill('SIGTERM');
    await first.process.exited;
    const second = start(kubeconfig(url), auto);
    await untilTrue('ready', async () => (await readyz()) === 'ok\n');
    expect(await saved('nft')).toContain('-j cali-FORWARD');
    expect(await second.log()).toContain('iptables variants were mixed');
  });
});
