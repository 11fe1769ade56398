/** Where Sluice differs from kube-proxy on purpose: each with its reason, and counted, never passed over in silence. */
import type { IpFamily } from '../../src/lib/ip.ts';
import { cidrContains, familyName, parseCidr, parseIp } from '../../src/lib/ip.ts';
import type { ApiService, ApiSlice, ServiceCase, TestCluster } from './api-objects.ts';
import type { Difference } from './compare-outcomes.ts';
import { kindOf } from './compare-outcomes.ts';
import { noSuchChain } from './compare-rules.ts';
import { nodeName, serviceCidrs } from './topology.ts';

interface KnownDifference {
  readonly name: string;
  /** Where it is written down for people. */
  readonly reason: string;
  readonly covers: (difference: Difference, cluster: TestCluster) => boolean;
}

export const knownDifferences: readonly KnownDifference[] = [
  {
    name: 'canary chains',
    reason:
      'docs/conformance.md: flushed rules are found by events and by comparison, not by an empty chain that is gone',
    covers: ({ kind, what, kubeProxy }) =>
      kind === 'rules' && what.endsWith(' KUBE-PROXY-CANARY') && kubeProxy.length === 0,
  },
  {
    name: 'nfacct counters',
    reason:
      'docs/conformance.md: kube-proxy counts two kinds of packets by nfacct, which most kernels lack; the rules do the same',
    covers: ({ kind, kubeProxy, sluice }) => {
      if (kind !== 'rules' || !kubeProxy.every((rule) => rule.includes('--nfacct-name'))) return false;
      // A rule that is there for its counter alone stands above one that does the same for all addresses.
      const rest = kubeProxy.filter((rule) => !rule.includes('localhost_nps_accepted_pkts'));
      return kubeProxy.length > 0 && rest.map(withoutCounter).toSorted().join('\n') === sluice.toSorted().join('\n');
    },
  },
  {
    name: 'empty KUBE-FIREWALL',
    reason:
      'docs/conformance.md: kube-proxy makes the chain and jumps to it also where it has no rule (IPv6, no node ports on localhost)',
    covers: ({ kind, what, kubeProxy, sluice }) => {
      if (kind !== 'rules') return false;
      // A rule in the chain itself would be a difference of its own.
      if (what.endsWith(' filter KUBE-FIREWALL')) return kubeProxy.length === 0 && sluice.join() === noSuchChain;
      const isHook = what.endsWith(' filter INPUT') || what.endsWith(' filter OUTPUT');
      return isHook && kubeProxy.join() === '-j KUBE-FIREWALL' && sluice.length === 0;
    },
  },
  {
    name: 'ClusterIPs that nobody has',
    reason:
      'docs/dataplane.md: what is still addressed to a ServiceCIDR is dropped, as by the nftables mode of kube-proxy; its iptables mode sends it on',
    covers: ({ kind, what, kubeProxy, sluice, asked }) => {
      if (kind === 'rules') {
        const isLast = what.endsWith(' filter KUBE-SERVICES') && kubeProxy.length === 0;
        return isLast && sluice.every((rule) => rule.includes('unallocated cluster IPs'));
      }
      if (asked === undefined || !serviceCidrs.some((cidr) => isInside(asked.probe.to, cidr))) return false;
      const { probe, outcomes } = asked;
      return kindOf(probe, outcomes.kubeProxy) === 'passed by' && kindOf(probe, outcomes.sluice) === 'drop';
    },
  },
  {
    name: 'health checks of ports that lead nowhere',
    reason:
      'docs/conformance.md: a balancer is told of endpoints that some port of the Service reaches; kube-proxy counts those of every port of the slices',
    covers: ({ kind, kubeProxy, sluice, asked, service }, cluster) => {
      const found = cluster.cases.find((one) => one.service.metadata.name === service);
      if (kind !== 'packets' || asked?.probe.what !== 'health check' || found === undefined) return false;
      const { family } = asked.probe;
      const [all, own] = [localReady(found, family, () => true), localReady(found, family, fits(found.service))];
      return kubeProxy.join() === `${all} healthy` && sluice.join() === `${own} healthy`;
    },
  },
];

/** Distinct ready addresses on the node under test, of slices that have a port which `isCounted`. */
function localReady(
  { slices }: ServiceCase,
  family: IpFamily,
  isCounted: (port: ApiSlice['ports'][number]) => boolean,
): number {
  const counted = slices.filter(
    ({ addressType, metadata, ports }) =>
      addressType === familyName(family) &&
      metadata.labels?.['kubernetes.io/service-name'] !== undefined &&
      metadata.labels['service.kubernetes.io/headless'] === undefined &&
      ports.some((port) => port.port !== undefined && isCounted(port)),
  );
  const here = counted.flatMap(({ endpoints }) =>
    endpoints.filter((endpoint) => endpoint.nodeName === nodeName && endpoint.conditions?.ready !== false),
  );
  return new Set(here.map(({ addresses }) => addresses[0])).size;
}

function fits({ spec }: ApiService): (port: ApiSlice['ports'][number]) => boolean {
  return (port) =>
    (spec.ports ?? []).some(({ name = '', protocol }) => name === (port.name ?? '') && protocol === port.protocol);
}

function isInside(address: string, cidr: string): boolean {
  const [ip, network] = [parseIp(address), parseCidr(cidr)];
  return ip !== undefined && network !== undefined && cidrContains(network, ip);
}

function withoutCounter(rule: string): string {
  return rule.replace(/ ?--nfacct-name \S+/, '').trim();
}

/** The reason why a difference is no mistake; undefined where it is one. */
export function whyByDesign(difference: Difference, cluster: TestCluster): string | undefined {
  return knownDifferences.find(({ covers }) => covers(difference, cluster))?.name;
}
