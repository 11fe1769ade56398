/** Services: the API server has checked them and filled in what they leave out. */
import type { LoadBalancerIngress, Service, ServicePort, ServiceType } from '../cluster/objects.ts';
import type { ApiObject, Json } from './api-object.ts';
import { labelsOf, listOf, numberOf, recordOf, textOf } from './api-object.ts';
import type { Reading } from './reading.ts';
import { eachOf } from './reading.ts';

const types: readonly ServiceType[] = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'];
const trafficPolicies = ['Cluster', 'Local'] as const;
const affinityDefaultSeconds = 10_800;

export function readService({ name, namespace, uid, metadata, json }: ApiObject, reading: Reading): Service {
  const spec = recordOf(json['spec']);
  const type = reading.word(spec['type'], types, 'spec.type') ?? 'ClusterIP';
  const createdAtMs = Date.parse(textOf(metadata['creationTimestamp']) ?? '');
  return {
    kind: 'Service',
    name,
    namespace,
    uid,
    labels: labelsOf(metadata['labels']),
    ...(Number.isNaN(createdAtMs) ? {} : { createdAtMs }),
    type,
    ...clusterIpsOf(spec, type, reading),
    externalIps: eachOf(listOf(spec['externalIPs']), (ip, index) => reading.ip(ip, `spec.externalIPs[${index}]`)),
    loadBalancerIngress: ingressOf(json, reading),
    loadBalancerSourceRanges: eachOf(listOf(spec['loadBalancerSourceRanges']), (range, index) =>
      reading.cidr(range, `spec.loadBalancerSourceRanges[${index}]`),
    ),
    ports: eachOf(listOf(spec['ports']), (port, index) => servicePortOf(recordOf(port), index, reading)),
    externalTrafficPolicy: trafficPolicyOf(spec, 'externalTrafficPolicy', reading),
    internalTrafficPolicy: trafficPolicyOf(spec, 'internalTrafficPolicy', reading),
    healthCheckNodePort: numberOf(spec['healthCheckNodePort']) ?? 0,
    publishNotReadyAddresses: spec['publishNotReadyAddresses'] === true,
    ...optionalFields(spec),
  };
}

function trafficPolicyOf(
  spec: Json,
  key: 'externalTrafficPolicy' | 'internalTrafficPolicy',
  reading: Reading,
): 'Cluster' | 'Local' {
  return reading.word(spec[key], trafficPolicies, `spec.${key}`) ?? 'Cluster';
}

function clusterIpsOf(spec: Json, type: ServiceType, reading: Reading): Pick<Service, 'clusterIps' | 'headless'> {
  const list = listOf(spec['clusterIPs']);
  const stated = list.length === 0 ? [spec['clusterIP']] : list;
  if (type === 'ExternalName') return { clusterIps: [], headless: false };
  if (stated[0] === 'None') return { clusterIps: [], headless: true };
  return { clusterIps: eachOf(stated, (ip, index) => reading.ip(ip, `spec.clusterIPs[${index}]`)), headless: false };
}

function ingressOf(json: Json, reading: Reading): readonly LoadBalancerIngress[] {
  const list = listOf(recordOf(recordOf(json['status'])['loadBalancer'])['ingress']);
  return eachOf(list, (item, index): LoadBalancerIngress | undefined => {
    const path = `status.loadBalancer.ingress[${index}]`;
    const ingress = recordOf(item);
    const ip = reading.ip(ingress['ip'], `${path}.ip`);
    const ipMode = reading.word(ingress['ipMode'], ['VIP', 'Proxy'], `${path}.ipMode`) ?? 'VIP';
    return ip === undefined ? undefined : { ip, ipMode };
  });
}

function servicePortOf(json: Json, index: number, reading: Reading): ServicePort | undefined {
  const port = numberOf(json['port']);
  const protocol = reading.protocol(json['protocol'], `spec.ports[${index}].protocol`);
  if (port === undefined || protocol === undefined) return undefined;
  const { targetPort } = json;
  return {
    name: textOf(json['name']) ?? '',
    protocol,
    port,
    targetPort: numberOf(targetPort) ?? textOf(targetPort) ?? port,
    nodePort: numberOf(json['nodePort']) ?? 0,
  };
}

function optionalFields(spec: Json): Pick<Service, 'externalName' | 'selector' | 'sessionAffinitySeconds'> {
  const externalName = textOf(spec['externalName']);
  const selector = labelsOf(spec['selector']);
  const clientIp = recordOf(recordOf(spec['sessionAffinityConfig'])['clientIP']);
  const seconds = numberOf(clientIp['timeoutSeconds']) ?? affinityDefaultSeconds;
  return {
    ...(externalName === undefined ? {} : { externalName }),
    // An empty selector is none: somebody else writes the endpoints.
    ...(Object.keys(selector).length === 0 ? {} : { selector }),
    ...(spec['sessionAffinity'] === 'ClientIP' ? { sessionAffinitySeconds: seconds } : {}),
  };
}
