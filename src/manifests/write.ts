/** Complete objects as YAML that reads back as equal objects: how the lab tells its agents what it filled in. */
import { stringify } from 'yaml';
import { allowedSourcesAnnotation } from '../cluster/annotations.ts';
import type {
  ClusterObject,
  Endpoint,
  EndpointSlice,
  NetworkPolicy,
  Node,
  Pod,
  PolicyPeer,
  PolicyPort,
  PolicyRule,
  Service,
} from '../cluster/objects.ts';
import { leavingTaint } from '../cluster/objects.ts';
import { formatCidr } from '../lib/ip.ts';
import { unreachable } from '../lib/unreachable.ts';
import { readKinds } from './kinds.ts';
import { formatLocation, formatMistake, locationAnnotation, mistakeAnnotation } from './location.ts';
import { serviceNameLabel } from './read-endpoint-slice.ts';

/** Undefined members are left out. */
export interface YamlObject {
  readonly [key: string]: YamlValue | undefined;
}
type YamlValue = string | number | boolean | YamlObject | readonly YamlValue[];

/** One document an object, in order. Where an object was first written goes along as an annotation. */
export function manifestText(objects: readonly ClusterObject[]): string {
  // Quotes what YAML 1.1 would not read as a string, since Kubernetes and our own reader hold to that.
  const options = { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' } as const;
  return objects.map((object) => stringify(manifestOf(object), options)).join('---\n');
}

/** The object as Kubernetes has it. */
export function manifestOf(object: ClusterObject): YamlObject {
  const { apiVersion } = readKinds[object.kind];
  return { apiVersion, kind: object.kind, metadata: metadataOf(object), ...bodyOf(object) };
}

function bodyOf(object: ClusterObject): YamlObject {
  switch (object.kind) {
    case 'Namespace':
      return {};
    case 'Node':
      return nodeBody(object);
    case 'Pod':
      return podBody(object);
    case 'Service':
      return serviceBody(object);
    case 'EndpointSlice':
      return sliceBody(object);
    case 'ServiceCIDR':
      return { spec: { cidrs: object.cidrs.map(formatCidr) } };
    case 'NetworkPolicy':
      return policyBody(object);
    default:
      return unreachable(object);
  }
}

function metadataOf(object: ClusterObject): YamlObject {
  const isTerminating = object.kind === 'Pod' && object.terminating;
  const deployment = object.kind === 'Pod' ? object.deployment : undefined;
  return {
    name: object.name,
    namespace: 'namespace' in object ? object.namespace : undefined,
    uid: object.uid,
    labels: object.kind === 'NetworkPolicy' ? undefined : labelsOf(object),
    annotations: annotationsOf(object),
    creationTimestamp: object.kind === 'Service' ? timestampOf(object.createdAtMs) : undefined,
    // When is not kept; that it stands is all that counts.
    deletionTimestamp: isTerminating ? '1970-01-01T00:00:00Z' : undefined,
    ownerReferences:
      deployment === undefined ? undefined : [{ apiVersion: 'apps/v1', kind: 'Deployment', name: deployment }],
  };
}

function timestampOf(createdAtMs: number | undefined): string | undefined {
  return createdAtMs === undefined ? undefined : new Date(createdAtMs).toISOString();
}

function labelsOf(object: Exclude<ClusterObject, NetworkPolicy>): YamlObject | undefined {
  const isPlain = object.kind !== 'EndpointSlice' || object.service === '';
  const labels = isPlain ? object.labels : { ...object.labels, [serviceNameLabel]: object.service };
  return Object.keys(labels).length === 0 ? undefined : labels;
}

function annotationsOf(object: ClusterObject): YamlObject | undefined {
  const { location } = object;
  const sources = object.kind === 'Pod' ? object.allowedSources.map(formatCidr).join(',') : '';
  const mistake = object.kind === 'NetworkPolicy' ? object.malformed : undefined;
  if (location === undefined && sources === '' && mistake === undefined) return undefined;
  return {
    [allowedSourcesAnnotation]: sources === '' ? undefined : sources,
    [locationAnnotation]: location === undefined ? undefined : formatLocation(location),
    [mistakeAnnotation]: mistake === undefined ? undefined : formatMistake(mistake),
  };
}

function nodeBody(node: Node): YamlObject {
  const addresses = node.addresses.map((address) => ({ type: 'InternalIP', address }));
  const taints = node.leaving === true ? [{ key: leavingTaint, effect: 'NoSchedule' }] : undefined;
  return { spec: { podCIDRs: node.podCidrs.map(formatCidr), taints }, status: { addresses } };
}

function podBody(pod: Pod): YamlObject {
  const ports = pod.ports.map(({ name, port, protocol }) => ({ name, containerPort: port, protocol }));
  return {
    spec: {
      nodeName: pod.nodeName,
      serviceAccountName: pod.serviceAccount,
      hostNetwork: pod.hostNetwork ? true : undefined,
      containers: containersOf(ports),
    },
    status: {
      phase: pod.phase,
      podIPs: pod.ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: pod.ready ? 'True' : 'False' }],
    },
  };
}

/** Two containers of a pod may use one port name; in one container the API forbids it. */
function containersOf(ports: readonly { readonly name: string | undefined }[]): readonly YamlValue[] {
  const containers: { name: string; ports: YamlObject[]; names: Set<string> }[] = [];
  for (const port of ports) {
    const { name } = port;
    let place = containers.find(({ names }) => name === undefined || !names.has(name));
    // The order of ports is kept: only the last container may take another port.
    if (place === undefined || place !== containers.at(-1)) {
      place = { name: `container-${containers.length}`, ports: [], names: new Set() };
      containers.push(place);
    }
    place.ports.push({ ...port });
    if (name !== undefined) place.names.add(name);
  }
  if (containers.length === 0) return [{ name: 'container-0' }];
  return containers.map(({ name, ports: own }) => ({ name, ports: own }));
}

