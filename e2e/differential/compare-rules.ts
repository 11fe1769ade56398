/**
 * The rules of both nodes as text, chain by chain. Sluice's own sub-chains (trees that find a Service or draw an endpoint
 * in few steps) are put back where they were jumped to from; everything else has to be the same.
 */
import { normaliseKubeRule } from '../../src/dataplane/kube-rule-text.ts';
import type { TableName } from '../../src/dataplane/rule.ts';
import type { IpFamily } from '../../src/lib/ip.ts';
import type { Difference, Pair } from './compare-outcomes.ts';
import type { SavedRules } from './read-rules.ts';
import { readTexts } from './read-rules.ts';
import { families } from './topology.ts';

type Chains = ReadonlyMap<string, readonly string[]>;

const tables: readonly TableName[] = ['nat', 'filter'];
/** Chains whose rules are about one Service each, so that their order means nothing: kube-proxy's changes with every sync. */
const dispatchChains: ReadonlySet<string> = new Set([
  'KUBE-SERVICES',
  'KUBE-NODEPORTS',
  'KUBE-EXTERNAL-SERVICES',
  'KUBE-PROXY-FIREWALL',
]);
/** Sub-chains of Sluice's alone. */
const ownSubChain = /^KUBE-(?:SERVICES|NODEPORTS|EXTERNAL|EXTERNAL-NP|PROXY-FW|SV[CL]-[A-Z2-7]{16})-x?[0-9a-f]+$/;
const balanced = /^KUBE-SV[CL]-/;

/** Stands for the rules of a chain that is not there. */
export const noSuchChain = '(no such chain)';

export interface ComparedRules {
  /** Rules of kube-proxy that were compared. */
  readonly rules: number;
  readonly differences: readonly Difference[];
}

export function compareRules(saved: Pair<SavedRules>): ComparedRules {
  const compared = families.flatMap((family) => tables.map((table) => compareTable(saved, family, table)));
  return {
    rules: compared.reduce((sum, { rules }) => sum + rules, 0),
    differences: compared.flatMap(({ differences }) => differences),
  };
}

function compareTable(saved: Pair<SavedRules>, family: IpFamily, table: TableName): ComparedRules {
  const kubeProxy = kubeChains(readTexts(saved.kubeProxy[family], table));
  const sluice = kubeChains(readTexts(saved.sluice[family], table));
  const names = new Set([...kubeProxy.keys(), ...sluice.keys()].filter((name) => !ownSubChain.test(name)));
  const differences: Difference[] = [];
  for (const name of [...names].toSorted()) {
    const pair = comparable(name, { kubeProxy, sluice });
    if (pair.kubeProxy.join('\n') === pair.sluice.join('\n')) continue;
    const service = serviceOf([...pair.kubeProxy, ...pair.sluice], pair);
    differences.push({ kind: 'rules', service, what: `${family} ${table} ${name}`, ...onlyThere(pair) });
  }
  const rules = [...kubeProxy.values()].reduce((sum, texts) => sum + texts.length, 0);
  return { rules, differences };
}

/** The KUBE chains, and the kernel's own with nothing but the jumps to them. */
function kubeChains(chains: Chains): Chains {
  const found = new Map<string, readonly string[]>();
  for (const [name, rules] of chains) {
    if (name.startsWith('KUBE-')) found.set(name, rules);
    else if (/^[A-Z]+$/.test(name))
      found.set(
        name,
        rules.filter((rule) => / -j KUBE-/.test(` ${rule}`)),
      );
  }
  return found;
}

function comparable(name: string, chains: Pair<Chains>): Pair<readonly string[]> {
  const pair = { kubeProxy: normalised(name, chains.kubeProxy), sluice: normalised(name, chains.sluice) };
  if (dispatchChains.has(name)) return { kubeProxy: pair.kubeProxy.toSorted(), sluice: pair.sluice.toSorted() };
  const isTree = balanced.test(name) && (chains.sluice.get(name) ?? []).some((rule) => subChainOf(rule) !== undefined);
  // A tree has other dice at other places; that its draw is the same is seen in the outcomes.
  return isTree ? { kubeProxy: withoutDice(pair.kubeProxy), sluice: withoutDice(pair.sluice) } : pair;
}

/** A chain that is not there is told apart from one that is empty. */
function normalised(name: string, chains: Chains): readonly string[] {
  const rules = chains.get(name);
  if (rules === undefined) return [noSuchChain];
  return flattened(rules, chains).map(normaliseKubeRule);
}

function flattened(rules: readonly string[], chains: Chains): readonly string[] {
  return rules.flatMap((rule) => {
    const below = subChainOf(rule);
    return below === undefined ? [rule] : flattened(chains.get(below) ?? [], chains);
  });
}

function subChainOf(rule: string): string | undefined {
  const target = / -[jg] (KUBE-\S+)/.exec(` ${rule}`)?.[1];
  return target !== undefined && ownSubChain.test(target) ? target : undefined;
}

function withoutDice(rules: readonly string[]): readonly string[] {
  return rules.map((rule) => rule.replace(/ ?--mode random| ?--probability \d+/g, '')).toSorted();
}

/** What is in one and not in the other; where only the order differs, all of it. */
function onlyThere({ kubeProxy, sluice }: Pair<readonly string[]>): Pair<readonly string[]> {
  const only = { kubeProxy: without(kubeProxy, sluice), sluice: without(sluice, kubeProxy) };
  return only.kubeProxy.length + only.sluice.length === 0 ? { kubeProxy, sluice } : only;
}

function without(rules: readonly string[], others: readonly string[]): readonly string[] {
  return rules.filter((rule) => !others.includes(rule));
}

/** By the comments: `default/web:http cluster IP`. */
function serviceOf(rules: readonly string[], pair: Pair<readonly string[]>): string {
  const { kubeProxy, sluice } = onlyThere(pair);
  const text = [...kubeProxy, ...sluice, ...rules].join('\n');
  return /default\/([a-z0-9-]+)/.exec(text)?.[1] ?? '';
}
