/** The network by which both nodes reach the one API server; in neither world does anything else use it. */
import { run } from '../../src/backends/exec.ts';
import type { Estate } from '../cluster/estate.ts';

export const apiAddress = '10.255.77.1';
const length = 24;

/** A namespace for the control plane, with a bridge that nodes are joined to. Its name. */
export async function makeApiNetwork(estate: Estate, prefix: string): Promise<string> {
  const netns = `${prefix}-api`;
  estate.record({ kind: 'netns', name: netns });
  await run(['ip', 'netns', 'add', netns]);
  const lines = [
    'link set lo up',
    'link add br0 type bridge',
    'link set br0 up',
    `addr add ${apiAddress}/${length} dev br0`,
  ];
  await run(['ip', '-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  return netns;
}

/** `host` is the last number of the node's address there, 2 to 254. */
export async function joinApiNetwork(netns: string, node: string, host: number): Promise<void> {
  const device = `node${host}`;
  await run(['ip', '-n', netns, 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'api', 'netns', node]);
  await run(['ip', '-n', netns, 'link', 'set', device, 'master', 'br0', 'up']);
  // Like an uplink that Kubernetes knows nothing of: no address of another family, nothing to be detected.
  const lines = ['link set api addrgenmode none', 'link set api up', `addr add 10.255.77.${host}/${length} dev api`];
  await run(['ip', '-n', node, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
