/** Service, checked as the API server checks it; what the cluster allots may be left out. */
import type { LoadBalancerIngress, ManifestLocation, ServicePort, ServiceType } from '../cluster/objects.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { familyName, familyOf } from '../lib/ip.ts';
import { defaultNodePorts } from './defaults.ts';
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
const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode'] as const;
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
  const stack = readFamilies(report, spec);
  const known = report.failedUnder('spec.ipFamilies') ? [] : stack.ipFamilies;
  const address = readClusterIps(report, spec, { type, ipFamilies: known });
  const service: ParsedService = {
    kind: 'Service',
    name,
    namespace,
    labels,
    type,
    ...address,
    ...stack,
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
  { type, ipFamilies }: { readonly type: ServiceType; readonly ipFamilies: readonly IpFamily[] },
): Pick<ParsedService, 'clusterIps' | 'headless'> {
  const none = { clusterIps: { values: [], whole: true } };
  const list = child(spec, 'clusterIPs');
  const texts = clusterIpTexts(report, list, child(spec, 'clusterIP'));
  if (type === 'ExternalName') return { ...none, headless: false };
  if (texts[0]?.text === 'None') return { ...none, headless: true };
  const values = texts.flatMap(({ item, text }, index) => {
    const address = text === '' ? undefined : readIp(report, item);
    if (address !== undefined) checkFamily(report, item, { address, index, stated: ipFamilies[index] });
    return address ?? [];
  });
  if (new Set(values.map(familyOf)).size < values.length) {
    report.error(list, 'two addresses of one family, expected one of each at most');
  }
  const stated: Stated<IpAddress> = { values, whole: list.tree !== undefined && values.length > 0 };
  return { clusterIps: stated, headless: false };
}

/** The list counts where it has anything; the single field then repeats its first. */
function clusterIpTexts(
  report: ObjectReport,
  list: Field,
  single: Field,
): readonly { readonly item: Field; readonly text: string }[] {
  const textOf = (item: Field) => (item.tree === undefined ? '' : (readString(report, item) ?? ''));
  const texts = readItems(report, list).map((item) => ({ item, text: textOf(item) }));
  const alone = { item: single, text: textOf(single) };
  const [first] = texts;
  if (first === undefined) return [alone];
  if (alone.text !== '' && alone.text !== first.text) {
    report.error(first.item, `${quote(first.text)} is not spec.clusterIP, expected the same address first`);
  }
  return texts;
}

/** The API server compares the two lists place by place; without this a Service would get a second address in silence. */
function checkFamily(
  report: ObjectReport,
  item: Field,
  {
    address,
    index,
    stated,
  }: { readonly address: IpAddress; readonly index: number; readonly stated: IpFamily | undefined },
): void {
  if (stated === undefined || stated === familyOf(address)) return;
  const family = familyName(stated);
  report.error(item, `${address} is not an ${family} address, expected one as spec.ipFamilies[${index}] says`);
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
): Pick<ParsedService, 'externalName' | 'selector' | 'sessionAffinitySeconds' | 'trafficDistribution'> {
  const externalName = readString(report, child(spec, 'externalName'));
  const selector = readLabels(report, child(spec, 'selector'));
  const affinity = readWord(report, child(spec, 'sessionAffinity'), ['None', 'ClientIP']);
  const timeout = descend(spec, 'sessionAffinityConfig', 'clientIP', 'timeoutSeconds');
  const seconds = readInteger(report, timeout, { what: 'a number of seconds', first: 1, last: 86_400 });
  const trafficDistribution = readWord(report, child(spec, 'trafficDistribution'), distributions);
  return {
    ...(externalName === undefined ? {} : { externalName }),
    // An empty selector is none: somebody else writes the endpoints.
    ...(Object.keys(selector).length === 0 ? {} : { selector }),
    ...(affinity === 'ClientIP' ? { sessionAffinitySeconds: seconds ?? affinityDefaultSeconds } : {}),
    ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
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
  checkStack(report, spec, service);
  checkExternal(report, spec, service, isExternal);
  checkNodePorts(report, spec, service, isExternal);
}

function checkStack(report: ObjectReport, spec: Field, service: ParsedService): void {
  if (service.ipFamilyPolicy !== 'SingleStack') return;
  const counts = { clusterIPs: service.clusterIps.values.length, ipFamilies: service.ipFamilies.length };
  const tooMany = Object.entries(counts).find(([, count]) => count > 1);
  if (tooMany === undefined) return;
  const expected = 'expected PreferDualStack or RequireDualStack';
  report.error(child(spec, 'ipFamilyPolicy'), `SingleStack, but ${tooMany[0]} has two families, ${expected}`);
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
  } else {
    checkRange(report, healthCheck, service.healthCheckNodePort);
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
    } else {
      checkRange(report, field, port.nodePort);
    }
    if (port.nodePort !== 0 && nodePorts.has(number)) report.error(field, `${number} stands twice, expected once`);
    nodePorts.add(number);
  }
}

/** A warning only: an API server may be given another range. 22 would take the port of every node's own SSH server. */
function checkRange(report: ObjectReport, field: Field, port: number): void {
  const { first, last } = defaultNodePorts;
  if (port === 0 || (port >= first && port <= last)) return;
  report.warning(field, `${port} is outside an API server's default range, expected ${first}-${last}`);
}
