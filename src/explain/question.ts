/** A question in people's words, made into connections between addresses. */
import type { Pod, Service } from '../cluster/objects.ts';
import { hasEnded, keyOf } from '../cluster/objects.ts';
import type { DnsAnswer } from '../cluster/service-names.ts';
import { dnsAnswer } from '../cluster/service-names.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { familyName, familyOf } from '../lib/ip.ts';
import type { ClusterModel } from './cluster-model.ts';
import type { Connection, Origin } from './journey.ts';
import type { NameContext, Parsed, Party, Target } from './names.ts';
import { nameOfParty, parseParty, parseTarget } from './names.ts';

export interface Question {
  readonly from: Party;
  readonly to: Target;
  /** Absent: the destination's first that both ends have. */
  readonly family?: IpFamily;
}

/** `from` as in `parseParty`, `to` as in `parseTarget`. A Service begins no connection. */
export function parseQuestion(from: string, to: string, context: NameContext): Parsed<Question> {
  const client = parseParty(from, context);
  if (!client.ok) return client;
  if (client.value.kind === 'service') {
    return { ok: false, message: `${nameOfParty(client.value)} cannot begin a connection: name one of its pods` };
  }
  const target = parseTarget(to, context);
  if (!target.ok) return target;
  const { family } = context;
  return { ok: true, value: { from: client.value, to: target.value, ...(family === undefined ? {} : { family }) } };
}

export type Resolved =
  /** Several for a headless Service: the client takes one of the addresses that the name has. */
  { readonly kind: 'connections'; readonly connections: readonly Connection[] } | Impossible;

/** No packet can be sent. */
export interface Impossible {
  readonly kind: 'impossible';
  readonly how: 'unknown-address' | 'no-endpoint';
  readonly reason: string;
}

/** Who talks to which address. Of two families the one that is asked about, else the destination's first that both have. */
export function resolveQuestion(model: ClusterModel, { from, to, family }: Question): Resolved {
  const known = addressesOf(model, to.party);
  if ('kind' in known) return known;
  const targets = family === undefined ? known : known.filter((address) => familyOf(address) === family);
  if (family !== undefined && targets.length === 0)
    return impossible(`${nameOfParty(to.party)} has no ${familyName(family)} address`);
  const connections: Connection[] = [];
  let missing: Impossible | undefined;
  for (const address of targets) {
    const origin = originOf(model, from, familyOf(address));
    if (origin.kind !== 'impossible') {
      connections.push({ from: origin, to: address, port: to.port, protocol: to.protocol });
    } else missing ??= origin;
  }
  if (connections.length === 0) return missing ?? impossible(`nothing is known of ${nameOfParty(to.party)}`);
  const isChoice = to.party.kind === 'service' && isHeadless(dnsAnswer(model.state, to.party.service));
  return { kind: 'connections', connections: isChoice ? connections : connections.slice(0, 1) };
}

/** A pod's condition, where it keeps packets from it. */
export function whyUnreachable(pod: Pod): string | undefined {
  const name = `pod ${pod.namespace}/${pod.name}`;
  if (hasEnded(pod)) return `${name} has ended (${pod.phase}): its address is not its own any more`;
  if (pod.nodeName === undefined) return `${name} is not on a node yet`;
  if (pod.ips.length === 0 && !pod.hostNetwork) return `${name} has no address yet`;
  return undefined;
}

/** In order of preference; never empty. */
function addressesOf(model: ClusterModel, party: Party): readonly IpAddress[] | Impossible {
  switch (party.kind) {
    case 'pod':
      return podAddresses(model, party.pod);
    case 'service':
      return serviceAddresses(model, party.service);
    case 'node':
      return nodeAddresses(model, party.name);
    case 'outside':
      return model.outside;
    default:
      return [party.address];
  }
}

