/** KUBE-SEP: what leads to one endpoint (kube-proxy.md 1.9). There are tens of thousands, so one keeps what it is made from and no rules. */
import type { Protocol } from '../cluster/objects.ts';
import type { ChainName } from '../dataplane/names.ts';
import type { Chain, ChainShape, Match, Rule } from '../dataplane/rule.ts';
import { type IpAddress, joinHostPort } from '../lib/ip.ts';
import { endpointChain } from './names.ts';
import type { PlannedPort } from './plan.ts';
import {
  addressIs,
  jumpToMarkMasquerade,
  makeRule,
  markMasqueradeChain,
  originOf,
  protocolIs,
  type RuleText,
} from './rules.ts';

/** What the endpoints of a service port share. */
export interface EndpointText {
  readonly servicePortName: string;
  readonly protocol: Protocol;
  readonly hasAffinity: boolean;
  readonly hairpin: RuleText;
  readonly dnat: RuleText;
}

export function endpointTextOf(port: PlannedPort, object: string, hasComments: boolean): EndpointText {
  const { servicePortName } = port;
  const comment = hasComments ? { comment: servicePortName } : {};
  return {
    servicePortName,
    protocol: port.protocol,
    hasAffinity: port.affinitySeconds !== undefined,
    hairpin: { ...comment, origin: originOf(port, object, 'hides an endpoint that reaches itself') },
    dnat: { ...comment, origin: originOf(port, object, 'an endpoint of the Service') },
  };
}

export class EndpointChain implements Chain {
  readonly name: ChainName;
  readonly style = 'kube';
  readonly text: EndpointText;
  readonly address: IpAddress;
  readonly port: number;

  constructor(text: EndpointText, address: IpAddress, port: number) {
    this.name = endpointChain(text.servicePortName, text.protocol, joinHostPort(address, port));
    this.text = text;
    this.address = address;
    this.port = port;
  }

  get rules(): readonly Rule[] {
    const { text, address, port } = this;
    const protocol = protocolIs(text.protocol);
    const matches: readonly Match[] = text.hasAffinity
      ? [{ kind: 'recent-set', list: this.name }, protocol]
      : [protocol];
    return [
      makeRule(text.hairpin, [addressIs('source', address)], jumpToMarkMasquerade),
      makeRule(text.dnat, matches, { kind: 'dnat', address, port }),
    ];
  }

  get shape(): ChainShape {
    return endpointShape;
  }

  /** `address:port` */
  get key(): string {
    return joinHostPort(this.address, this.port);
  }
}

/** The same of all. */
const endpointShape: ChainShape = { rules: 2, targets: [markMasqueradeChain] };
