/** Services as kubectl shows them, with what a node does with them. */
import type { Service } from '../../cluster/objects.ts';
import { keyOf } from '../../cluster/objects.ts';
import type { ClusterState } from '../../cluster/state.ts';
import type { NodeServicePlan } from './load-service-plan.ts';
import type { Resource, ResourceTable } from './resource.ts';
import { affinityText, endpointsText, planObject, policyText } from './service-plan.ts';

const columns = ['NAME', 'TYPE', 'CLUSTER-IP', 'EXTERNAL-IP', 'PORT(S)'];

/** `planned`: absent where the cluster has no node. */
export function serviceTable(state: ClusterState, planned?: NodeServicePlan): ResourceTable {
  return {
    columns,
    wideColumns: [...columns, 'SELECTOR', 'POLICY', 'AFFINITY', 'ENDPOINTS'],
    resources: [...state.services.values()].map((service) => serviceResource(service, state, planned)),
    list: { apiVersion: 'v1', kind: 'ServiceList' },
  };
}

function serviceResource(service: Service, state: ClusterState, planned: NodeServicePlan | undefined): Resource {
  const { name, namespace } = service;
  const external = [...service.externalIps, ...service.loadBalancerIngress.map(({ ip }) => ip)];
  const cells = [
    name,
    service.type,
    service.clusterIps.join(',') || (service.headless ? 'None' : '<none>'),
    service.externalName ?? orNone(external),
    orNone(service.ports.map(formatPort)),
  ];
  const selector = Object.entries(service.selector ?? {}).map(([key, value]) => `${key}=${value}`);
  const plan = planned?.plan.services.get(keyOf(service));
  const view = planned === undefined ? undefined : { ...planned, state };
  const endpoints = plan === undefined || view === undefined ? [] : endpointsText(plan, view);
  const { location: _location, ...object } = service;
  return {
    namespace,
    name,
    cells,
    wideCells: [...cells, orNone(selector), policyText(service), affinityText(service), orNone(endpoints)],
    object: {
      ...object,
      ...(plan === undefined || view === undefined ? {} : { plan: planObject(plan, view) }),
    },
  };
}

function formatPort({ port, nodePort, protocol }: Service['ports'][number]): string {
  return nodePort === 0 ? `${port}/${protocol}` : `${port}:${nodePort}/${protocol}`;
}

function orNone(items: readonly string[]): string {
  return items.length === 0 ? '<none>' : items.join(',');
}
