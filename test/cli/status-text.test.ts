/** The agent in one screen: in sync or what is not, drift, mistakes, versions, latency. */
import { expect, test } from 'vitest';
import { RefusedError } from '../../src/backends/backend.ts';
import { explainFailure } from '../../src/cli/run-command-line.ts';
import { statusText } from '../../src/cli/status-text.ts';
import { RecentLatencies } from '../../src/telemetry/recent-latencies.ts';
import type { AgentStatus } from '../../src/telemetry/status.ts';
import { agentView } from '../server/agent-view.ts';

const { status } = agentView();

function screen(more: Partial<AgentStatus> = {}): string {
  return statusText({ ...status, ...more }, false);
}

test('in sync: everything that people ask for, on one screen', () => {
  const text = screen({
    driftRepairs: 3,
    diagnostics: { errors: 1, warnings: 2 },
    programmingLatency: { count: 40, p50Ms: 6.5, p99Ms: 21 },
    iptablesBackend: 'nft',
    versions: { iptables: '1.8.9', ipset: '7.17', kernel: '6.18.0' },
  });
  expect(text).toMatch(/^Agent: +ready, version 0\.1\.0, pid 7/m);
  expect(text).toMatch(/^Node: +minikube \(ipv4\)$/m);
  expect(text).toMatch(/^Machine: +iptables 1\.8\.9 \(nft\), ipset 7\.17, kernel 6\.18\.0$/m);
  expect(text).toMatch(/^Cluster: +revision 3, in the kernel: 1 Pod$/m);
  expect(text).toMatch(/^Pods here: +1 of 1 programmed$/m);
  expect(text).toMatch(/^Mistakes: +1 errors, 2 warnings/m);
  expect(text).toMatch(/^Repairs: +3 of drift, 0 failed updates$/m);
  expect(text).toMatch(/^Latency: +6\.5 ms \(p50\), 21 ms \(p99\) from change to kernel, of the last 40 changes$/m);
  expect(text.split('\n').length).toBeLessThanOrEqual(24);
});

test('not in sync: what waits, for which part, since when and why', () => {
  const text = screen({
    ready: false,
    revision: 5,
    parts: [
      { part: 'source' },
      { part: 'kernel', reason: 'iptables-nft-restore did not end in time (2 times in a row)' },
    ],
    lastFailure: { at: '2026-01-01T00:00:05.000Z', message: 'iptables-nft-restore did not end in time' },
  });
  expect(text).toMatch(/^Agent: +NOT READY/m);
  expect(text).toMatch(/^Cluster: +revision 5, kernel has 3/m);
  expect(text).toMatch(/^Failing: +2026-01-01T00:00:05\.000Z: iptables-nft-restore did not end in time$/m);
  expect(text).toMatch(/^Waiting for: kernel: iptables-nft-restore did not end in time \(2 times in a row\)$/m);
  expect(text).toMatch(/^Latency: +no change yet$/m);
  expect(text).toMatch(/^Machine: +iptables \(version unknown\) \(not known yet\), ipset \(version unknown\)/m);
});

test('latencies: of the latest thousand', () => {
  const latencies = new RecentLatencies();
  expect(latencies.summary).toBeUndefined();
  latencies.add(7.26);
  expect(latencies.summary).toEqual({ count: 1, p50Ms: 7.3, p99Ms: 7.3 });
  for (let milliseconds = 1; milliseconds <= 100; milliseconds += 1) latencies.add(milliseconds);
  expect(latencies.summary).toMatchObject({ count: 101, p50Ms: 50, p99Ms: 99 });
  for (let times = 0; times < 1000; times += 1) latencies.add(2);
  expect(latencies.summary).toEqual({ count: 1000, p50Ms: 2, p99Ms: 2 });
});

test('what the kernel refuses is no bug of the program', async () => {
  expect(await explainFailure(new RefusedError({ message: 'line 3: no such thing' }))).toEqual({
    exitCode: 1,
    lines: ['the kernel refused a write: line 3: no such thing'],
  });
  expect((await explainFailure(new TypeError('x is not a function'))).lines[0]).toMatch(/^this is a bug: TypeError/);
});
