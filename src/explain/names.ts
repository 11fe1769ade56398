/** The one parser of the names that people write (interface.md, Names): pods, Deployments, Services, nodes, outside, addresses. */
import type { ContainerPort, Pod, Protocol, Service } from '../cluster/objects.ts';
import { hasEnded } from '../cluster/objects.ts';
import type { ClusterState } from '../cluster/state.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { parseIp } from '../lib/ip.ts';
import { nearNames } from './near-names.ts';

/** What a name means. */
export type Party =
  | { readonly kind: 'pod'; readonly pod: Pod }
  | { readonly kind: 'service'; readonly service: Service }
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'outside' }
  | { readonly kind: 'address'; readonly address: IpAddress };

/** A party and the port that somebody connects to. */
export interface Target {
  readonly party: Party;
  readonly port: number;
  readonly protocol: Protocol;
}

/** `message` is one line: what is wrong, and what was expected. */
export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string };

export interface NameContext {
  /** To ask about; absent: the destination's first that both ends have. */
  readonly family?: IpFamily;
  readonly state: ClusterState;
  /** Of names without one. */
  readonly namespace?: string;
}

/** `NS/NAME`, `NAME`, `svc/NS/NAME`, `node/NAME`, `outside` or an address. */
export function parseParty(text: string, context: NameContext): Parsed<Party> {
  const name = text.trim();
  if (name === '') return failure('a name is missing: expected NS/NAME, svc/NS/NAME, node/NAME, outside or an address');
  if (name === 'outside') return success({ kind: 'outside' });
  const address = parseIp(name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name);
  if (address !== undefined) return success({ kind: 'address', address });
  return parseObjectName(name, context);
}

/** As `parseParty`, with `:PORT[/PROTO]`; PORT is a number or the name of a port, which brings its protocol; else PROTO defaults to TCP. */
export function parseTarget(text: string, context: NameContext): Parsed<Target> {
  const split = splitPort(text.trim());
  if (split === undefined) {
    return failure(
      `"${text}" has no port: expected TO:PORT[/PROTO], for example demo/db:5432, svc/demo/web:80/TCP or [fd00::1]:80`,
    );
  }
  const party = parseParty(split.name, context);
  if (!party.ok) return party;
  const protocol = parseProtocol(split.protocol);
  if (!protocol.ok) return protocol;
  return findPort(party.value, split.port, protocol.value);
}

/** The party as it is written. */
export function nameOfParty(party: Party): string {
  switch (party.kind) {
    case 'pod':
      return `${party.pod.namespace}/${party.pod.name}`;
    case 'service':
      return `svc/${party.service.namespace}/${party.service.name}`;
    case 'node':
      return `node/${party.name}`;
    case 'outside':
      return 'outside';
    default:
      return party.address;
  }
}

/** The pod of that name, or all pods of the Deployment: what `matrix` is narrowed to. */
export function parsePods(text: string, context: NameContext): Parsed<readonly Pod[]> {
  const party = parseParty(text, context);
  if (!party.ok) return party;
  if (party.value.kind !== 'pod') return failure(`"${text}" is not a pod: expected NS/NAME of a pod or a Deployment`);
  const { pod } = party.value;
  const wanted = text.trim().slice(text.trim().lastIndexOf('/') + 1);
  return success(pod.name === wanted ? [pod] : podsOfDeployment(context.state, pod.namespace, wanted));
}

/** Pods of a Deployment, by name; those that have ended last. */
export function podsOfDeployment(state: ClusterState, namespace: string, name: string): readonly Pod[] {
  const pods = [...state.pods.values()].filter((pod) => pod.namespace === namespace && pod.deployment === name);
  return pods.sort((left, right) => Number(hasEnded(left)) - Number(hasEnded(right)) || compare(left.name, right.name));
}

function parseObjectName(name: string, context: NameContext): Parsed<Party> {
  const parts = name.split('/');
  const [first = '', second, third] = parts;
  const isTooLong = parts.length > (first === 'svc' ? 3 : 2);
  if (parts.includes('') || isTooLong) {
    return failure(`"${name}" is not a name: expected NS/NAME, svc/NS/NAME, node/NAME, outside or an address`);
  }
  if (second === undefined) return findPod(context.namespace ?? 'default', first, context);
  if (first === 'svc') return findService(second, third, context);
  return first === 'node' ? findNode(second, context) : findPod(first, second, context);
}

