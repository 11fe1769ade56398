/** Nodes: those that the files state, those that pods name, and as many more as are wanted; addresses and pod CIDRs. */
import type { Node } from '../cluster/objects.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { cidrContains, familyOf, formatCidr } from '../lib/ip.ts';
import { firstFree, hostsOf, subnetsOf } from './allocate.ts';
import type { ClusterDefaults } from './defaults.ts';
import { FamilyValues } from './family-values.ts';
import type { FillReport } from './fill-report.ts';
import { MadeObjects } from './memory.ts';
import type { ParsedNode } from './parsed.ts';

/** A node's share of the cluster's pod CIDR. */
const nodePrefixLength: Readonly<Record<IpFamily, number>> = { ipv4: 24, ipv6: 64 };

export class NodeFiller {
  readonly #defaults: ClusterDefaults;
  readonly #addresses = new FamilyValues<IpAddress>(familyOf);
  readonly #podCidrs = new FamilyValues<Cidr>((cidr) => cidr.family);
  readonly #bare = new MadeObjects<ParsedNode>();
  readonly #nodes = new MadeObjects<Node>();
  /** Ranges in which nothing is free any more, in this round. */
  readonly #full = new Set<Cidr>();
  /** Names that were made up; they stay, so that a pod that names a node does not move the others. */
  #generated: readonly string[] = [];

  constructor(defaults: ClusterDefaults) {
    this.#defaults = defaults;
  }

  /** Sorted by name. `named` are the nodes that pods name. */
  fill(stated: readonly ParsedNode[], named: ReadonlySet<string>, report: FillReport): readonly Node[] {
    const { ipFamilies } = this.#defaults;
    const parsed = this.#allNodes(stated, named);
    const addresses = new Set(parsed.flatMap((node) => node.addresses.values));
    const podCidrs = new TakenCidrs();
    for (const cidr of parsed.flatMap((node) => node.podCidrs.values)) podCidrs.add(cidr);
    for (const node of parsed) {
      for (const one of this.#addresses.remember(node.name, node.addresses, ipFamilies)) addresses.add(one);
      for (const one of this.#podCidrs.remember(node.name, node.podCidrs, ipFamilies)) podCidrs.add(one);
    }
    this.#full.clear();
    const nodes = parsed.map((node) => {
      const itsAddresses = this.#addresses.fill(node.name, node.addresses, ipFamilies, (family) =>
        this.#giveAddress(node, family, addresses, report),
      );
      const itsCidrs = this.#podCidrs.fill(node.name, node.podCidrs, ipFamilies, (family) =>
        this.#givePodCidr(node, family, podCidrs, report),
      );
      const make = () => ({ ...node, addresses: itsAddresses, podCidrs: itsCidrs });
      return this.#nodes.of(node.name, [node, ...itsAddresses, ...itsCidrs], make);
    });
    for (const memory of [this.#addresses, this.#podCidrs, this.#bare, this.#nodes]) memory.endRound();
    return nodes;
  }

  #allNodes(stated: readonly ParsedNode[], named: ReadonlySet<string>): readonly ParsedNode[] {
    const byName = new Map(stated.map((node) => [node.name, node]));
    const add = (name: string) => {
      if (!byName.has(name))
        byName.set(
          name,
          this.#bare.of(name, [], () => bareNode(name)),
        );
    };
    for (const name of named) add(name);
    const isSettled = stated.length > 0 && this.#defaults.nodeCount === undefined;
    const generated = new Set(isSettled ? [] : this.#generated);
    for (const name of generated) add(name);
    for (let index = 0; byName.size < (this.#defaults.nodeCount ?? 1); index += 1) {
      generated.add(`node-${index}`);
      add(`node-${index}`);
    }
    this.#generated = [...generated];
    return [...byName.values()].toSorted((left, right) => (left.name < right.name ? -1 : 1));
  }

  #giveAddress(node: ParsedNode, family: IpFamily, taken: Set<IpAddress>, report: FillReport): IpAddress | undefined {
    const underlay = this.#defaults.underlay[family];
    const give = () => firstFree(node.name, hostsOf(underlay), (one) => taken.has(one));
    const address = this.#full.has(underlay) ? undefined : give();
    if (address !== undefined) {
      taken.add(address);
      return address;
    }
    this.#full.add(underlay);
    report.exhausted(node, 'node address', formatCidr(underlay));
    return undefined;
  }

  #givePodCidr(node: ParsedNode, family: IpFamily, taken: TakenCidrs, report: FillReport): Cidr | undefined {
    const whole = this.#defaults.podCidr[family];
    const range = subnetsOf(whole, nodePrefixLength[family]);
    const give = () => firstFree(node.name, range, (one) => taken.overlaps(one));
    const cidr = this.#full.has(whole) ? undefined : give();
    if (cidr !== undefined) {
      taken.add(cidr);
      return cidr;
    }
    this.#full.add(whole);
    report.exhausted(node, 'pod CIDR', formatCidr(whole));
    return undefined;
  }
}

/** Nearly all of them are of one length: those either are the same or do not meet. */
class TakenCidrs {
  readonly #byLength = new Map<string, Map<string, Cidr>>();

  add(cidr: Cidr): void {
    const kind = `${cidr.family} ${cidr.prefixLength}`;
    const known = this.#byLength.get(kind) ?? new Map<string, Cidr>();
    this.#byLength.set(kind, known.set(cidr.address, cidr));
  }

  overlaps(cidr: Cidr): boolean {
    const kind = `${cidr.family} ${cidr.prefixLength}`;
    return [...this.#byLength].some(([other, cidrs]) =>
      other === kind ? cidrs.has(cidr.address) : [...cidrs.values()].some((one) => overlap(one, cidr)),
    );
  }
}

function bareNode(name: string): ParsedNode {
  const nothing = { values: [], whole: false };
  return { kind: 'Node', name, labels: {}, addresses: nothing, podCidrs: nothing };
}

function overlap(left: Cidr, right: Cidr): boolean {
  return left.family === right.family && (cidrContains(left, right.address) || cidrContains(right, left.address));
}
