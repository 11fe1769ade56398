/** Which of a node's addresses answer on nodePorts (kube-proxy.md 1.5, 2.6, 2.8). */
import { type Cidr, cidrContains, familyOf, type IpAddress, type IpFamily, knownCidr, knownIp } from '../lib/ip.ts';
import type { ServiceOptions } from './options.ts';

/** What decides where nodePorts answer. */
export type NodePortOptions = Pick<ServiceOptions, 'nodePortAddresses' | 'localhostNodePorts' | 'nodeAddresses'>;

type Choice = Pick<ServiceOptions, 'nodePortAddresses' | 'localhostNodePorts'>;

/** No CIDR of this family chooses all addresses, as a /0 does. */
export function answersEverywhere({ nodePortAddresses }: Choice, family: IpFamily): boolean {
  const cidrs = nodePortAddresses.filter((cidr) => cidr.family === family);
  return cidrs.length === 0 || cidrs.some(({ prefixLength }) => prefixLength === 0);
}

/** nodePorts answer on 127.0.0.1, which needs sysctl route_localnet; on ::1 they never do. */
export function answersOnLocalhost(choice: Choice): boolean {
  return choice.localhostNodePorts && isChosen(choice, localhost);
}

/** The addresses of a family that nodePorts answer on; localhost is the last. */
export function nodePortAddressesOf(choice: NodePortOptions, family: IpFamily): readonly IpAddress[] {
  const own = choice.nodeAddresses.filter((address) => familyOf(address) === family);
  const chosen = own.filter((address) => !cidrContains(loopbackOf(family), address) && isChosen(choice, address));
  const last = family === 'ipv4' && answersOnLocalhost(choice) ? [localhost] : [];
  return [...new Set([...chosen, ...last])];
}

export function loopbackOf(family: IpFamily): Cidr {
  return loopbacks[family];
}

function isChosen(choice: Choice, address: IpAddress): boolean {
  if (answersEverywhere(choice, familyOf(address))) return true;
  return choice.nodePortAddresses.some((cidr) => cidrContains(cidr, address));
}

const localhost: IpAddress = knownIp('127.0.0.1');

const loopbacks: Readonly<Record<IpFamily, Cidr>> = {
  ipv4: knownCidr('127.0.0.0/8'),
  ipv6: knownCidr('::1/128'),
};
