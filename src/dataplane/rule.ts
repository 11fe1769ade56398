/** Rules as plain data. Add a variant and every renderer and tracer stops compiling until it knows it. */
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import type { ChainName, IpSetName } from './names.ts';

export type Side = 'source' | 'destination';
export type TransportProtocol = 'tcp' | 'udp' | 'sctp';
export type ConntrackState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED' | 'DNAT' | 'SNAT';

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** One condition of a rule; a rule's conditions are ANDed. `negate` is iptables' `!`. */
export type Match =
  /** A name, or a number as Felix writes it (`-p 17`). ICMPv6 is `ipv6-icmp`. */
  | { readonly kind: 'protocol'; readonly protocol: TransportProtocol | 'icmp' | 'ipv6-icmp' | number }
  | { readonly kind: 'address'; readonly side: Side; readonly cidr: Cidr; readonly negate?: true }
  /** multiport: at most 15 slots, a range takes two. */
  | { readonly kind: 'ports'; readonly side: Side; readonly ports: readonly PortRange[]; readonly negate?: true }
  /** `--dport`/`--sport` of the protocol's own match, as kube-proxy writes it. */
  | { readonly kind: 'port'; readonly side: Side; readonly port: number }
  | { readonly kind: 'ipset'; readonly set: IpSetName; readonly sides: readonly Side[]; readonly negate?: true }
  | { readonly kind: 'mark'; readonly value: number; readonly mask: number; readonly negate?: true }
  | { readonly kind: 'ctstate'; readonly states: readonly ConntrackState[]; readonly negate?: true }
  | { readonly kind: 'ctdir'; readonly direction: 'ORIGINAL' | 'REPLY' }
  /** A trailing `+` matches any rest. `physical` is the bridge port (`-m physdev`). */
  | {
      readonly kind: 'interface';
      readonly direction: 'in' | 'out';
      readonly name: string;
      readonly physical?: true;
      readonly negate?: true;
    }
  | {
      readonly kind: 'addrtype';
      readonly side: Side;
      readonly type: 'LOCAL' | 'MULTICAST' | 'BROADCAST';
      readonly negate?: true;
    }
  | { readonly kind: 'icmpv6-type'; readonly type: number }
  /** `-m statistic --mode random`; the number is printed with ten decimals. */
  | { readonly kind: 'probability'; readonly probability: number }
  /** `-m recent`: session affinity. */
  | { readonly kind: 'recent-check'; readonly list: string; readonly seconds: number }
  | { readonly kind: 'recent-set'; readonly list: string };

export type Action =
  | { readonly kind: 'accept' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'reject' }
  | { readonly kind: 'return' }
  | { readonly kind: 'jump'; readonly chain: ChainName }
  | { readonly kind: 'goto'; readonly chain: ChainName }
  /** Bits of `mask` become `value`'s. kube style prints --or-mark (value = mask) and --xor-mark (see `xor-mark`). */
  | { readonly kind: 'set-mark'; readonly value: number; readonly mask: number }
  /** Flips the bits: how KUBE-POSTROUTING clears a bit it has just tested. */
  | { readonly kind: 'xor-mark'; readonly value: number }
  | { readonly kind: 'dnat'; readonly address: IpAddress; readonly port: number }
  | { readonly kind: 'masquerade'; readonly randomFully: boolean }
  /** A rule with matches and no target: it only counts, and carries a comment. */
  | { readonly kind: 'none' };

/** What asked for a rule: for `explain` only, never in the kernel. */
export interface Origin {
  /** `Kind namespace/name` */
  readonly object?: string;
  /** `spec.ingress[0].from[1]` */
  readonly path?: string;
  readonly file?: string;
  readonly line?: number;
  /** One sentence for people where no object asked for it. */
  readonly note?: string;
}

export interface Rule {
  readonly matches: readonly Match[];
  readonly action: Action;
  /** Comments that go into the kernel: part of the rule hash and of the seed's bytes. */
  readonly comments: readonly string[];
  readonly origin: Origin;
}

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter';
export type BuiltinChain = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';

/** `cali`: long options and a hash comment on every rule. `kube`: kube-proxy's text, known by the chain's name. */
export type ChainStyle = 'cali' | 'kube';

export interface Chain {
  readonly name: ChainName;
  readonly style: ChainStyle;
  readonly rules: readonly Rule[];
  /** Where it is known without the rules being made. */
  readonly shape?: ChainShape;
}

/** How large a chain is and where it leads. */
export interface ChainShape {
  readonly rules: number;
  readonly targets: readonly string[];
}

/** A rule of ours in one of the kernel's own chains. */
export interface Hook {
  readonly table: TableName;
  readonly chain: BuiltinChain;
  /** `first`: above everybody else's rules; `last`: appended. Hooks of one place keep the order of the list. */
  readonly position: 'first' | 'last';
  readonly style: ChainStyle;
  readonly rule: Rule;
}

export type IpSetType = 'hash:net' | 'hash:ip' | 'hash:ip,port' | 'hash:ip,port,ip';

export interface IpSet {
  readonly name: IpSetName;
  readonly family: IpFamily;
  readonly type: IpSetType;
  /** As `ipset list` prints them: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1,tcp:80`. A /0 is two /1. */
  readonly members: ReadonlySet<string>;
  readonly origin: Origin;
  /** The agent fills it from what it sees in the kernel (`cali40cut`): never compared, only created. */
  readonly dynamic?: true;
  /** Members enter after the chains are written (before hooks) and leave before anything else: what lets a pod through the closed door. */
  readonly gate?: true;
  /** Members of a gate that have no chains: for them it only closes, so they enter before any chain changes. */
  readonly closing?: ReadonlySet<string>;
}