function podAddresses(model: ClusterModel, pod: Pod): readonly IpAddress[] | Impossible {
  const why = whyUnreachable(pod);
  if (why !== undefined) return impossible(why);
  if (pod.ips.length > 0) return pod.ips;
  return nodeAddresses(model, pod.nodeName ?? '');
}

function nodeAddresses(model: ClusterModel, name: string): readonly IpAddress[] | Impossible {
  const known = model.state.nodes.get(name)?.addresses ?? [];
  return known.length > 0 ? known : impossible(`no address of node ${name} is known`);
}

/** What a client sends to that asks for the Service by its name. */
function serviceAddresses(model: ClusterModel, service: Service): readonly IpAddress[] | Impossible {
  const name = `Service ${keyOf(service)}`;
  const answer = dnsAnswer(model.state, service);
  if (answer.addresses.length > 0) return answer.addresses;
  if (answer.outsideName !== undefined) {
    return impossible(
      `only DNS knows the address behind ${answer.outsideName}: ask for an address in the place of ${name}`,
    );
  }
  if (isHeadless(answer)) {
    const last = answer.services.at(-1) ?? service;
    return {
      kind: 'impossible',
      how: 'no-endpoint',
      reason: `Service ${keyOf(last)} is headless and has no ready endpoint`,
    };
  }
  const isLoop = service.type === 'ExternalName' && answer.services.every(({ type }) => type === 'ExternalName');
  return impossible(isLoop ? `${name} stands for a name that leads back to it` : `${name} has no ClusterIP yet`);
}

/** The client takes one of its addresses. */
function isHeadless({ services }: DnsAnswer): boolean {
  return services.at(-1)?.headless === true;
}

function originOf(model: ClusterModel, party: Party, family: IpFamily): Origin | Impossible {
  switch (party.kind) {
    case 'pod':
      return podOrigin(model, party.pod, family);
    case 'node':
      return nodeOrigin(model, party.name, family);
    case 'address':
      return addressOrigin(model, party.address, family);
    default: {
      const address = model.outsideAddress(family);
      return address === undefined
        ? impossible(`no ${familyName(family)} client outside is known`)
        : { kind: 'outside', address };
    }
  }
}

function podOrigin(model: ClusterModel, pod: Pod, family: IpFamily): Origin | Impossible {
  const why = whyUnreachable(pod);
  const node = pod.nodeName;
  if (why !== undefined || node === undefined) return impossible(why ?? '');
  if (pod.hostNetwork) return nodeOrigin(model, node, family);
  const address = pod.ips.find((own) => familyOf(own) === family);
  if (address === undefined)
    return impossible(`pod ${pod.namespace}/${pod.name} has no ${familyName(family)} address to send from`);
  return { kind: 'pod', pod, node, address };
}

function nodeOrigin(model: ClusterModel, node: string, family: IpFamily): Origin | Impossible {
  const address = model.node(node).addressOf(family);
  return address === undefined
    ? impossible(`node ${node} has no ${familyName(family)} address to send from`)
    : { kind: 'node', node, address };
}

function addressOrigin(model: ClusterModel, address: IpAddress, family: IpFamily): Origin | Impossible {
  if (familyOf(address) !== family) return impossible(`${address} cannot send to an ${familyName(family)} address`);
  const owner = model.ownerOf(address);
  switch (owner?.kind) {
    case 'pod':
      return podOrigin(model, owner.pod, family);
    case 'service':
      return impossible(`${address} is an address of Service ${owner.service.namespace}/${owner.service.name}`);
    default:
      return unownedOrigin(model, address);
  }
}

function unownedOrigin(model: ClusterModel, address: IpAddress): Origin | Impossible {
  const node = model.nodeAt(address);
  if (node !== undefined) return { kind: 'node', node, address };
  return model.isInPodCidr(address)
    ? impossible(`${address} is in the pod network, and no pod has it`)
    : { kind: 'outside', address };
}

function impossible(reason: string): Impossible {
  return { kind: 'impossible', how: 'unknown-address', reason };
}
