/** The whole agent on an API server, in a network namespace: what it does when it is run as it should be, and when it is not. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeAuthority, signServer } from '../../e2e/cluster/certificates.ts';
import type { ProcessExit, RunningProcess } from '../../src/backends/exec.ts';
import { run, spawnProcess } from '../../src/backends/exec.ts';
import { podOf } from '../fakes/kube-api.ts';
import { paths } from '../kube/following.ts';
import { untilTrue as untilTrueSoon } from './lab-fixture.ts';
import type { Netns } from './netns.ts';
import { connectNetns, createNetns, describeKernel } from './netns.ts';
import { RemoteApi, writeKubeconfig } from './remote-api.ts';

/** Starts compete for the processors of whoever else tests here. */
function untilTrue(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  return untilTrueSoon(what, isTrue, 50_000);
}

const root = join(import.meta.dirname, '..', '..');

interface StartedAgent {
  readonly process: RunningProcess;
  log(): Promise<string>;
  /** The last line of standard error, and how it ended. */
  end(): Promise<{ readonly exit: ProcessExit; readonly lines: readonly string[] }>;
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
    const own = ['--node-name', 'n1', '--run-dir', join(directory, 'run'), '--iptables-backend', 'nft', ...flags];
    const argv = ['ip', 'netns', 'exec', netns.name, ...before, ...program, ...own] as const;
    const started = spawnProcess(argv, { stdout: { file: out }, stderr: { file: error } });
    open.push(() => started.kill('SIGKILL'));
    return {
      process: started,
      log: () => readFile(out, 'utf8'),
      end: async () => {
        const exit = await started.exited;
        return { exit, lines: (await readFile(error, 'utf8')).trim().split('\n') };
      },
    };
  }

  async function readyz(): Promise<string> {
    return netns.exec(['curl', '-sS', 'http://127.0.0.1:9840/readyz']).catch(() => '');
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
    api.kill();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(await readyz()).toBe('ok\n');
    expect(await rules()).toMatch(/-A cali-tw-\S+ .*-j cali-pi-/);
  });

  test.each([
    ['a kind without permission', [], 'networkpolicies'],
    ['no such Node', ['--node-name', 'n2'], 'has no Node "n2"'],
  ])('%s: waits, readiness names it, no rule is written; then it goes on', async (_name, flags, reason) => {
    const { api, url } = await startApi();
    await api.tell({ do: 'forbid', path: flags.length === 0 ? paths.policies : '/nothing' });
    const agent = start(kubeconfig(url), flags);
    await untilTrue('readiness names it', async () => (await readyz()).includes(reason));
    expect(await rules()).toBe('');
    const told = async () => (await agent.log()).split('\n').filter((line) => line.includes('"level":"error"'));
    await untilTrue('the log tells it', async () => (await told()).length > 0);
    expect(await told()).toHaveLength(1);
    await api.tell({ do: 'put', path: paths.nodes, object: { metadata: { name: 'n2' }, spec: {} } });
    await api.tell({ do: 'allow', path: paths.policies });
    await untilTrue('ready', async () => (await readyz()) === 'ok\n');
    expect(await rules()).toContain('cali-FORWARD');
  });

  test('an API server that does not answer: waits, readiness names it, no rule is written', async () => {
    start(kubeconfig('https://127.0.0.1:1'));
    await untilTrue('readiness names it', async () => (await readyz()).includes('ECONNREFUSED'));
    expect(await rules()).toBe('');
  });

  test('a certificate that is refused: one line, exit 4, no rule', async () => {
    const authority = await makeAuthority(join(directory, 'pki'));
    const server = await signServer(authority, join(directory, 'pki'), 'server', ['api.example']);
    const { url } = await startApi(server.certificate, server.key);
    const { exit, lines } = await start(kubeconfig(url, { 'certificate-authority': authority.certificate })).end();
    expect(exit.exitCode).toBe(4);
    expect(lines).toEqual([expect.stringContaining('certificates do not fit')]);
    expect(await rules()).toBe('');
  });

  test('a kubeconfig that does not exist: one line, exit 2, no rule', async () => {
    const { exit, lines } = await start(join(directory, 'nowhere')).end();
    expect(exit.exitCode).toBe(2);
    expect(lines).toEqual([expect.stringContaining('nowhere: cannot be read')]);
    expect(await rules()).toBe('');
  });

  test('a busy port: one line, exit 1, no rule', async () => {
    const { url } = await startApi();
    const busy = spawnProcess(
      ['ip', 'netns', 'exec', netns.name, process.execPath, '-e', 'require("net").createServer().listen(9840)'],
      {},
    );
    open.push(() => busy.kill('SIGKILL'));
    await untilTrue('the port is taken', async () => (await netns.exec('ss -Hltn sport = :9840')) !== '');
    const { exit, lines } = await start(kubeconfig(url)).end();
    expect(exit.exitCode).toBe(1);
    expect(lines).toEqual([expect.stringContaining('port 9840: already in use')]);
    expect(await rules()).toBe('');
  });

  test('iptables is missing: one line, exit 3', async () => {
    const { url } = await startApi();
    const bin = join(directory, 'bin');
    mkdirSync(bin);
    for (const program of ['ip', 'ipset', 'nft', 'conntrack', 'stdbuf', 'sh', 'uname', 'sysctl', 'nsenter']) {
      const found = (await run(['sh', '-c', `command -v ${program} || true`])).stdout.trim();
      if (found !== '') symlinkSync(found, join(bin, program));
    }
    const { exit, lines } = await start(kubeconfig(url), [], ['env', `PATH=${bin}`]).end();
    expect(exit.exitCode).toBe(3);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('iptables');
    expect(await rules()).toBe('');
  });

  test('/proc/sys that cannot be written: readiness names the setting', async () => {
    const { url } = await startApi();
    await netns.exec('sysctl -q -w net.ipv4.ip_forward=0');
    const readOnly = 'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"';
    start(kubeconfig(url), [], ['unshare', '-m', 'sh', '-c', readOnly, 'sh']);
    await untilTrue('readiness names it', async () => (await readyz()).includes('ip_forward'));
  });
});
