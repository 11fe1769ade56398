/** Why no endpoint of a Service was there for a packet: each of them, and what keeps it. */
import type { Service } from '../cluster/objects.ts';
import { describeObject } from '../cluster/objects.ts';
import { joinHostPort } from '../lib/ip.ts';
import { LeftOutFinder } from '../service/left-out.ts';
import type { PlannedEndpoint } from '../service/plan.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { InvestigatedBranch } from './investigate.ts';
import { lastStep } from './journey.ts';
import { lastNode } from './outcome-text.ts';
import { plannedPortOf } from './planned-port.ts';

/** Nobody reads more. */
const longestList = 20;

/** Empty where a Service had one, or none was asked. */
export function noEndpointLines(model: ClusterModel, { how, journey }: InvestigatedBranch): readonly string[] {
  const node = lastNode(journey);
  const step = lastStep(journey);
  if (how !== 'no-endpoint' || node === undefined || step?.kind !== 'rule') return [];
  const found = plannedPortOf(model, node, step);
  if (found === undefined) return [];
  const { service, port } = found;
  const isHere = step.rule.action.kind === 'drop';
  const rows = [
    ...port.endpoints.map((endpoint) => ({
      place: joinHostPort(endpoint.address, endpoint.port),
      pod: endpoint.pod ?? '',
      why: whyUnused(endpoint, isHere),
    })),
    ...new LeftOutFinder(model.state).of(service, port).map(({ address = '(no address)', pod = '', why }) => ({
      place: address,
      pod,
      why,
    })),
  ];
  const name = describeObject(service);
  if (rows.length === 0) return ['', `${name} has no endpoints: ${whyNone(service)}`];
  return ['', `${name} has no endpoint that can be used${isHere ? ` on ${node}` : ''}:`, ...table(rows)];
}

function whyUnused({ local, nodeName, terminating }: PlannedEndpoint, isHere: boolean): string {
  if (isHere && !local) return nodeName === undefined ? 'it is on no known node' : `it is on ${nodeName}`;
  return terminating ? 'it terminates, and serves no more' : 'it is not ready';
}

function whyNone({ selector, namespace }: Service): string {
  if (selector === undefined) return 'it has no selector, and no EndpointSlice names it';
  const labels = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return `its selector ${labels.join(',')} selects no pod of namespace ${namespace}`;
}

interface Row {
  readonly place: string;
  readonly pod: string;
  readonly why: string;
}

function table(rows: readonly Row[]): readonly string[] {
  const shown = rows.slice(0, longestList);
  const width = Math.max(...shown.map(({ place }) => place.length));
  const podWidth = Math.max(...shown.map(({ pod }) => pod.length));
  return [
    ...shown.map(({ place, pod, why }) =>
      podWidth === 0 ? `  ${place.padEnd(width)}  ${why}` : `  ${place.padEnd(width)}  ${pod.padEnd(podWidth)}  ${why}`,
    ),
    ...(rows.length > shown.length ? [`  and ${rows.length - shown.length} more`] : []),
  ];
}
