/** The dispatch chains of one family, kept up to date entry by entry: KUBE-SERVICES, -NODEPORTS, -EXTERNAL-SERVICES, -PROXY-FIREWALL. */
import type { ChainChange } from '../dataplane/dataplane.ts';
import { type ChainName, chainName } from '../dataplane/names.ts';
import type { Chain, Rule, TableName } from '../dataplane/rule.ts';
import type { IpFamily } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import { branches, type DispatchShape, renderBranch, rootRules, type RuleTree } from './dispatch.ts';
import { insertEntry, removeEntry } from './dispatch-tree.ts';
import { nodePortsChain } from './fixed.ts';
import type { SectionEntry, SectionName } from './frontends.ts';

export class DispatchChains {
  readonly #family: IpFamily;
  readonly #roots: readonly Root[];
  readonly #trees = new Map<SectionName, RuleTree>();
  readonly #dirty = new Set<SectionName>(sectionNames);
  readonly #tails = new Map<Root, readonly Rule[]>();
  readonly #dirtyRoots = new Set<Root>();
  /** What was last taken: root chains, and of each section its sub-chains with the nodes they came from. */
  readonly #takenRoots = new Map<Root, Chain>();
  readonly #takenBranches = new Map<SectionName, Map<ChainName, TakenBranch>>();

  constructor(family: IpFamily) {
    this.#family = family;
    this.#roots = roots;
  }

  /** What comes after the Services' own rules in a dispatch chain. */
  setTail(table: TableName, name: ChainName, tail: readonly Rule[]): void {
    const root = this.#roots.find((one) => one.table === table && one.name === name);
    if (root === undefined) throw new Error(`no dispatch chain is called ${name} in table ${table}`);
    this.#tails.set(root, tail);
    this.#dirtyRoots.add(root);
  }

  /** The entries of one service port, before and after a change. */
  replace(before: readonly SectionEntry[], after: readonly SectionEntry[]): void {
    const kept = new Map(before.map((entry) => [identityOf(entry), entry]));
    for (const entry of after) {
      const old = kept.get(identityOf(entry));
      if (old !== undefined && sameValue(old.value, entry.value)) {
        kept.delete(identityOf(entry));
        continue;
      }
      if (old !== undefined) this.#remove(old);
      kept.delete(identityOf(entry));
      this.#set(entry.section, insertEntry(this.#trees.get(entry.section), entry));
    }
    for (const entry of kept.values()) this.#remove(entry);
  }

  /** What changed since this was last called; the first time, everything. */
  takeChanges(): readonly ChainChange[] {
    const changes: ChainChange[] = [];
    for (const root of this.#roots) {
      const sections = root.sections.filter((section) => this.#dirty.has(section.name));
      for (const section of sections) this.#takeBranches(root.table, section, changes);
      if (sections.length > 0 || this.#dirtyRoots.has(root)) this.#takeRoot(root, changes);
    }
    this.#dirty.clear();
    this.#dirtyRoots.clear();
    return changes;
  }

  #remove(entry: SectionEntry): void {
    this.#set(entry.section, removeEntry(this.#trees.get(entry.section), entry.key, entry.id));
  }

  #set(section: SectionName, tree: RuleTree | undefined): void {
    this.#dirty.add(section);
    if (tree === undefined) this.#trees.delete(section);
    else this.#trees.set(section, tree);
  }

  #takeRoot(root: Root, changes: ChainChange[]): void {
    const rules = root.sections.flatMap((section) => rootRules(this.#trees.get(section.name), this.#shapeOf(section)));
    const chain: Chain = { name: root.name, style: 'kube', rules: [...rules, ...(this.#tails.get(root) ?? [])] };
    if (sameValue(this.#takenRoots.get(root), chain)) return;
    this.#takenRoots.set(root, chain);
    changes.push({ family: this.#family, table: root.table, name: root.name, chain });
  }

  /** A node that is the same object makes the same chain; one that is new may do so too. */
  #takeBranches(table: TableName, section: Section, changes: ChainChange[]): void {
    const before = this.#takenBranches.get(section.name) ?? new Map<ChainName, TakenBranch>();
    const after = new Map<ChainName, TakenBranch>();
    const shape = this.#shapeOf(section);
    for (const [name, tree] of branches(this.#trees.get(section.name), shape)) {
      const old = before.get(name);
      before.delete(name);
      const chain = old?.tree === tree ? old.chain : renderBranch(name, tree, shape);
      const isSame = old !== undefined && (old.chain === chain || sameValue(old.chain, chain));
      after.set(name, { tree, chain: isSame ? old.chain : chain });
      if (!isSame) changes.push({ family: this.#family, table, name, chain });
    }
    for (const name of before.keys()) changes.push({ family: this.#family, table, name });
    this.#takenBranches.set(section.name, after);
  }

  #shapeOf(section: Section): DispatchShape {
    return { base: section.base, keys: section.keys, family: this.#family };
  }
}

interface TakenBranch {
  readonly tree: RuleTree;
  readonly chain: Chain;
}

interface Section extends Omit<DispatchShape, 'family'> {
  readonly name: SectionName;
}

/** A dispatch chain: its sections' rules in order, then its tail. */
interface Root {
  readonly table: TableName;
  readonly name: ChainName;
  readonly sections: readonly Section[];
}

export const servicesChain: ChainName = chainName('KUBE-SERVICES');

/** Sub-chains have short names of their own where the chain's name leaves no room for digits. */
const roots: readonly Root[] = [
  {
    table: 'nat',
    name: servicesChain,
    sections: [{ name: 'services', base: 'KUBE-SERVICES', keys: 'address' }],
  },
  {
    table: 'nat',
    name: nodePortsChain,
    sections: [{ name: 'nodePorts', base: 'KUBE-NODEPORTS', keys: 'port' }],
  },
  {
    table: 'filter',
    name: servicesChain,
    sections: [{ name: 'refused', base: 'KUBE-SERVICES', keys: 'address' }],
  },
  {
    table: 'filter',
    name: chainName('KUBE-EXTERNAL-SERVICES'),
    sections: [
      { name: 'externalRefused', base: 'KUBE-EXTERNAL', keys: 'address' },
      { name: 'nodePortsRefused', base: 'KUBE-EXTERNAL-NP', keys: 'port' },
    ],
  },
  {
    table: 'filter',
    name: nodePortsChain,
    sections: [{ name: 'healthChecks', base: 'KUBE-NODEPORTS', keys: 'port' }],
  },
  {
    table: 'filter',
    name: chainName('KUBE-PROXY-FIREWALL'),
    sections: [{ name: 'firewall', base: 'KUBE-PROXY-FW', keys: 'address' }],
  },
];

const sectionNames: readonly SectionName[] = [
  'services',
  'nodePorts',
  'refused',
  'externalRefused',
  'nodePortsRefused',
  'healthChecks',
  'firewall',
];

function identityOf(entry: SectionEntry): string {
  return `${entry.section} ${entry.key} ${entry.id}`;
}
