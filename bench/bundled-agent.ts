/** The agent as the image runs it, one bundle with the image's flags, on the bench's own API server: what it occupies is measured here. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeFlags, writeBundle } from '../scripts/bundle.ts';
import { converse } from '../src/backends/exec.ts';
import type { ClusterObject } from '../src/cluster/objects.ts';
import { FakeApi, writeKubeconfig } from './fake-api.ts';
import { kubernetesObject } from './kubernetes-objects.ts';
import type { Occupied } from './service-scenario.ts';
import { measureRest } from './service-scenario.ts';

const syncTimeoutMs = 300_000;

/** After its first sync and some calm. To be called in the namespace of the node. */
export async function measureBundledAgent(nodeName: string, objects: Iterable<ClusterObject>): Promise<Occupied> {
  const directory = mkdtempSync(join(tmpdir(), 'sluice-bench-bundle-'));
  const api = new FakeApi([...objects].map(kubernetesObject));
  try {
    await writeBundle(join(directory, 'bundle'));
    const kubeconfig = writeKubeconfig(directory, await api.listen());
    const settings = {
      kubeconfig,
      'node-name': nodeName,
      'run-dir': join(directory, 'run'),
      'service-proxy': 'true',
      'iptables-backend': 'nft',
    };
    const flags = Object.entries(settings).flatMap(([flag, value]) => [`--${flag}`, value]);
    const program = join(directory, 'bundle', 'sluice.mjs');
    const applied = Promise.withResolvers<void>();
    const agent = converse([process.execPath, ...nodeFlags, program, 'agent', ...flags], (line) => {
      if (line.includes('"dataplane applied"')) applied.resolve();
    });
    const failed = agent.exited.then((): never => {
      throw new Error('the bundled agent ended');
    });
    failed.catch(() => undefined);
    const late = sleep(syncTimeoutMs, undefined, { ref: false }).then((): never => {
      throw new Error('the bundled agent wrote nothing in time');
    });
    await Promise.race([applied.promise, failed, late]);
    const occupied = await Promise.race([measureRest(agent.pid), failed]);
    agent.kill();
    await agent.exited;
    return occupied;
  } finally {
    api.close();
    rmSync(directory, { recursive: true });
  }
}
