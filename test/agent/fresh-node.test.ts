/** Before its first snapshot is complete, an agent may only begin where nothing can be opened by that. */
import { expect, test } from 'vitest';
import { isFreshNode } from '../../src/agent/fresh-node.ts';
import { KernelBackend } from '../../src/backends/kernel-backend.ts';
import { FakeKernel } from '../fakes/kernel.ts';
import { run, seedChanges, startAgent, stopAgent } from './agent-fixture.ts';

function backendOf(kernel: FakeKernel): KernelBackend {
  return new KernelBackend({ run: kernel.run, variant: 'nft', ownership: { services: false } });
}

test('a node with other rules is fresh, one that an agent has written to is not', async () => {
  const kernel = new FakeKernel();
  kernel.table('ip', 'filter').setChain('FORWARD', ['-j ACCEPT']);
  expect(await isFreshNode(backendOf(kernel), ['ipv4', 'ipv6'])).toBe(true);
  const agent = startAgent(kernel);
  agent.source.deliver({ changes: seedChanges(), synced: true });
  await run(agent);
  await stopAgent(agent);
  expect(await isFreshNode(backendOf(kernel), ['ipv4', 'ipv6'])).toBe(false);
});

test('one that cannot be asked counts as not fresh', async () => {
  const kernel = new FakeKernel();
  kernel.failNext(/^iptables-nft$/);
  expect(await isFreshNode(backendOf(kernel), ['ipv4'])).toBe(false);
});