function serviceBody(service: Service): YamlObject {
  const { type, headless, sessionAffinitySeconds, externalTrafficPolicy } = service;
  const isExternal = type === 'NodePort' || type === 'LoadBalancer' || service.externalIps.length > 0;
  const timeout = { clientIP: { timeoutSeconds: sessionAffinitySeconds } };
  return {
    spec: {
      type,
      clusterIPs: type === 'ExternalName' ? undefined : headless ? ['None'] : service.clusterIps,
      externalName: service.externalName,
      externalIPs: unlessEmpty(service.externalIps),
      loadBalancerSourceRanges: unlessEmpty(service.loadBalancerSourceRanges.map(formatCidr)),
      ports: unlessEmpty(service.ports.map(servicePort)),
      selector: service.selector,
      externalTrafficPolicy: isExternal ? externalTrafficPolicy : undefined,
      internalTrafficPolicy: service.internalTrafficPolicy,
      healthCheckNodePort: service.healthCheckNodePort === 0 ? undefined : service.healthCheckNodePort,
      allocateLoadBalancerNodePorts: lacksNodePorts(service) ? false : undefined,
      sessionAffinity: sessionAffinitySeconds === undefined ? undefined : 'ClientIP',
      sessionAffinityConfig: sessionAffinitySeconds === undefined ? undefined : timeout,
      publishNotReadyAddresses: service.publishNotReadyAddresses ? true : undefined,
    },
    status:
      service.loadBalancerIngress.length === 0
        ? undefined
        : { loadBalancer: { ingress: service.loadBalancerIngress.map(({ ip, ipMode }) => ({ ip, ipMode })) } },
  };
}

function servicePort({ name, protocol, port, targetPort, nodePort }: Service['ports'][number]): YamlObject {
  return {
    name: name === '' ? undefined : name,
    protocol,
    port,
    targetPort,
    nodePort: nodePort === 0 ? undefined : nodePort,
  };
}

function lacksNodePorts(service: Service): boolean {
  return service.type === 'LoadBalancer' && service.ports.some(({ nodePort }) => nodePort === 0);
}

function sliceBody(slice: EndpointSlice): YamlObject {
  return {
    addressType: slice.addressType,
    ports: slice.ports.map(({ name, protocol, port }) => ({ name, protocol, port })),
    endpoints: slice.endpoints.map(endpointBody),
  };
}

function endpointBody(endpoint: Endpoint): YamlObject {
  const { addresses, ready, serving, terminating, nodeName, zone, hintZones, hintNodes, pod } = endpoint;
  const [namespace, name] = pod?.split('/') ?? [];
  const hints = {
    forZones: unlessEmpty(hintZones.map((one) => ({ name: one }))),
    forNodes: unlessEmpty(hintNodes.map((one) => ({ name: one }))),
  };
  return {
    addresses,
    conditions: { ready, serving, terminating },
    nodeName,
    zone,
    hints: hintZones.length + hintNodes.length === 0 ? undefined : hints,
    targetRef: pod === undefined ? undefined : { kind: 'Pod', namespace, name },
  };
}

function policyBody(policy: NetworkPolicy): YamlObject {
  const { isolatesIngress, isolatesEgress } = policy;
  return {
    spec: {
      podSelector: selectorBody(policy.podSelector),
      policyTypes: [...(isolatesIngress ? ['Ingress'] : []), ...(isolatesEgress ? ['Egress'] : [])],
      ingress: unlessEmpty(policy.ingress.map((rule) => ruleBody(rule, 'from'))),
      egress: unlessEmpty(policy.egress.map((rule) => ruleBody(rule, 'to'))),
    },
  };
}

function ruleBody(rule: PolicyRule, peers: 'from' | 'to'): YamlObject {
  return { [peers]: rule.peers?.map(peerBody), ports: rule.ports?.map(portBody) };
}

function peerBody(peer: PolicyPeer): YamlObject {
  if (peer.kind === 'ipBlock') {
    return { ipBlock: { cidr: formatCidr(peer.cidr), except: unlessEmpty(peer.except.map(formatCidr)) } };
  }
  const { namespaceSelector, podSelector } = peer;
  return {
    namespaceSelector: namespaceSelector === undefined ? undefined : selectorBody(namespaceSelector),
    podSelector: podSelector === undefined ? undefined : selectorBody(podSelector),
  };
}

function portBody(port: PolicyPort): YamlObject {
  const { protocol } = port;
  switch (port.kind) {
    case 'any':
      return { protocol };
    case 'named':
      return { protocol, port: port.name };
    case 'range':
      return { protocol, port: port.first, endPort: port.first === port.last ? undefined : port.last };
    default:
      return unreachable(port);
  }
}

function selectorBody({ matchLabels, matchExpressions }: NetworkPolicy['podSelector']): YamlObject {
  return {
    matchLabels: Object.keys(matchLabels).length === 0 ? undefined : matchLabels,
    matchExpressions: unlessEmpty(
      matchExpressions.map(({ key, operator, values }) => ({ key, operator, values: unlessEmpty(values) })),
    ),
  };
}

function unlessEmpty<T extends YamlValue>(values: readonly T[]): readonly T[] | undefined {
  return values.length === 0 ? undefined : values;
}
