/** What the base chains of one family are made from. */
import type { EndpointBinding } from '../../dataplane/endpoint-binding.ts';
import { type IpSetName, programmedSetName, setName } from '../../dataplane/names.ts';
import type { Action, Chain, Match, Rule, TableName } from '../../dataplane/rule.ts';
import { bitsOf, type Cidr, cidrOf, familyOf, type IpAddress, type IpFamily } from '../../lib/ip.ts';
import { addressOf, type BoundEndpoint } from '../bound-endpoint.ts';
import type { CompileOptions } from '../options.ts';

export interface BaseInput {
  readonly family: IpFamily;
  readonly options: CompileOptions;
  /** This node's pod CIDRs of the family; empty: unknown, so an unknown pod's address cannot be told. */
  readonly podCidrs: readonly Cidr[];
  /** The pods that are programmed in this family, in the order of their keys. */
  readonly endpoints: readonly BaseEndpoint[];
}

/** One pod as the base chains see it. */
export interface BaseEndpoint {
  /** `Pod namespace/name` */
  readonly object: string;
  readonly chainSuffix: string;
  readonly binding: EndpointBinding;
  /** Absent: it has none of this family that the API knows. */
  readonly address?: IpAddress;
  readonly allowedSources: readonly Cidr[];
}

export interface TableChain {
  readonly table: TableName;
  readonly chain: Chain;
}

/** The pod in that family, or undefined where it has no way in or out. */
export function baseEndpoint(bound: BoundEndpoint, family: IpFamily): BaseEndpoint | undefined {
  const binding = bound.bindings[family];
  if (binding === undefined) return undefined;
  const address = addressOf(bound, family);
  return {
    object: `Pod ${bound.key}`,
    chainSuffix: bound.chainSuffix,
    binding,
    allowedSources: bound.pod.allowedSources.filter((cidr) => cidr.family === family),
    ...(address === undefined ? {} : { address }),
  };
}

/** Addresses of the pods that are programmed. */
export function programmedSet(family: IpFamily): IpSetName {
  return programmedSetName(family);
}

/** Addresses of the pods that a policy isolates. */
export function policedSet(family: IpFamily): IpSetName {
  return setName('policed', family);
}

/** (client, protocol:port, server) of connections that policy has come to deny. */
export function cutSet(family: IpFamily): IpSetName {
  return setName('cut', family);
}

export function singleAddress(address: IpAddress): Cidr {
  return cidrOf(address, bitsOf(familyOf(address)));
}

/** A rule that no object asked for: the note says why it is there. */
export function baseRule(note: string, matches: readonly Match[], action: Action, comment?: string): Rule {
  return { matches, action, comments: comment === undefined ? [] : [comment], origin: { note } };
}

/** A rule that is there for one pod. */
export function podRule(endpoint: BaseEndpoint, note: string, matches: readonly Match[], action: Action): Rule {
  return { matches, action, comments: [], origin: { object: endpoint.object, note } };
}
