/** What a node's kernel holds, as text that can be compared: rules of both iptables variants in their order, sets with their members. */
import type { Argv } from '../../src/backends/exec.ts';
import type { ClusterNode } from '../cluster/node.ts';

/** Each question's name with its answer's lines. */
export type NodeState = Readonly<Record<string, readonly string[]>>;

const questions: Readonly<Record<string, Argv>> = {
  'iptables (nft)': ['iptables-nft-save'],
  'ip6tables (nft)': ['ip6tables-nft-save'],
  'iptables (legacy)': ['iptables-legacy-save'],
  'ip6tables (legacy)': ['ip6tables-legacy-save'],
  sets: ['ipset', 'save'],
};

/**
 * Left out: the CNI's port mappings, which come and go by themselves, comments with the time, what a table has that is empty (a
 * kernel that has made one keeps it), and which connections are cut at this moment.
 */
const others = /^#|CNI-|cni-|^\*\w+$|^COMMIT$|^:[A-Z]+ ACCEPT$|^add cali[46]0cut /;

/** Asks the kernel; counters and what it drew by chance are cut from its answers. */
export async function readNodeState(node: Pick<ClusterNode, 'run'>): Promise<NodeState> {
  const entries = await Promise.all(
    Object.entries(questions).map(async ([name, argv]) => {
      const { stdout } = await node.run(argv);
      const lines = stdout.split('\n').map((line) =>
        line
          .replace(/\[\d+:\d+\]/, '')
          .replace(/ initval \S+/, '')
          .trim(),
      );
      const kept = lines.filter((line) => line !== '' && !others.test(line));
      return [name, name === 'sets' ? kept.toSorted() : kept] as const;
    }),
  );
  return Object.fromEntries(entries);
}

/** Lines that are there now and were not before, the other way round, and where only their order is another one. */
export function compareStates(before: NodeState, after: NodeState): readonly string[] {
  return Object.keys(questions).flatMap((name) => {
    const [old, now] = [before[name] ?? [], after[name] ?? []];
    const differences = [
      ...without(now, old).map((line) => `${name}: + ${line}`),
      ...without(old, now).map((line) => `${name}: - ${line}`),
    ];
    if (differences.length > 0) return differences;
    const moved = now.findIndex((line, index) => line !== old[index]);
    return moved === -1 ? [] : [`${name}: in another order from here: ${now[moved] ?? ''}`];
  });
}

/** `lines` less `taken`, each as often as it is there. */
function without(lines: readonly string[], taken: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const line of taken) counts.set(line, (counts.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = counts.get(line) ?? 0;
    counts.set(line, count - 1);
    return count <= 0;
  });
}
