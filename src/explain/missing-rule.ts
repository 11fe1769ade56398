/** The rule that a policy would need to allow a packet, as YAML that can be pasted below `spec:`. */
import { stringify } from 'yaml';
import type { Labels, Pod } from '../cluster/objects.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import { bitsOf } from '../lib/ip.ts';
import type { Direction } from '../policy/plan.ts';
import type { ClusterModel } from './cluster-model.ts';

export function missingRuleYaml(
  model: ClusterModel,
  direction: Direction,
  packet: Packet,
  policyNamespace: string,
): string {
  const peer = peerOf(model, direction === 'ingress' ? packet.source : packet.destination, policyNamespace);
  const ports = [{ protocol: String(packet.protocol).toUpperCase(), port: packet.destinationPort }];
  const rule = direction === 'ingress' ? { from: [peer], ports } : { to: [peer], ports };
  return stringify({ [direction]: [rule] }, { lineWidth: 0 });
}

function peerOf(model: ClusterModel, address: Packet['source'], policyNamespace: string): object {
  const owner = model.ownerOf(address);
  if (owner?.kind !== 'pod')
    return { ipBlock: { cidr: `${address}/${bitsOf(address.includes(':') ? 'ipv6' : 'ipv4')}` } };
  const podSelector = selectorOf(owner.pod);
  if (owner.pod.namespace === policyNamespace) return { podSelector };
  const matchLabels = { 'kubernetes.io/metadata.name': owner.pod.namespace };
  return { namespaceSelector: { matchLabels }, podSelector };
}

/** By the labels that people gave. */
function selectorOf({ labels }: Pod): object {
  const own: Labels = Object.fromEntries(Object.entries(labels).filter(([key]) => !isMachineLabel(key)));
  return Object.keys(own).length === 0 ? {} : { matchLabels: own };
}

/** Labels that controllers add: another pod of the same workload has other values. */
const machineLabels: ReadonlySet<string> = new Set([
  'pod-template-hash',
  'controller-revision-hash',
  'pod-template-generation',
  'controller-uid',
  'job-name',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
]);

function isMachineLabel(key: string): boolean {
  return machineLabels.has(key) || key.startsWith('batch.kubernetes.io/');
}
