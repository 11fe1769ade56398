/** EndpointSlices of discovery.k8s.io/v1. */
import type { Endpoint, EndpointPort, EndpointSlice } from '../cluster/objects.ts';
import { compact } from '../lib/compact.ts';
import type { ApiObject, Json } from './api-object.ts';
import { labelsOf, listOf, numberOf, recordOf, textOf } from './api-object.ts';
import type { Reading } from './reading.ts';
import { eachOf } from './reading.ts';

const serviceNameLabel = 'kubernetes.io/service-name';
const addressTypes = ['IPv4', 'IPv6', 'FQDN'] as const;

/** Undefined where it cannot be told what the addresses are. */
export function readEndpointSlice(object: ApiObject, reading: Reading): EndpointSlice | undefined {
  const { name, namespace, uid, metadata, json } = object;
  const addressType = reading.word(json['addressType'], addressTypes, 'addressType');
  if (addressType === undefined) return undefined;
  const labels = labelsOf(metadata['labels']);
  return {
    kind: 'EndpointSlice',
    name,
    namespace,
    uid,
    labels,
    service: labels[serviceNameLabel] ?? '',
    addressType,
    ports: eachOf(listOf(json['ports']), (item, index) => portOf(recordOf(item), index, reading)),
    endpoints: listOf(json['endpoints']).map((item, index) =>
      endpointOf(recordOf(item), `endpoints[${index}]`, { namespace, addressType, reading }),
    ),
  };
}

function portOf(port: Json, index: number, reading: Reading): EndpointPort | undefined {
  const protocol = reading.protocol(port['protocol'], `ports[${index}].protocol`);
  const number = numberOf(port['port']);
  if (protocol === undefined) return undefined;
  return { name: textOf(port['name']) ?? '', protocol, ...(number === undefined ? {} : { port: number }) };
}

interface SliceContext {
  readonly namespace: string;
  readonly addressType: EndpointSlice['addressType'];
  readonly reading: Reading;
}

/** Conditions that are not stated: ready, serving, not terminating, as kube-proxy reads them. */
function endpointOf(json: Json, path: string, { namespace, addressType, reading }: SliceContext): Endpoint {
  const conditions = recordOf(json['conditions']);
  const hints = recordOf(json['hints']);
  const nodeName = textOf(json['nodeName']);
  const zone = textOf(json['zone']);
  const pod = podOf(recordOf(json['targetRef']), namespace);
  const addresses = addressType === 'FQDN' ? [] : listOf(json['addresses']);
  return {
    addresses: addressesOf(addresses, `${path}.addresses`, reading),
    ready: conditions['ready'] !== false,
    serving: conditions['serving'] !== false,
    terminating: conditions['terminating'] === true,
    hintZones: namesOf(hints['forZones']),
    hintNodes: namesOf(hints['forNodes']),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    ...(pod === undefined ? {} : { pod }),
  };
}

/** The first is the one that counts: where it cannot be read, no other takes its place. */
function addressesOf(list: readonly unknown[], path: string, reading: Reading): Endpoint['addresses'] {
  const [first, ...others] = list.map((item, index) => reading.ip(item, `${path}[${index}]`));
  return first === undefined ? [] : compact([first, ...others.filter((address) => address !== undefined)]);
}

function namesOf(list: unknown): readonly string[] {
  return eachOf(listOf(list), (item) => textOf(recordOf(item)['name']));
}

function podOf(target: Json, namespace: string): string | undefined {
  const name = textOf(target['name']);
  if (target['kind'] !== 'Pod' || name === undefined) return undefined;
  return `${textOf(target['namespace']) ?? namespace}/${name}`;
}
