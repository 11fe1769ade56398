/** From interface to pod without asking every rule: Calico's prefix tree of one level. */
import { type ChainName, chainName } from '../../dataplane/names.ts';
import type { Chain, Match, Rule } from '../../dataplane/rule.ts';
import { drop, goTo } from '../../dataplane/rule-parts.ts';

export interface DispatchEntry {
  readonly interface: string;
  readonly target: ChainName;
  /** `Kind namespace/name` */
  readonly object: string;
}

export interface DispatchOptions {
  readonly direction: 'in' | 'out';
  /** Bridge ports (`-m physdev`) instead of interfaces. */
  readonly physical?: true;
  /** Interfaces that are no entry's: dropped, as Calico does. */
  readonly unknownDrop: boolean;
  /** Where else to look for a packet that no entry took; needs `unknownDrop` false. */
  readonly next?: ChainName;
}

/**
 * The root and its children, `<root>-<character>` for interfaces that share the character after the common prefix.
 * Every rule is a goto, so a pod's chain returns to whoever jumped to the root.
 */
export function dispatchChains(
  root: ChainName,
  entries: readonly DispatchEntry[],
  options: DispatchOptions,
): readonly Chain[] {
  const sorted = [...entries].sort((left, right) => (left.interface < right.interface ? -1 : 1));
  const prefix = commonPrefix(sorted.map((entry) => entry.interface));
  const bins = Map.groupBy(sorted, (entry) => entry.interface.charAt(prefix.length));
  const children: Chain[] = [];
  const rules = [...bins].map(([character, bin]) => {
    const [only] = bin;
    if (bin.length === 1 && only !== undefined) return leafRule(only, options);
    const child = chainName(`${root}-${character}`);
    children.push(
      treeChain(
        child,
        bin.map((entry) => leafRule(entry, options)),
        options,
      ),
    );
    return branchRule(`${prefix}${character}+`, child, options);
  });
  return [...children, treeChain(root, rules, options)];
}

/** A child must end as the root does: its goto does not come back here. */
function treeChain(name: ChainName, rules: readonly Rule[], { unknownDrop, next }: DispatchOptions): Chain {
  const ending: Rule[] = [];
  if (unknownDrop) {
    const note = 'the interface has a prefix that belongs to pods alone, and is no known pod';
    ending.push({ matches: [], action: drop, comments: ['Unknown interface'], origin: { note } });
  } else if (next !== undefined) {
    const note = 'no pod here: asks the pods that are told apart in another way';
    ending.push({ matches: [], action: goTo(next), comments: [], origin: { note } });
  }
  return { name, style: 'cali', rules: [...rules, ...ending] };
}

function leafRule(entry: DispatchEntry, options: DispatchOptions): Rule {
  const note = options.direction === 'in' ? 'packets from this pod' : 'packets to this pod';
  return {
    matches: [interfaceMatch(entry.interface, options)],
    action: goTo(entry.target),
    comments: [],
    origin: { object: entry.object, note },
  };
}

function branchRule(name: string, child: ChainName, options: DispatchOptions): Rule {
  const origin = { note: `pods whose interface begins with ${name.slice(0, -1)}` };
  return { matches: [interfaceMatch(name, options)], action: goTo(child), comments: [], origin };
}

function interfaceMatch(name: string, { direction, physical }: DispatchOptions): Match {
  return { kind: 'interface', direction, name, ...(physical === true ? { physical } : {}) };
}

/** Of sorted texts the first and the last differ earliest. */
function commonPrefix(sorted: readonly string[]): string {
  const first = sorted.at(0) ?? '';
  const last = sorted.at(-1) ?? '';
  let length = 0;
  while (length < first.length && first[length] === last[length]) length += 1;
  return first.slice(0, length);
}
