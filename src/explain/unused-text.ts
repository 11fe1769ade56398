/** The endpoints of a Service that no connection from here gets, though others do. */
import { joinHostPort } from '../lib/ip.ts';
import type { ClusterModel } from './cluster-model.ts';
import { endpointReasons } from './endpoint-text.ts';
import type { InvestigatedBranch } from './investigate.ts';
import { plannedPortOf } from './planned-port.ts';

/** `get service` lists all of them. */
const longestList = 5;

/** Empty where every endpoint may be chosen, or no Service was asked. */
export function unusedLines(model: ClusterModel, { journey }: InvestigatedBranch): readonly string[] {
  for (const { node, trace } of journey.hops) {
    const step = trace.path.find((one) => one.kind === 'rule' && one.rule.action.kind === 'dnat');
    if (step?.kind !== 'rule') continue;
    const { port } = plannedPortOf(model, node, step) ?? {};
    const isLocal = trace.path.some(({ chain }) => chain.startsWith('KUBE-SVL-'));
    const unused = (port?.endpoints ?? []).flatMap(({ address, port: number, pod, inLocal, inCluster }) => {
      const { used, why } = isLocal ? inLocal : inCluster;
      const name = pod === undefined ? '' : `  ${pod}`;
      return used ? [] : [`  ${joinHostPort(address, number)}${name}  ${endpointReasons[why]}`];
    });
    if (unused.length === 0) return [];
    const rest = unused.length - longestList;
    return [
      `Endpoints not used on ${node}:`,
      ...unused.slice(0, longestList),
      ...(rest > 0 ? [`  and ${rest} more (sluice get service -o yaml --node ${node})`] : []),
    ];
  }
  return [];
}
