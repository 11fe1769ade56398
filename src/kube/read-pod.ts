/** Pods, cut to what is used: of 3 KB as the API server sends them, some 300 bytes stay. */
import { allowedSourcesAnnotation, parseAllowedSources } from '../cluster/annotations.ts';
import type { ContainerPort, Labels, Pod, PodPhase } from '../cluster/objects.ts';
import type { Cidr, IpAddress } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import type { ApiObject, Json } from './api-object.ts';
import { labelsOf, listOf, numberOf, recordOf, textOf } from './api-object.ts';
import type { Reading } from './reading.ts';
import { eachOf } from './reading.ts';

const phases: readonly PodPhase[] = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'];

/** `nodeName`: of this agent; pods of other nodes keep only the ports that policies can name. Absent: all are wanted whole. */
export function readPod(object: ApiObject, reading: Reading, nodeName?: string): Pod {
  const { name, namespace, uid, metadata, json } = object;
  const spec = recordOf(json['spec']);
  const status = recordOf(json['status']);
  const node = textOf(spec['nodeName']);
  const isWhole = nodeName === undefined || node === nodeName;
  const labels = reading.share(labelsOf(metadata['labels']));
  const deployment = deploymentOf(metadata, labels);
  const ports = portsOf(spec, reading);
  return {
    kind: 'Pod',
    name,
    namespace: reading.share(namespace),
    uid,
    labels,
    serviceAccount: reading.share(textOf(spec['serviceAccountName']) ?? 'default'),
    ...(node === undefined ? {} : { nodeName: reading.share(node) }),
    hostNetwork: spec['hostNetwork'] === true,
    ips: addressesOf(status, reading),
    phase: reading.word(status['phase'], phases, 'status.phase') ?? 'Pending',
    terminating: metadata['deletionTimestamp'] !== undefined,
    // Nobody asks whether a pod of another node is ready, and a pod that flaps is no change then.
    ready: isWhole && isReady(status),
    ports: reading.share(isWhole ? ports : ports.filter((port) => port.name !== undefined)),
    ...(deployment === undefined ? {} : { deployment: reading.share(deployment) }),
    allowedSources: reading.share(allowedSourcesOf(metadata, reading)),
  };
}

/** podIPs holds podIP too; the first of each family counts. */
function addressesOf(status: Json, reading: Reading): readonly IpAddress[] {
  const list = listOf(status['podIPs']);
  const stated =
    list.length === 0
      ? eachOf([status['podIP']], (ip) => reading.ip(ip, 'status.podIP'))
      : eachOf(list, (item, index) => reading.ip(recordOf(item)['ip'], `status.podIPs[${index}].ip`));
  return stated.filter((ip, index) => stated.findIndex((other) => familyOf(other) === familyOf(ip)) === index);
}

function isReady(status: Json): boolean {
  const condition = listOf(status['conditions']).find((item) => recordOf(item)['type'] === 'Ready');
  return recordOf(condition)['status'] === 'True';
}

/** Ports of containers and of init containers that keep running. */
function portsOf(spec: Json, reading: Reading): readonly ContainerPort[] {
  const ports: ContainerPort[] = [];
  for (const list of ['containers', 'initContainers']) {
    for (const [index, item] of listOf(spec[list]).entries()) {
      const container = recordOf(item);
      if (list === 'initContainers' && container['restartPolicy'] !== 'Always') continue;
      ports.push(...containerPortsOf(container, `spec.${list}[${index}]`, reading));
    }
  }
  return ports;
}

function containerPortsOf(container: Json, path: string, reading: Reading): readonly ContainerPort[] {
  return eachOf(listOf(container['ports']), (item, index): ContainerPort | undefined => {
    const port = recordOf(item);
    const number = numberOf(port['containerPort']);
    const protocol = reading.protocol(port['protocol'], `${path}.ports[${index}].protocol`);
    const name = textOf(port['name']);
    if (number === undefined || protocol === undefined) return undefined;
    return { ...(name === undefined ? {} : { name }), port: number, protocol };
  });
}

/** A ReplicaSet's name is its Deployment's, `-` and the value of the label pod-template-hash. */
function deploymentOf(metadata: Json, labels: Labels): string | undefined {
  const hash = labels['pod-template-hash'];
  if (hash === undefined) return undefined;
  for (const item of listOf(metadata['ownerReferences'])) {
    const { kind, name } = recordOf(item);
    if (kind === 'ReplicaSet' && typeof name === 'string' && name.endsWith(`-${hash}`)) {
      return name.slice(0, -hash.length - 1);
    }
  }
  return undefined;
}

/** An exemption that cannot be read is none. */
function allowedSourcesOf(metadata: Json, reading: Reading): readonly Cidr[] {
  const text = textOf(recordOf(metadata['annotations'])[allowedSourcesAnnotation]);
  if (text === undefined) return [];
  const { cidrs, unreadable } = parseAllowedSources(text);
  const path = `metadata.annotations.${allowedSourcesAnnotation}`;
  const expected = 'is not a CIDR, expected CIDRs separated by commas; it exempts nothing';
  for (const part of unreadable) reading.problem(path, `${JSON.stringify(part)} ${expected}`);
  return cidrs;
}
