/** The evaluator's answer to a question in people's words: every address and every endpoint behind a Service must be allowed. */
import type { EndpointSlice, Pod, Service } from '../../src/cluster/objects.ts';
import type { Party } from '../../src/explain/names.ts';
import type { Question } from '../../src/explain/question.ts';
import { evaluate, isPoliced, type JudgedCluster, type Verdict } from './network-policy.ts';

const outsideAddresses = ['172.31.254.2', 'fd00:172:31:254::2'];

interface Target {
  readonly ip: string;
  readonly port: number;
}

export function judgeQuestion(cluster: JudgedCluster, { from, to }: Question): Verdict {
  const { state } = cluster;
  const targets = targetsOf(state, to.party, to.port);
  if (targets.length === 0) return 'denied';
  const verdicts = targets.map(({ ip, port }) => {
    const sender = senderOf(state, from, ip.includes(':'));
    const destinationPod = [...state.pods.values()].find((pod) => isPoliced(pod) && pod.ips.some((own) => own === ip));
    const pod = destinationPod === undefined ? {} : { destinationPod };
    return evaluate(cluster, { ...sender, ...pod, destinationIp: ip, port, protocol: to.protocol }).verdict;
  });
  return verdicts.includes('denied') ? 'denied' : 'allowed';
}

function targetsOf(state: JudgedCluster['state'], party: Party, port: number): readonly Target[] {
  if (party.kind === 'service') return endpointsOf(state, party.service, port);
  const addresses: readonly (string | undefined)[] =
    party.kind === 'pod'
      ? [party.pod.hostNetwork ? state.nodes.get(party.pod.nodeName ?? '')?.addresses[0] : party.pod.ips[0]]
      : party.kind === 'node'
        ? [state.nodes.get(party.name)?.addresses[0]]
        : party.kind === 'address'
          ? [party.address]
          : [outsideAddresses[0]];
  return addresses.flatMap((ip) => (ip === undefined ? [] : [{ ip, port }]));
}

function endpointsOf(state: JudgedCluster['state'], service: Service, port: number): readonly Target[] {
  const family = service.clusterIps[0]?.includes(':') === true ? 'IPv6' : 'IPv4';
  const name = service.ports.find((own) => own.port === port)?.name;
  const own = (slice: EndpointSlice): boolean =>
    slice.namespace === service.namespace && slice.service === service.name && slice.addressType === family;
  return [...state.endpointSlices.values()].filter(own).flatMap((slice) => {
    const target = slice.ports.find((candidate) => candidate.name === name)?.port;
    const ready = slice.endpoints.filter((endpoint) => endpoint.ready).flatMap((endpoint) => endpoint.addresses);
    return target === undefined ? [] : ready.map((ip) => ({ ip, port: target }));
  });
}

function senderOf(
  state: JudgedCluster['state'],
  party: Party,
  isIpv6: boolean,
): { sourceIp: string; sourcePod?: Pod; sourceNode?: string } {
  const pick = (addresses: readonly string[]): string => addresses.find((ip) => ip.includes(':') === isIpv6) ?? '';
  const nodeIp = (name: string): string => pick(state.nodes.get(name)?.addresses ?? []);
  if (party.kind === 'node') return { sourceIp: nodeIp(party.name), sourceNode: party.name };
  if (party.kind === 'outside') return { sourceIp: pick(outsideAddresses) };
  if (party.kind !== 'pod') throw new Error(`the scenarios send from pods, nodes and outside, not from ${party.kind}`);
  const { pod } = party;
  if (pod.hostNetwork) return { sourceIp: nodeIp(pod.nodeName ?? ''), sourceNode: pod.nodeName ?? '' };
  return { sourceIp: pick(pod.ips), sourcePod: pod };
}
