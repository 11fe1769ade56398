/** Whether a change can take something away from anybody: what only allows more needs no look at open connections. */
import type { ChainChange, DataplaneDelta, IpSetChange } from '../dataplane/dataplane.ts';

export function mayDeny({ ipSets, chains }: DataplaneDelta): boolean {
  return chains.some(isPolicyChain) || ipSets.some(losesMembers);
}

/** Policy lives in filter; a Service's chains there are known by their names. */
function isPolicyChain({ table, name }: ChainChange): boolean {
  return table === 'filter' && name.startsWith('cali-');
}

/** A new set comes with the chain that refers to it. */
function losesMembers(change: IpSetChange): boolean {
  return change.kind === 'members' && change.removed.length > 0;
}
