/** Where a Service can be asked on a node, and what becomes of its clients there, in words. */
import type { Service } from '../../cluster/objects.ts';
import type { IpAddress } from '../../lib/ip.ts';
import { familyName, familyOf, formatCidr, joinHostPort } from '../../lib/ip.ts';
import { addressFrontend, nodePortFrontend } from '../../service/claims.ts';
import type { NodePortOptions } from '../../service/nodeport-addresses.ts';
import { answersEverywhere, nodePortAddressesOf } from '../../service/nodeport-addresses.ts';
import type { PlannedPort } from '../../service/plan.ts';

export function frontendsOf(service: Service, port: PlannedPort, nodePorts: NodePortOptions): readonly object[] {
  const { clusterIp, externalIps, loadBalancerIps, nodePort, sourceRanges } = port;
  const internal = {
    trafficPolicy: port.internalPolicy,
    ...outcomeOf(port, port.internalPolicy, port.internal),
    ...masqueradeOf(port.masqueradeInternal),
  };
  const external = {
    trafficPolicy: port.externalPolicy,
    ...outcomeOf(port, port.externalPolicy, port.external),
    ...masqueradeOf(port.masqueradeExternal),
    ...(port.externalPolicy === 'Local' ? { fromThisNode: `all ${port.clusterEndpoints.length} endpoints` } : {}),
  };
  const ranges = sourceRanges.length === 0 ? {} : { clients: sourceRanges.map(formatCidr) };
  const at = (kind: string, ip: IpAddress, more: object): object => {
    const owner = port.yielded.get(addressFrontend(ip, port.protocol, port.port));
    return { kind, address: joinHostPort(ip, port.port), ...(owner === undefined ? more : yieldedTo(owner)) };
  };
  const outer = { ...external, ...ranges };
  return [
    at('ClusterIP', clusterIp, internal),
    ...externalIps.map((ip) => at('external IP', ip, external)),
    ...switchedOff(service, port).map((ip) => at('external IP', ip, externalIpsOff)),
    ...loadBalancerIps.map((ip) => at('load balancer', ip, outer)),
    ...proxiedIps(service, port).map((ip) => at('load balancer', ip, balancersOwn)),
    ...foreignFrontends(service, port),
    ...(nodePort === 0 ? [] : nodePortFrontends(port, nodePorts, external)),
  ];
}

const balancersOwn = { served: false, why: 'ipMode Proxy: the load balancer takes the packets itself' };

const externalIpsOff = { served: false, why: 'externalIPs are switched off (setting externalIps)' };

function switchedOff(service: Service, { family, externalIps }: PlannedPort): readonly IpAddress[] {
  return service.externalIps.filter((ip) => familyOf(ip) === family && !externalIps.includes(ip));
}

function proxiedIps({ loadBalancerIngress }: Service, { family }: PlannedPort): readonly IpAddress[] {
  return loadBalancerIngress.flatMap(({ ip, ipMode }) => (ipMode === 'Proxy' && familyOf(ip) === family ? [ip] : []));
}

/** Addresses of a family that the Service itself has none of: they are told once, by its first family. */
function foreignFrontends(service: Service, { family, port }: PlannedPort): readonly object[] {
  const { clusterIps, externalIps, loadBalancerIngress } = service;
  const families = clusterIps.map(familyOf);
  if (families[0] !== family) return [];
  const all = [
    ...externalIps.map((ip) => ({ kind: 'external IP', ip })),
    ...loadBalancerIngress.map(({ ip }) => ({ kind: 'load balancer', ip })),
  ];
  return all.flatMap(({ kind, ip }) => {
    const why = `the Service has no ${familyName(familyOf(ip))} address of its own`;
    return families.includes(familyOf(ip)) ? [] : [{ kind, address: joinHostPort(ip, port), served: false, why }];
  });
}

/** On every address of the node, or on those that nodePortAddresses chooses. */
function nodePortFrontends(port: PlannedPort, options: NodePortOptions, external: object): readonly object[] {
  const { family, protocol, nodePort } = port;
  const owner = port.yielded.get(nodePortFrontend(family, protocol, nodePort));
  const more = owner === undefined ? external : yieldedTo(owner);
  if (answersEverywhere(options, family)) return [{ kind: 'nodePort', address: `*:${nodePort}`, ...more }];
  const addresses = nodePortAddressesOf(options, family);
  if (addresses.length === 0) {
    const why = 'nodePortAddresses leaves out every address of this node';
    return [{ kind: 'nodePort', address: `*:${nodePort}`, served: false, why }];
  }
  return addresses.map((address) => ({ kind: 'nodePort', address: joinHostPort(address, nodePort), ...more }));
}

function yieldedTo(owner: string): object {
  return { served: false, why: `Service ${owner} claims it too, and has it` };
}

function outcomeOf(port: PlannedPort, policy: 'Cluster' | 'Local', reach: PlannedPort['internal']): object {
  if (reach === 'reject') return { served: false, why: 'no endpoints: clients are refused' };
  if (reach === 'drop') return { served: false, why: 'no endpoints on this node: packets are dropped' };
  const count = (policy === 'Local' ? port.localEndpoints : port.clusterEndpoints).length;
  return { served: true, endpoints: count };
}

function masqueradeOf(who: PlannedPort['masqueradeInternal'] | PlannedPort['masqueradeExternal']): object {
  const words = {
    everybody: 'everybody',
    'not-pods': 'all but pods of this node',
    node: 'this node itself',
    nobody: 'nobody',
  };
  return { masqueraded: words[who] };
}
