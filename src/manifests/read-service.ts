/** Service, checked as the API server checks it; what the cluster allots may be left out. */
import type { LoadBalancerIngress, ManifestLocation, ServicePort, ServiceType } from '../cluster/objects.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import type { Field, ObjectReport } from './fields.ts';
import {
  checkFields,
  child,
  descend,
  quote,
  readBoolean,
  readInteger,
  readItems,
  readMap,
  readMapItems,
  readString,
  readSyntax,
  readWord,
} from './fields.ts';
import { serviceSpecFields } from './known-fields.ts';
import type { ParsedService, Stated } from './parsed.ts';
import type { Metadata } from './read-metadata.ts';
import { readAll, readCidr, readIp, readLabels, readPort, readProtocol, readUnicastIp } from './read-values.ts';
import { expectedDnsLabel, isDnsLabel } from './syntax.ts';

const types: readonly ServiceType[] = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'];
const trafficPolicies = ['Cluster', 'Local'] as const;
const familyPolicies = ['SingleStack', 'PreferDualStack', 'RequireDualStack'] as const;
const families = ['IPv4', 'IPv6'] as const;
const anyPort = { what: 'a port', first: 1, last: 65535 };
const affinityDefaultSeconds = 10_800;

export function readService(
  report: ObjectReport,
  root: Field,
  metadata: Metadata,
  location: ManifestLocation,
): ParsedService {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  const spec = child(root, 'spec');
  readMap(report, spec);
  checkFields(report, spec, serviceSpecFields);
  const { name, namespace, labels, uid, createdAtMs } = metadata;
  const type = readWord(report, child(spec, 'type'), types) ?? 'ClusterIP';
  const address = readClusterIps(report, spec, type);
  const service: ParsedService = {
    kind: 'Service',
    name,
    namespace,
    labels,
    type,
    ...address,
    ...readFamilies(report, spec),
    externalIps: readAll(report, child(spec, 'externalIPs'), readUnicastIp),
    loadBalancerIngress: readIngress(report, descend(root, 'status', 'loadBalancer', 'ingress')),
    loadBalancerSourceRanges: readSourceRanges(report, child(spec, 'loadBalancerSourceRanges')),
    ports: readServicePorts(report, child(spec, 'ports')),
    ...readPolicies(report, spec),
    ...optionalFields(report, spec),
    ...(uid === undefined ? {} : { uid }),
    ...(createdAtMs === undefined ? {} : { createdAtMs }),
    location,
  };
  checkTogether(report, spec, service);
  return service;
}

function readClusterIps(
  report: ObjectReport,
  spec: Field,
  type: ServiceType,
): Pick<ParsedService, 'clusterIps' | 'headless'> {
  const none = { clusterIps: { values: [], whole: true } };
  const list = child(spec, 'clusterIPs');
  const single = child(spec, 'clusterIP');
  const items = list.tree === undefined ? [single] : readItems(report, list);
  const texts = items.map((item) => ({ item, text: item.tree === undefined ? '' : (readString(report, item) ?? '') }));
  if (type === 'ExternalName') return { ...none, headless: false };
  if (texts[0]?.text === 'None') return { ...none, headless: true };
  const values = texts.flatMap(({ item, text }) => (text === '' ? [] : (readIp(report, item) ?? [])));
  if (new Set(values.map(familyOf)).size < values.length) {
    report.error(list, 'two addresses of one family, expected one of each at most');
  }
  const stated: Stated<IpAddress> = { values, whole: list.tree !== undefined && values.length > 0 };
  return { clusterIps: stated, headless: false };
}

