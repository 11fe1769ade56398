/** Pod and Deployment: identity, labels, ports, and what a running cluster would have written into the status. */
import type { ContainerPort, ManifestLocation, Pod, PodPhase } from '../cluster/objects.ts';
import { allowedSourcesAnnotation, parseAllowedSources } from '../cluster/annotations.ts';
import { matchesSelector } from '../cluster/selector.ts';
import type { Cidr, IpAddress } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import type { Field, ObjectReport } from './fields.ts';
import {
  checkFields,
  child,
  descend,
  quote,
  readBoolean,
  readInteger,
  readMap,
  readMapItems,
  readString,
  readSyntax,
  readWord,
} from './fields.ts';
import type { ParsedDeployment, ParsedPod, PodTemplate, Stated } from './parsed.ts';
import { containerFields, podSpecFields } from './known-fields.ts';
import type { Metadata } from './read-metadata.ts';
import { readIp, readLabels, readProtocol, readSelector } from './read-values.ts';
import { expectedDnsSubdomain, expectedPortName, isDnsSubdomain, isPortName } from './syntax.ts';

const phases: readonly PodPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];
const replicaLimit = 10_000;

export function readPod(report: ObjectReport, root: Field, metadata: Metadata, location: ManifestLocation): ParsedPod {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  const { name, namespace, labels, annotations, terminating, uid, deployment } = metadata;
  const status = child(root, 'status');
  readMap(report, status);
  const phase = readWord(report, child(status, 'phase'), phases) ?? 'Running';
  return {
    kind: 'Pod',
    name,
    namespace,
    ...readTemplate(report, child(root, 'spec'), { labels, annotations }),
    ips: readPodIps(report, status),
    phase,
    terminating,
    ready: readReady(report, child(status, 'conditions')) ?? phase === 'Running',
    ...(uid === undefined ? {} : { uid }),
    ...(deployment === undefined ? {} : { deployment }),
    location,
  };
}

export function readDeployment(
  report: ObjectReport,
  root: Field,
  metadata: Metadata,
  location: ManifestLocation,
): ParsedDeployment {
  checkFields(report, root, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
  const spec = child(root, 'spec');
  readMap(report, spec);
  checkFields(report, spec, [
    'replicas',
    'selector',
    'template',
    'strategy',
    'minReadySeconds',
    'revisionHistoryLimit',
    'paused',
    'progressDeadlineSeconds',
  ]);
  const range = { what: 'a number of replicas', first: 0, last: replicaLimit };
  const replicas = readInteger(report, child(spec, 'replicas'), range) ?? 1;
  const template = child(spec, 'template');
  readMap(report, template);
  checkFields(report, template, ['metadata', 'spec']);
  const labels = readLabels(report, descend(template, 'metadata', 'labels'));
  const annotations = descend(template, 'metadata', 'annotations');
  checkDeploymentSelector(report, spec, labels);
  const { name, namespace, uid } = metadata;
  return {
    kind: 'Deployment',
    name,
    namespace,
    replicas,
    template: readTemplate(report, child(template, 'spec'), { labels, annotations }),
    ...(uid === undefined ? {} : { uid }),
    location,
  };
}

function checkDeploymentSelector(report: ObjectReport, spec: Field, labels: Pod['labels']): void {
  const field = child(spec, 'selector');
  const selector = readSelector(report, field, 'warning');
  if (field.tree === undefined) report.error(field, 'missing, expected a selector of the labels of the template');
  if (selector === undefined || report.failedUnder(field.path)) return;
  if (matchesSelector(selector, labels)) return;
  report.error(field, 'does not select the labels of spec.template, expected it to');
}

function readTemplate(
  report: ObjectReport,
  spec: Field,
  metadata: { readonly labels: Pod['labels']; readonly annotations: Field },
): PodTemplate {
  readMap(report, spec);
  checkFields(report, spec, podSpecFields);
  const name = { accepts: isDnsSubdomain, what: 'a name', expected: expectedDnsSubdomain };
  const nodeName = readSyntax(report, child(spec, 'nodeName'), name);
  const account = readSyntax(report, child(spec, 'serviceAccountName'), name);
  const oldAccount = readSyntax(report, child(spec, 'serviceAccount'), name);
  return {
    labels: metadata.labels,
    serviceAccount: account ?? oldAccount ?? 'default',
    ...(nodeName === undefined ? {} : { nodeName }),
    hostNetwork: readBoolean(report, child(spec, 'hostNetwork')) ?? false,
    ports: readPorts(report, spec),
    allowedSources: readAllowedSources(report, child(metadata.annotations, allowedSourcesAnnotation)),
  };
}

/** Ports of containers and of init containers that keep running. */
function readPorts(report: ObjectReport, spec: Field): readonly ContainerPort[] {
  const containers = readMapItems(report, child(spec, 'containers'));
  const initContainers = readMapItems(report, child(spec, 'initContainers'));
  for (const container of [...containers, ...initContainers]) checkFields(report, container, containerFields);
  const sidecars = initContainers.filter(
    (container) => readString(report, child(container, 'restartPolicy')) === 'Always',
  );
  return [...containers, ...sidecars].flatMap((container) => readContainerPorts(report, child(container, 'ports')));
}

function readContainerPorts(report: ObjectReport, field: Field): readonly ContainerPort[] {
  const names = new Set<string>();
  return readMapItems(report, field).flatMap((item) => {
    checkFields(report, item, ['name', 'containerPort', 'protocol', 'hostPort', 'hostIP']);
    const syntax = { accepts: isPortName, what: 'a port name', expected: expectedPortName };
    const nameField = child(item, 'name');
    const name = readSyntax(report, nameField, syntax);
    const portField = child(item, 'containerPort');
    const port = readInteger(report, portField, { what: 'a port', first: 1, last: 65535 });
    const protocol = readProtocol(report, child(item, 'protocol'));
    if (portField.tree === undefined) report.error(portField, 'missing, expected 1-65535');
    if (name !== undefined && names.has(name)) {
      report.error(nameField, `${quote(name)} names another port of this container, expected a name of its own`);
    }
    if (name !== undefined) names.add(name);
    if (port === undefined || protocol === undefined) return [];
    return [{ ...(name === undefined ? {} : { name }), port, protocol }];
  });
}

/** An exemption that cannot be read is none; the pod itself is not harmed by it. */
function readAllowedSources(report: ObjectReport, field: Field): readonly Cidr[] {
  if (field.tree?.kind !== 'scalar' || typeof field.tree.value !== 'string') return [];
  const { cidrs, unreadable } = parseAllowedSources(field.tree.value);
  for (const text of unreadable) {
    report.warning(field, `${quote(text)} is not a CIDR, expected CIDRs separated by commas; it exempts nothing`);
  }
  return cidrs;
}

function readPodIps(report: ObjectReport, status: Field): Stated<IpAddress> {
  const list = child(status, 'podIPs');
  if (list.tree === undefined) {
    const single = readIp(report, child(status, 'podIP'));
    return { values: single === undefined ? [] : [single], whole: false };
  }
  const values = readMapItems(report, list).flatMap((item) => readIp(report, child(item, 'ip')) ?? []);
  const families = new Set(values.map(familyOf));
  if (families.size < values.length) report.error(list, 'two addresses of one family, expected one of each at most');
  return { values, whole: true };
}

function readReady(report: ObjectReport, conditions: Field): boolean | undefined {
  for (const condition of readMapItems(report, conditions)) {
    if (readString(report, child(condition, 'type')) !== 'Ready') continue;
    return readWord(report, child(condition, 'status'), ['True', 'False', 'Unknown']) === 'True';
  }
  return undefined;
}
