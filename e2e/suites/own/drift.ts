/** What others do to a node's rules, sets and settings, and that the agent installed there mends it. */
import type { Argv } from '../../../src/backends/exec.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import type { ClusterNode } from '../../cluster/node.ts';
import { until } from '../../cluster/until.ts';
import { compareStates, readNodeState } from '../../sluice/node-state.ts';

export interface Disturbance {
  readonly name: string;
  readonly argv: Argv;
  /** A setting of the node, which is set again without being a repair of rules. */
  readonly setting?: string;
}

export const disturbances: readonly Disturbance[] = [
  { name: 'iptables -F FORWARD', argv: ['iptables-nft', '-F', 'FORWARD'] },
  { name: 'a chain of ours is flushed', argv: ['iptables-nft', '-F', 'cali-to-wl-dispatch'] },
  { name: 'ipset flush of the programmed pods', argv: ['ipset', 'flush', 'cali40programmed'] },
  {
    name: 'forwarding is switched off',
    argv: ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=0'],
    setting: 'net.ipv4.ip_forward',
  },
];

/** Disturbs the last node; returns when its kernel is as it was, and throws when that takes long or was not counted. What was seen, as text. */
export async function mendedOnNode({ nodes }: Cluster, { name, argv, setting }: Disturbance): Promise<string> {
  const node = nodes.at(-1);
  if (node === undefined) throw new Error('needs a node');
  const before = await readNodeState(node);
  const repairs = await repairsOn(node);
  const started = performance.now();
  await node.run(argv);
  const isMended = async (): Promise<boolean> => {
    const differences = compareStates(before, await readNodeState(node));
    if (differences.length > 0) throw new Error(differences.slice(0, 3).join('; '));
    return setting === undefined || (await node.run(['sysctl', '-n', setting])).stdout.trim() === '1';
  };
  await until(`${name}: to be mended`, isMended, { timeoutMs: 20_000, everyMs: 20 });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const counted = (await repairsOn(node)) - repairs;
  if (setting === undefined && counted === 0) throw new Error(`${name}: mended, but not counted as a repair`);
  return `${name}: mended within ${seconds} s, ${counted} repairs counted`;
}

/** What the API server has about repairs on the last node. */
export async function driftEvent({ kubectl, nodes }: Cluster): Promise<string> {
  const path = '{range .items[?(@.reason=="DriftMended")]}{.regarding.kind} {.regarding.name}: {.note}{"\\n"}{end}';
  const ask = async (): Promise<string | undefined> =>
    (await kubectl(['-n', 'default', 'get', 'events.events.k8s.io', `-o=jsonpath=${path}`]))
      .split('\n')
      .find((line) => line.startsWith(`Node ${nodes.at(-1)?.place.name ?? ''}: `));
  await until('an Event about the repairs', async () => (await ask()) !== undefined, { timeoutMs: 30_000 });
  return (await ask()) ?? '';
}

/** Objects that the node's agent has repaired so far. */
async function repairsOn(node: ClusterNode): Promise<number> {
  const { stdout } = await node.run(['curl', '-sS', `http://${node.place.address}:9840/metrics`]);
  const [, count] = /^sluice_drift_repairs_total(?:\{[^}]*\})? (\d+)$/m.exec(stdout) ?? [];
  if (count === undefined)
    throw new Error(`no sluice_drift_repairs_total on ${node.place.name}:\n${stdout.slice(0, 500)}`);
  return Number(count);
}
