/** Names of kernel objects, made exactly as Calico (<= v3.27) and kube-proxy make them. */
import { createHash } from 'node:crypto';
import type { Brand } from '../lib/brand.ts';
import { type Cidr, formatCidr, type IpFamily } from '../lib/ip.ts';

export type ChainName = Brand<'ChainName'>;
export type IpSetName = Brand<'IpSetName'>;

/** The kernel's XT_EXTENSION_MAXNAMELEN (29), less the NUL. */
export const chainNameLimit = 28;
/** IPSET_MAXNAMELEN (32), less the NUL. */
export const ipSetNameLimit = 31;

/** `cali-pi-<id>`: the ingress half of one policy (felix.md 1.1). `id` is `<ns>/knp.default.<name>`. */
export function policyIngressChain(id: string): ChainName {
  return limitedName('cali-pi-', id);
}

/** `cali-po-<id>`: the egress half of one policy. */
export function policyEgressChain(id: string): ChainName {
  return limitedName('cali-po-', id);
}

/** `cali-pri-<profile>`, profile `kns.<namespace>` or `ksa.<namespace>.<serviceaccount>`. */
export function profileIngressChain(profile: string): ChainName {
  return limitedName('cali-pri-', profile);
}

/** `cali-pro-<profile>` */
export function profileEgressChain(profile: string): ChainName {
  return limitedName('cali-pro-', profile);
}

/** `cali-tw-<interface>`: packets to the workload. */
export function toWorkloadChain(interfaceName: string): ChainName {
  return limitedName('cali-tw-', interfaceName);
}

/** `cali-fw-<interface>`: packets from the workload. */
export function fromWorkloadChain(interfaceName: string): ChainName {
  return limitedName('cali-fw-', interfaceName);
}

/** `cali-src-<interface>`: which source addresses a pod may use (ours, not Calico's). */
export function sourceCheckChain(interfaceName: string): ChainName {
  return limitedName('cali-src-', interfaceName);
}

/** `cali-to-10.88.0.16/28`: the part of a dispatch by address that serves one network; long IPv6 networks are hashed. */
export function addressBucketChain(prefix: 'cali-to-' | 'cali-from-' | 'cali-self-', network: Cidr): ChainName {
  return limitedName(prefix, formatCidr(network));
}

/** The id that Calico <= v3.28 gives a Kubernetes NetworkPolicy. */
export function policyId(namespace: string, name: string): string {
  return `${namespace}/knp.default.${name}`;
}

/** Calico's host-side veth name of a pod: `cali` and 11 hex digits of SHA-1("<namespace>.<pod>"). */
export function vethName(namespace: string, pod: string): string {
  return `cali${createHash('sha1').update(`${namespace}.${pod}`).digest('hex').slice(0, 11)}`;
}

/** A chain whose name is fixed text of ours; throws when the kernel would refuse it. */
export function chainName(name: string): ChainName {
  if (name.length > chainNameLimit) throw new Error(`chain name longer than ${chainNameLimit}: ${name}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one constructor of the brand
  return name as ChainName;
}

/** The set of a selector: `s:` and its hash (felix.md 1.4). `selector` is in normal form. */
export function selectorSetName(selector: string, family: IpFamily): IpSetName {
  return setName(`s:${shortDigest(`s:${selector}`)}`, family);
}

/** The set of a named port of the pods that a selector matches. `protocol` is lower case. */
export function namedPortSetName(selector: string, protocol: string, port: string, family: IpFamily): IpSetName {
  const selectorId = `s:${shortDigest(`s:${selector}`)}`;
  return setName(`n:${shortDigest(`n:${selectorId},${protocol},${port}`)}`, family);
}

/** Addresses of the pods of this node whose chains are in. */
export function programmedSetName(family: IpFamily): IpSetName {
  return setName('programmed', family);
}

/** `cali40<id>` or `cali60<id>`, cut at the kernel's limit. */
export function setName(id: string, family: IpFamily): IpSetName {
  const name = `cali${family === 'ipv4' ? '4' : '6'}0${id}`.slice(0, ipSetNameLimit);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one constructor of the brand
  return name as IpSetName;
}

/** Temporary set number `index`, swapped with the real one when type or size changes. */
export function temporarySetName(index: number, family: IpFamily): IpSetName {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one other constructor of the brand
  return `cali${family === 'ipv4' ? '4' : '6'}t${index}` as IpSetName;
}

const plainName = /^[\w./:-]+$/;

function shortDigest(text: string): string {
  return createHash('sha224').update(text).digest('base64url');
}

/**
 * A leading `_` marks a hashed id, so an id that starts with one and just fits is hashed too; so is one with characters that no
 * name in Kubernetes has: whoever made it, it must not end a word of a rule.
 */
function limitedName(prefix: string, id: string): ChainName {
  const suffix = id === '' ? '_' : id;
  const room = chainNameLimit - prefix.length;
  const fits = suffix.length < room || (suffix.length === room && !suffix.startsWith('_'));
  if (fits && plainName.test(suffix)) return chainName(prefix + suffix);
  const digest = createHash('sha256').update(suffix).digest('base64url');
  return chainName(`${prefix}_${digest.slice(0, room - 1)}`);
}
