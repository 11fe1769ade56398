/** A whole dataplane as the text that ipset restore and iptables-restore --noflush load, in an order that depends on nothing but its content. */
import type { IpFamily } from '../lib/ip.ts';
import type { Dataplane } from './dataplane.ts';
import { tableNames } from './dataplane.ts';
import { renderChain } from './render.ts';
import { ipSetLines, kernelMembers, renderHooks } from './restore-input.ts';
import type { Chain, Hook, IpSet, TableName } from './rule.ts';

/** Sets by name, each made and filled. Of both families unless one is asked for; empty where there is none. */
export function ipSetRestoreText(dataplane: Dataplane, family?: IpFamily): string {
  const sets = [...dataplane.ipSets.values()].filter((set) => family === undefined || set.family === family);
  return asText(sets.sort(byName).flatMap(setLines));
}

/** The tables that hold something of ours, a blank line between them; chains by name. Load the sets first. */
export function iptablesRestoreText(dataplane: Dataplane, family: IpFamily): string {
  const { chains, hooks } = dataplane.tables[family];
  const texts = tableNames.flatMap((table) => {
    const ofTable = hooks.filter((hook) => hook.table === table);
    const sorted = [...chains[table].values()].sort(byName);
    return sorted.length + ofTable.length === 0 ? [] : [asText(tableLines(table, sorted, ofTable))];
  });
  return texts.join('\n');
}

function tableLines(table: TableName, chains: readonly Chain[], hooks: readonly Hook[]): readonly string[] {
  return [
    `*${table}`,
    ...chains.map(({ name }) => `:${name} - -`),
    ...chains.flatMap(renderChain),
    ...hookLines(hooks),
    'COMMIT',
  ];
}

/** -I puts a rule above the one before it, so those that go to the top come last first. */
function hookLines(hooks: readonly Hook[]): readonly string[] {
  const byChain = [...Map.groupBy(hooks, (hook) => hook.chain)].sort(([left], [right]) => (left < right ? -1 : 1));
  return byChain.flatMap(([, ofChain]) => {
    const inserted = renderHooks(ofChain.filter(({ position }) => position === 'first'));
    const appended = renderHooks(ofChain.filter(({ position }) => position === 'last'));
    return [...inserted.toReversed().map((line) => line.replace(/^-A /, '-I ')), ...appended];
  });
}

function setLines(set: IpSet): readonly string[] {
  return ipSetLines([{ set, create: true, add: [...kernelMembers(set)].sort(), remove: [] }]);
}

function byName(left: { readonly name: string }, right: { readonly name: string }): number {
  return left.name < right.name ? -1 : 1;
}

function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
