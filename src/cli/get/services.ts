/** Services as kubectl shows them, with what stands behind them. */
import type { Service } from '../../cluster/objects.ts';
import { keyOf } from '../../cluster/objects.ts';
import type { ClusterState } from '../../cluster/state.ts';
import { joinHostPort } from '../../lib/ip.ts';
import type { Resource, ResourceTable } from './resource.ts';

const columns = ['NAME', 'TYPE', 'CLUSTER-IP', 'EXTERNAL-IP', 'PORT(S)'];

export function serviceTable(state: ClusterState): ResourceTable {
  return {
    columns,
    wideColumns: [...columns, 'SELECTOR', 'ENDPOINTS'],
    resources: [...state.services.values()].map((service) => serviceResource(service, state)),
    list: { apiVersion: 'v1', kind: 'ServiceList' },
  };
}

function serviceResource(service: Service, state: ClusterState): Resource {
  const { name, namespace } = service;
  const external = [...service.externalIps, ...service.loadBalancerIngress.map(({ ip }) => ip)];
  const cells = [
    name,
    service.type,
    service.clusterIps.join(',') || 'None',
    service.externalName ?? orNone(external),
    orNone(service.ports.map(formatPort)),
  ];
  const selector = Object.entries(service.selector ?? {}).map(([key, value]) => `${key}=${value}`);
  const endpoints = readyEndpoints(service, state);
  const { location: _location, ...object } = service;
  return {
    namespace,
    name,
    cells,
    wideCells: [...cells, orNone(selector), orNone(endpoints)],
    object: { ...object, endpoints },
  };
}

function formatPort({ port, nodePort, protocol }: Service['ports'][number]): string {
  return nodePort === 0 ? `${port}/${protocol}` : `${port}:${nodePort}/${protocol}`;
}

/** `address:port` of the endpoints that get traffic, sorted. */
function readyEndpoints(service: Service, state: ClusterState): readonly string[] {
  const key = keyOf(service);
  const slices = [...state.endpointSlices.values()].filter((slice) => `${slice.namespace}/${slice.service}` === key);
  const found = slices.flatMap(({ endpoints, ports }) =>
    endpoints
      .filter((endpoint) => endpoint.ready)
      .flatMap(({ addresses }) =>
        addresses.flatMap((address) =>
          ports.flatMap(({ port }) => (port === undefined ? [] : joinHostPort(address, port))),
        ),
      ),
  );
  return [...new Set(found)].sort();
}

function orNone(items: readonly string[]): string {
  return items.length === 0 ? '<none>' : items.join(',');
}
