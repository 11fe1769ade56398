/** What a node's kernel holds, as text that can be compared: rules of both iptables variants, sets, tables. */
import type { ClusterNode } from '../cluster/node.ts';

/** Questions to the kernel; counters and handles are cut from the answers. */
const questions: Readonly<Record<string, readonly [string, ...string[]]>> = {
  'iptables (nft)': ['iptables-nft-save'],
  'ip6tables (nft)': ['ip6tables-nft-save'],
  'iptables (legacy)': ['iptables-legacy-save'],
  'ip6tables (legacy)': ['ip6tables-legacy-save'],
  sets: ['ipset', 'list', '-name'],
};

/**
 * Left out: the CNI's port mappings, which come and go by themselves, comments with the time, and what a table has that is
 * empty (a kernel that has made one keeps it).
 */
const others = /^#|CNI-|cni-|^\*\w+$|^COMMIT$|^:[A-Z]+ ACCEPT$|^table /;

/** Each question's name with its answer's lines. */
export async function readNodeState(node: ClusterNode): Promise<Readonly<Record<string, readonly string[]>>> {
  const entries = await Promise.all(
    Object.entries(questions).map(async ([name, argv]) => {
      const { stdout } = await node.run(argv);
      const lines = stdout.split('\n').map((line) => line.replace(/\[\d+:\d+\]/, '').trim());
      return [name, lines.filter((line) => line !== '' && !others.test(line))] as const;
    }),
  );
  return Object.fromEntries(entries);
}

/** Lines that are there now and were not before, and the other way round. */
export function compareStates(
  before: Readonly<Record<string, readonly string[]>>,
  after: Readonly<Record<string, readonly string[]>>,
): readonly string[] {
  return Object.keys(questions).flatMap((name) => {
    const [old, now] = [before[name] ?? [], after[name] ?? []];
    return [
      ...now.filter((line) => !old.includes(line)).map((line) => `${name}: + ${line}`),
      ...old.filter((line) => !now.includes(line)).map((line) => `${name}: - ${line}`),
    ];
  });
}
