/** /etc/hosts of a lab: what cluster DNS would answer. Pure. */
import { hasEnded, keyOf } from '../cluster/objects.ts';
import { dnsAnswer } from '../cluster/service-names.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';

interface Entry {
  readonly address: IpAddress;
  readonly names: readonly string[];
}

/** For pods of `namespace`, or with full names alone for nodes and the outside client. A Service's name goes before a pod's. */
export function hostsText(state: ClusterState, families: readonly IpFamily[], namespace?: string): string {
  const entries = [...serviceEntries(state, namespace), ...podEntries(state, namespace), ...nodeEntries(state)];
  const usable = entries.filter(({ address }) => families.includes(familyOf(address)));
  const lines = usable.map(({ address, names }) => `${address}\t${names.join(' ')}`);
  return ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost', ...lines, ''].join('\n');
}

/** A name server that nothing can be sent to: what the hosts file does not know fails at once, even in a pod that serves port 53. */
export function resolvText(namespace?: string): string {
  const search = ['svc.cluster.local', 'cluster.local'];
  const own = namespace === undefined ? [] : [`${namespace}.svc.cluster.local`];
  return `search ${[...own, ...search].join(' ')}\nnameserver 255.255.255.255\noptions timeout:1 attempts:1\n`;
}

function serviceEntries(state: ClusterState, namespace: string | undefined): readonly Entry[] {
  return sorted(state.services).flatMap((service) => {
    const base = [service.name, service.namespace];
    const full = [`${base.join('.')}.svc.cluster.local`, `${base.join('.')}.svc`, base.join('.')];
    const names = service.namespace === namespace ? [service.name, ...full] : full;
    return dnsAnswer(state, service).addresses.map((address) => ({ address, names }));
  });
}

function podEntries(state: ClusterState, namespace: string | undefined): readonly Entry[] {
  return sorted(state.pods)
    .filter((pod) => !hasEnded(pod))
    .flatMap((pod) => {
      const isShadowed = state.services.has(keyOf(pod));
      const full = isShadowed ? [] : [`${pod.name}.${pod.namespace}`];
      const names = pod.namespace === namespace && !isShadowed ? [pod.name, ...full] : full;
      return names.length === 0 ? [] : pod.ips.map((address) => ({ address, names }));
    });
}

function nodeEntries(state: ClusterState): readonly Entry[] {
  return sorted(state.nodes).flatMap((node) => node.addresses.map((address) => ({ address, names: [node.name] })));
}

function sorted<T>(objects: ReadonlyMap<string, T>): readonly T[] {
  return [...objects.entries()].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, object]) => object);
}