function findPod(namespace: string, name: string, { state }: NameContext): Parsed<Party> {
  const key = `${namespace}/${name}`;
  const pod = state.pods.get(key) ?? podsOfDeployment(state, namespace, name)[0];
  if (pod !== undefined) return success({ kind: 'pod', pod });
  const deployments = [...state.pods.values()].flatMap((one) =>
    one.deployment === undefined ? [] : [`${one.namespace}/${one.deployment}`],
  );
  if (isLikeAddress(name)) return failure(`"${name}" is not an IP address: expected one such as 10.0.0.1 or [fd00::1]`);
  const hint = suggestion(nearNames(key, [...state.pods.keys(), ...deployments]));
  return failure(`no pod and no Deployment is called ${key}${hint}`);
}

/** Digits and dots are a name that a pod may have, but hardly one that somebody means. */
function isLikeAddress(name: string): boolean {
  return /^[\d.]+$/.test(name) || /^\[.*\]$/.test(name) || name.includes(':');
}

function findService(first: string, second: string | undefined, context: NameContext): Parsed<Party> {
  const key = second === undefined ? `${context.namespace ?? 'default'}/${first}` : `${first}/${second}`;
  const service = context.state.services.get(key);
  if (service !== undefined) return success({ kind: 'service', service });
  const near = nearNames(key, [...context.state.services.keys()]);
  return failure(`no Service is called ${key}${suggestion(near.map((name) => `svc/${name}`))}`);
}

function findNode(name: string, { state }: NameContext): Parsed<Party> {
  const names = nodeNamesOf(state);
  if (names.includes(name)) return success({ kind: 'node', name });
  return failure(`no node is called ${name}${suggestion(nearNames(name, names).map((near) => `node/${near}`))}`);
}

/** Node objects, and nodes that are only known by their pods. */
export function nodeNamesOf(state: ClusterState): readonly string[] {
  const names = new Set(state.nodes.keys());
  for (const { nodeName } of state.pods.values()) if (nodeName !== undefined) names.add(nodeName);
  return [...names].sort(compare);
}

interface SplitText {
  readonly name: string;
  readonly port: string;
  readonly protocol: string | undefined;
}

function splitPort(text: string): SplitText | undefined {
  const match = /^(?<name>\[[^\]]*\]|[^:]*):(?<port>[^:/]+)(?:\/(?<protocol>\w+))?$/.exec(text)?.groups;
  const { name, port, protocol } = match ?? {};
  return name === undefined || port === undefined ? undefined : { name, port, protocol };
}

function parseProtocol(text: string | undefined): Parsed<Protocol | undefined> {
  const upper = text?.toUpperCase();
  if (upper === undefined || upper === 'TCP' || upper === 'UDP' || upper === 'SCTP') return success(upper);
  return failure(`"${text}" is not a protocol: expected TCP, UDP or SCTP`);
}

interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: Protocol;
}

function findPort(party: Party, text: string, protocol: Protocol | undefined): Parsed<Target> {
  const known = portsOf(party);
  if (/^\d+$/.test(text)) {
    const port = Number(text);
    if (port < 1 || port > 65_535) return failure(`port ${text} is out of range: expected 1 to 65535`);
    return success({ party, port, protocol: protocol ?? 'TCP' });
  }
  const found = known.find((port) => port.name === text && (protocol === undefined || port.protocol === protocol));
  if (found !== undefined) return success({ party, port: found.port, protocol: found.protocol });
  const names = known.flatMap(({ name }) => (name === '' ? [] : [name]));
  const hint = names.length === 0 ? 'it has no named ports' : `its ports are ${names.join(', ')}`;
  return failure(
    `${nameOfParty(party)} has no port called ${text}${protocol === undefined ? '' : `/${protocol}`}: ${hint}`,
  );
}

function portsOf(party: Party): readonly NamedPort[] {
  switch (party.kind) {
    case 'pod':
      return party.pod.ports.map(named);
    case 'service':
      return party.service.ports;
    default:
      return [];
  }
}

function named({ name, port, protocol }: ContainerPort): NamedPort {
  return { name: name ?? '', port, protocol };
}

function suggestion(names: readonly string[]): string {
  return names.length === 0 ? '' : `; did you mean ${names.join(' or ')}?`;
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function success<T>(value: T): Parsed<T> {
  return { ok: true, value };
}

function failure(message: string): { readonly ok: false; readonly message: string } {
  return { ok: false, message };
}