function readFamilies(report: ObjectReport, spec: Field): Pick<ParsedService, 'ipFamilies' | 'ipFamilyPolicy'> {
  const stated = readAll(report, child(spec, 'ipFamilies'), (inner, item) => readWord(inner, item, families));
  const ipFamilies = stated.map((family): IpFamily => (family === 'IPv4' ? 'ipv4' : 'ipv6'));
  if (new Set(ipFamilies).size < ipFamilies.length)
    report.error(child(spec, 'ipFamilies'), 'one family twice, expected once');
  const ipFamilyPolicy = readWord(report, child(spec, 'ipFamilyPolicy'), familyPolicies);
  return { ipFamilies, ...(ipFamilyPolicy === undefined ? {} : { ipFamilyPolicy }) };
}

function readIngress(report: ObjectReport, field: Field): readonly LoadBalancerIngress[] {
  return readMapItems(report, field).flatMap((item) => {
    const ip = readIp(report, child(item, 'ip'));
    const ipMode = readWord(report, child(item, 'ipMode'), ['VIP', 'Proxy']) ?? 'VIP';
    return ip === undefined ? [] : [{ ip, ipMode }];
  });
}

/** The API server trims spaces here. */
function readSourceRanges(report: ObjectReport, field: Field): readonly Cidr[] {
  return readAll(report, field, (inner, item) => {
    const trimmed =
      item.tree?.kind === 'scalar' && typeof item.tree.value === 'string' ? item.tree.value.trim() : undefined;
    const tree = trimmed === undefined || item.tree === undefined ? {} : { tree: { ...item.tree, value: trimmed } };
    return readCidr(inner, { ...item, ...tree });
  });
}

function readServicePorts(report: ObjectReport, field: Field): readonly ServicePort[] {
  const items = readMapItems(report, field);
  const names = new Set<string>();
  const numbers = new Set<string>();
  return items.flatMap((item) => {
    const port = readServicePort(report, item);
    const nameField = child(item, 'name');
    if (port === undefined) return [];
    if (port.name === '' && items.length > 1)
      report.error(nameField, 'missing, expected a name: there are several ports');
    if (port.name !== '' && names.has(port.name)) {
      report.error(nameField, `${quote(port.name)} names another port too, expected a name of its own`);
    }
    const number = `${port.port}/${port.protocol}`;
    if (numbers.has(number)) report.error(child(item, 'port'), `${number} stands twice, expected once`);
    names.add(port.name);
    numbers.add(number);
    return [port];
  });
}

function readServicePort(report: ObjectReport, item: Field): ServicePort | undefined {
  checkFields(report, item, ['name', 'protocol', 'appProtocol', 'port', 'targetPort', 'nodePort']);
  const label = { accepts: isDnsLabel, what: 'a port name', expected: expectedDnsLabel };
  const name = readSyntax(report, child(item, 'name'), label) ?? '';
  const protocol = readProtocol(report, child(item, 'protocol'));
  const portField = child(item, 'port');
  if (portField.tree === undefined) return report.error(portField, 'missing, expected 1-65535');
  const port = readInteger(report, portField, anyPort);
  const targetField = child(item, 'targetPort');
  const isUnset =
    targetField.tree?.kind === 'scalar' && (targetField.tree.value === 0 || targetField.tree.value === '');
  const targetPort = isUnset ? undefined : readPort(report, targetField);
  const nodePort = readInteger(report, child(item, 'nodePort'), { what: 'a port', first: 0, last: 65535 }) ?? 0;
  if (protocol === undefined || port === undefined) return undefined;
  return { name, protocol, port, targetPort: targetPort ?? port, nodePort };
}

function readPolicies(
  report: ObjectReport,
  spec: Field,
): Pick<
  ParsedService,
  | 'externalTrafficPolicy'
  | 'internalTrafficPolicy'
  | 'healthCheckNodePort'
  | 'publishNotReadyAddresses'
  | 'allocateNodePorts'
