/** Which open connections policy denies now: asked of the node's own rules, as if each were to begin anew. */
import type { Conversation } from '../dataplane/conversation.ts';
import type { Dataplane, FamilyTables } from '../dataplane/dataplane.ts';
import type { EndpointBinding } from '../dataplane/endpoint-binding.ts';
import type { ChainName } from '../dataplane/names.ts';
import type { BuiltinChain, Chain } from '../dataplane/rule.ts';
import type { Packet } from '../dataplane/trace/packet.ts';
import { packetOf } from '../dataplane/trace/packet.ts';
import { NodeTracer } from '../dataplane/trace/tracer.ts';
import type { IpAddress } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import { forwardChain, inputChain, workloadToHostChain } from './base/chain-names.ts';
import { addressOf, type BoundEndpoint } from './bound-endpoint.ts';

/** What there is to judge by; `Compiler` has the first two. */
export interface CutView {
  readonly dataplane: Dataplane;
  readonly endpoints: ReadonlyMap<string, BoundEndpoint>;
  readonly nodeAddresses: readonly IpAddress[];
}

/** Good for one round: it keeps what it has worked out of the rules, and to the rules as they are now, whatever becomes of them meanwhile. */
export class CutJudge {
  /** Addresses of the local pods: whose connections it can judge. None where no policy isolates any of them. */
  readonly subjects: ReadonlySet<IpAddress>;
  /** Of the pods that a policy isolates. Nobody else's connections can be denied. */
  readonly #isolated: ReadonlyMap<IpAddress, EndpointBinding>;
  readonly #bindings: ReadonlyMap<IpAddress, EndpointBinding>;
  readonly #own: ReadonlySet<IpAddress>;
  readonly #tracer: NodeTracer;

  constructor({ dataplane, endpoints, nodeAddresses }: CutView) {
    const isolated = [...endpoints.values()].filter(({ ingress, egress }) => ingress.length + egress.length > 0);
    this.#isolated = bindingsOf(isolated);
    this.#bindings = bindingsOf(endpoints.values());
    this.subjects = new Set(isolated.length === 0 ? [] : this.#bindings.keys());
    this.#own = new Set(nodeAddresses);
    this.#tracer = new NodeTracer(policyAlone(dataplane), {
      isOwnAddress: (address) => this.#own.has(address),
      route: () => ({ outInterface: '' }),
    });
  }

  /** The node's own connections to its pods, and a pod's to itself, are never denied. */
  isDenied(conversation: Conversation): boolean {
    const { client, server } = conversation;
    if (client === server || this.#own.has(client) || staysOnNode(client)) return false;
    if (!this.#isolated.has(client) && !this.#isolated.has(server)) return false;
    const hook: BuiltinChain = this.#own.has(server) ? 'INPUT' : 'FORWARD';
    return this.#tracer.traceHook(hook, this.#firstPacket(conversation)).verdict !== 'accept';
  }

  #firstPacket({ client, server, protocol, port }: Conversation): Packet {
    const isPing = port === undefined;
    return packetOf({
      source: client,
      destination: server,
      protocol,
      ...(isPing ? { icmpType: protocol === 'icmp' ? 8 : 128 } : { sourcePort: anyPort, destinationPort: port }),
      ...wayIn(this.#bindings.get(client)),
      ...wayOut(this.#bindings.get(server)),
    });
  }
}

/** Loopback and link-local clients are the node, whether or not it counts the address as one of its own. */
function staysOnNode(client: IpAddress): boolean {
  return client === '::1' || ['127.', '169.254.', 'fe80:'].some((prefix) => client.startsWith(prefix));
}

/** No rule of ours asks for the client's port. */
const anyPort = 40_000;

/**
 * Without the chains of Services, for a Service without endpoints is no denial; and without what the base chains close to
 * all: pods that are not programmed (yet), and the node itself.
 */
function policyAlone({ ipSets, tables }: Dataplane): Dataplane {
  const alone = ({ chains, hooks }: FamilyTables): FamilyTables => ({
    chains: { ...chains, filter: withoutDrops(chains.filter) },
    hooks: hooks.filter(({ style }) => style === 'cali'),
  });
  return { ipSets: new Map(ipSets), tables: { ipv4: alone(tables.ipv4), ipv6: alone(tables.ipv6) } };
}

function withoutDrops(chains: ReadonlyMap<ChainName, Chain>): ReadonlyMap<ChainName, Chain> {
  const open = new Map(chains);
  for (const name of [forwardChain, inputChain, workloadToHostChain]) {
    const chain = chains.get(name);
    if (chain !== undefined)
      open.set(name, { ...chain, rules: chain.rules.filter(({ action }) => action.kind !== 'drop') });
  }
  return open;
}

function bindingsOf(endpoints: Iterable<BoundEndpoint>): ReadonlyMap<IpAddress, EndpointBinding> {
  const bindings = new Map<IpAddress, EndpointBinding>();
  for (const endpoint of endpoints) {
    for (const address of endpoint.pod.ips) {
      const binding = endpoint.bindings[familyOf(address)];
      if (binding !== undefined && addressOf(endpoint, familyOf(address)) === address) bindings.set(address, binding);
    }
  }
  return bindings;
}

function wayIn(binding: EndpointBinding | undefined): Partial<Packet> {
  if (binding === undefined) return {};
  if (binding.kind === 'routed') return { inInterface: binding.interface };
  return { inInterface: binding.bridge, ...(binding.port === undefined ? {} : { inPort: binding.port }) };
}

function wayOut(binding: EndpointBinding | undefined): Partial<Packet> {
  if (binding === undefined) return {};
  return { outInterface: binding.kind === 'routed' ? binding.interface : binding.bridge };
}
