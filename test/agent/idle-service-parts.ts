/** What a ServiceKeeper needs besides clock, logger and metrics, of a machine where nothing happens. */
import type { ServiceKeeperOptions } from '../../src/agent/service-keeper.ts';
import { TrackedFlows } from '../fakes/tracked-flows.ts';

export function idleServiceParts(): Omit<ServiceKeeperOptions, 'clock' | 'logger' | 'metrics'> {
  return {
    conntrack: new TrackedFlows(),
    families: ['ipv4'],
    cpus: 2,
    ensureSysctls: () => Promise.resolve({ changes: [], problems: [] }),
    memory: { remember: () => Promise.resolve() },
    frontendMemory: { read: () => Promise.resolve([]), remember: () => Promise.resolve() },
  };
}