> {
  const healthCheck = { what: 'a port', first: 0, last: 65535 };
  return {
    externalTrafficPolicy: readWord(report, child(spec, 'externalTrafficPolicy'), trafficPolicies) ?? 'Cluster',
    internalTrafficPolicy: readWord(report, child(spec, 'internalTrafficPolicy'), trafficPolicies) ?? 'Cluster',
    healthCheckNodePort: readInteger(report, child(spec, 'healthCheckNodePort'), healthCheck) ?? 0,
    publishNotReadyAddresses: readBoolean(report, child(spec, 'publishNotReadyAddresses')) ?? false,
    allocateNodePorts: readBoolean(report, child(spec, 'allocateLoadBalancerNodePorts')) ?? true,
  };
}

function optionalFields(
  report: ObjectReport,
  spec: Field,
): Pick<ParsedService, 'externalName' | 'selector' | 'sessionAffinitySeconds'> {
  const externalName = readString(report, child(spec, 'externalName'));
  const selector = readLabels(report, child(spec, 'selector'));
  const affinity = readWord(report, child(spec, 'sessionAffinity'), ['None', 'ClientIP']);
  const timeout = descend(spec, 'sessionAffinityConfig', 'clientIP', 'timeoutSeconds');
  const seconds = readInteger(report, timeout, { what: 'a number of seconds', first: 1, last: 86_400 });
  return {
    ...(externalName === undefined ? {} : { externalName }),
    // An empty selector is none: somebody else writes the endpoints.
    ...(Object.keys(selector).length === 0 ? {} : { selector }),
    ...(affinity === 'ClientIP' ? { sessionAffinitySeconds: seconds ?? affinityDefaultSeconds } : {}),
  };
}

/** What must fit together. */
function checkTogether(report: ObjectReport, spec: Field, service: ParsedService): void {
  const { type, headless, ports } = service;
  const isExternal = type === 'NodePort' || type === 'LoadBalancer';
  const portsField = child(spec, 'ports');
  if (ports.length === 0 && !report.failedUnder(portsField.path) && !headless && type !== 'ExternalName') {
    report.error(portsField, 'missing, expected at least one port');
  }
  if (type === 'ExternalName' && (service.externalName ?? '') === '') {
    report.error(child(spec, 'externalName'), 'missing, expected a DNS name for type ExternalName');
  }
  if (headless && isExternal) report.error(child(spec, 'clusterIP'), `None, expected an address for type ${type}`);
  checkExternal(report, spec, service, isExternal);
  checkNodePorts(report, spec, service, isExternal);
}

function checkExternal(report: ObjectReport, spec: Field, service: ParsedService, isExternal: boolean): void {
  const policy = child(spec, 'externalTrafficPolicy');
  if (policy.tree !== undefined && !isExternal && service.externalIps.length === 0) {
    report.error(policy, `set for type ${service.type}, expected only with NodePort, LoadBalancer or externalIPs`);
  }
  const healthCheck = child(spec, 'healthCheckNodePort');
  const hasHealthCheck = service.type === 'LoadBalancer' && service.externalTrafficPolicy === 'Local';
  if (service.healthCheckNodePort !== 0 && !hasHealthCheck) {
    report.error(healthCheck, 'set, expected only with type LoadBalancer and externalTrafficPolicy Local');
  }
  const ranges = child(spec, 'loadBalancerSourceRanges');
  if (service.loadBalancerSourceRanges.length > 0 && service.type !== 'LoadBalancer') {
    report.error(ranges, `set for type ${service.type}, expected only with LoadBalancer`);
  }
}

function checkNodePorts(report: ObjectReport, spec: Field, service: ParsedService, isExternal: boolean): void {
  const nodePorts = new Set<string>();
  for (const [index, port] of service.ports.entries()) {
    const field = child({ path: `${spec.path}.ports[${index}]`, line: child(spec, 'ports').line }, 'nodePort');
    const number = `${port.nodePort}/${port.protocol}`;
    if (port.nodePort !== 0 && !isExternal) {
      report.error(field, `set for type ${service.type}, expected only with NodePort or LoadBalancer`);
    }
    if (port.nodePort !== 0 && nodePorts.has(number)) report.error(field, `${number} stands twice, expected once`);
    nodePorts.add(number);
  }
}
