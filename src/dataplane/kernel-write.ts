/** Changes of the kernel as data: what a plan consists of and what a backend carries out. */
import type { IpFamily } from '../lib/ip.ts';
import type { BuiltinChain, Chain, IpSet, TableName } from './rule.ts';

/** Creates a set, or changes its members in place. */
export interface SetWrite {
  readonly set: IpSet;
  readonly create: boolean;
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** Our rules in one built-in chain. Deletions happen first, all in one transaction. */
export interface HookWrite {
  readonly chain: BuiltinChain;
  /** Rules as iptables-save printed them, without `-A CHAIN`. */
  readonly deletes: readonly string[];
  /** Rules without `-A CHAIN`; they become the first of the chain, in this order. */
  readonly inserts: readonly string[];
  readonly appends: readonly string[];
}

export interface ChainTrim {
  readonly name: string;
  /** How many rules stay, from the top. */
  readonly stay: number;
  /** How many lie below them. */
  readonly go: number;
}

/** One call of one program. Everything in it about rules is one family's one table: one transaction. */
export type KernelWrite =
  | { readonly kind: 'write-sets'; readonly sets: readonly SetWrite[] }
  /** A temporary set of the new size, filled and swapped with the real one. */
  | { readonly kind: 'resize-set'; readonly set: IpSet }
  /** Sets still in use are left for the next compare. */
  | { readonly kind: 'destroy-sets'; readonly names: readonly string[] }
  | {
      readonly kind: 'write-chains';
      readonly family: IpFamily;
      readonly table: TableName;
      /** Leaves first. Each is replaced as a whole. */
      readonly chains: readonly Chain[];
      /** Chains whose present rules stay for now, out of reach below the new ones, until `trim-chains`; and how many then lie there. */
      readonly covered?: ReadonlyMap<string, number>;
    }
  /** Takes away what lies below the rules of `covered` chains; it has no rules of its own, so nothing has to be waited for. */
  | {
      readonly kind: 'trim-chains';
      readonly family: IpFamily;
      readonly table: TableName;
      readonly chains: readonly ChainTrim[];
    }
  /** Emptied, then deleted; nothing else is in the transaction. */
  | {
      readonly kind: 'remove-chains';
      readonly family: IpFamily;
      readonly table: TableName;
      readonly names: readonly string[];
    }
  | {
      readonly kind: 'write-hooks';
      readonly family: IpFamily;
      readonly table: TableName;
      readonly hooks: readonly HookWrite[];
    };

/** Steps go one after the other, and so do the writes of one, which are of different families and do not need each other. */
export interface Step {
  readonly writes: readonly KernelWrite[];
}
