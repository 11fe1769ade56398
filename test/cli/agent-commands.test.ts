/** The commands that ask a running agent, against one that writes to a pretended kernel. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LiveAgentView } from '../../src/agent/agent-view.ts';
import { apiApp } from '../../src/server/app.ts';
import type { Listener } from '../../src/server/listen.ts';
import { listenOnSocket } from '../../src/server/listen.ts';
import { run, seedChanges, startAgent, stopAgent } from '../agent/agent-fixture.ts';
import type { StartedAgent } from '../agent/agent-fixture.ts';
import { mainFile, runCommand, runSluice } from './run-sluice.ts';

const runDirectory = mkdtempSync(join(tmpdir(), 'sluice-agent-'));
const environment = { SLUICE_RUN_DIR: runDirectory };
const versions = { iptables: '1.8.9', ipset: '7.17', kernel: '6.18.0' };
const mistake = { severity: 'error', object: 'NetworkPolicy default/x', message: 'port is missing' } as const;
/** Somebody else is refused for that first. */
const isRoot = process.getuid?.() === 0;
let started: StartedAgent;
let listener: Listener;

beforeAll(async () => {
  started = startAgent();
  started.node.hidden.add('10.88.0.24');
  started.source.deliver({ changes: seedChanges(), synced: true, diagnostics: [mistake] });
  await run(started);
  const { agent, metrics, readiness } = started;
  const identity = {
    version: '0.1.0',
    node: 'minikube',
    pid: process.pid,
    startedAt: '2026-01-01T00:00:00.000Z',
    source: 'manifests examples/seed',
    ipFamilies: ['ipv4'],
    iptablesBackend: 'nft',
  } as const;
  const view = new LiveAgentView({ agent, metrics, readiness, identity, versions: () => versions });
  listener = await listenOnSocket(apiApp(view), join(runDirectory, 'sluice.sock'));
});

afterAll(async () => {
  await listener.close();
  await stopAgent(started);
  rmSync(runDirectory, { recursive: true });
});

test('status in one screen', async () => {
  const { exitCode, stdout } = await runSluice(['status'], environment);
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^Agent: +ready, version 0\.1\.0, pid \d+/m);
  expect(stdout).toMatch(/^Node: +minikube \(ipv4\)$/m);
  expect(stdout).toMatch(/^Machine: +iptables 1\.8\.9 \(nft\), ipset 7\.17, kernel 6\.18\.0$/m);
  expect(stdout).toMatch(/^Pods here: +2 of 3 programmed$/m);
  expect(stdout).toMatch(/^Cluster: +revision \d+, in the kernel: 1 Namespace, 0 Node, 3 Pod, 1 NetworkPolicy/m);
  expect(stdout).toMatch(/^Mistakes: +1 errors, 0 warnings/m);
});

test('status as JSON', async () => {
  const { stdout } = await runSluice(['status', '-o', 'json'], environment);
  expect(JSON.parse(stdout)).toMatchObject({
    ready: true,
    parts: [{ part: 'source' }, { part: 'node' }, { part: 'kernel' }],
    endpoints: { known: 3, programmed: 2 },
    iptablesBackend: 'nft',
    versions,
  });
});

test('explain asks the agent, with its mistakes on standard error and in the exit code', async () => {
  const { exitCode, stdout, stderr } = await runSluice(
    ['explain', 'backend-867fd6dff-mjf92', '10.88.0.26:80'],
    environment,
  );
  expect(stdout).toContain('ALLOWED');
  expect(stderr).toBe('NetworkPolicy default/x: port is missing\n');
  expect(exitCode).toBe(2);
});

test('the sets of the agent, with their node', async () => {
  const { stdout } = await runSluice(['get', 'ipset', '-o', 'json'], environment);
  expect(JSON.parse(stdout)).toMatchObject({
    items: expect.arrayContaining([
      expect.objectContaining({ node: 'minikube', name: 'cali40programmed', members: ['10.88.0.26', '10.88.0.27'] }),
    ]),
  });
});

test('diagnostics of the agent are the answer, not an interruption', async () => {
  const { stdout, stderr } = await runSluice(['get', 'diagnostics'], environment);
  expect(stdout).toContain('error      NetworkPolicy default/x           port is missing');
  expect(stderr).toBe('');
});

test('--run-dir wins over the environment', async () => {
  const { exitCode } = await runSluice(['status', '--run-dir', join(runDirectory, 'none')], environment);
  expect(exitCode).toBe(4);
});

test('cleanup is refused while the agent runs', async () => {
  const { exitCode, stderr } = await runSluice(['cleanup'], environment);
  if (!isRoot) return expect([exitCode, stderr]).toEqual([3, expect.stringContaining('needs root')]);
  expect(exitCode).toBe(2);
  expect(stderr).toContain('an agent is running');
});

test('a second agent on the same socket is refused before it touches anything', async () => {
  // Root could write to the machine's own kernel if this went wrong; in a network namespace there is nothing to harm.
  const isolated = isRoot ? (['unshare', '--net', process.execPath] as const) : ([process.execPath] as const);
  const argv = [...isolated, mainFile, 'agent', '--manifests', 'examples/seed'] as const;
  const { exitCode, stderr } = await runCommand(argv, environment);
  if (!isRoot) return expect([exitCode, stderr]).toEqual([3, expect.stringContaining('needs root')]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain('another agent is running here');
});
