/** IP sets of a node, and what asked for them. */
import type { IpSet } from '../../dataplane/rule.ts';
import type { ResourceTable } from './resource.ts';

/** A set as a node has it; members sorted. */
export interface NodeIpSet extends Omit<IpSet, 'members'> {
  readonly node: string;
  readonly members: readonly string[];
}

export function ipSetTable(sets: readonly NodeIpSet[]): ResourceTable {
  return {
    columns: ['NODE', 'NAME', 'TYPE', 'MEMBERS'],
    wideColumns: ['NODE', 'NAME', 'TYPE', 'MEMBERS', 'FOR', 'FIRST'],
    resources: sets.map((set) => {
      const cells = [set.node, set.name, set.type, String(set.members.length)];
      const { object, path, note } = set.origin;
      const asked = [object, path].filter((part) => part !== undefined).join(' ');
      const first = set.members.slice(0, 5).join(',') + (set.members.length > 5 ? ',...' : '');
      return { name: set.name, cells, wideCells: [...cells, asked === '' ? (note ?? '') : asked, first], object: set };
    }),
    list: { apiVersion: 'sluice.io/v1', kind: 'IPSetList' },
  };
}
