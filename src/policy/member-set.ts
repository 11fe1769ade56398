/** One question about pods and its present answer in each family, counted by member: two pods may share an address for a while. */
import type { Pod } from '../cluster/objects.ts';
import type { IpSetChange } from '../dataplane/dataplane.ts';
import type { IpSet } from '../dataplane/rule.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { familyOf } from '../lib/ip.ts';
import type { NamedPort, SetSpec } from './set-spec.ts';

/** The members that one pod contributes, by family, as `ipset list` prints them. */
type Contribution = readonly { readonly family: IpFamily; readonly member: string }[];

export class MemberSet {
  readonly spec: SetSpec;
  /** How many policies' rules refer to it. */
  references = 0;
  readonly #families: ReadonlyMap<IpFamily, FamilyMembers>;

  constructor(spec: SetSpec, families: readonly IpFamily[]) {
    this.spec = spec;
    this.#families = new Map(families.map((family) => [family, new FamilyMembers(spec, family)]));
  }

  /** The live sets, one for each enabled family. */
  get ipSets(): readonly IpSet[] {
    return [...this.#families.values()].map((family) => family.ipSet);
  }

  addPod(pod: Pod): void {
    for (const { family, member } of contributionOf(pod, this.spec.port)) this.#families.get(family)?.add(member);
  }

  deletePod(pod: Pod): void {
    for (const { family, member } of contributionOf(pod, this.spec.port)) this.#families.get(family)?.delete(member);
  }

  /** The net changes since the last call; the first call's are the creation of the sets. */
  takeChanges(): readonly IpSetChange[] {
    return [...this.#families.values()].flatMap((family) => family.takeChange() ?? []);
  }
}

class FamilyMembers {
  readonly ipSet: IpSet;
  readonly #members = new Set<string>();
  /** How many pods beyond the first have a member; nearly always empty, which is why it is not one map of counts. */
  readonly #surplus = new Map<string, number>();
  readonly #added = new Set<string>();
  readonly #removed = new Set<string>();
  #isPublished = false;

  constructor(spec: SetSpec, family: IpFamily) {
    const { selection, port } = spec;
    this.ipSet = {
      name: spec.names[family],
      family,
      type: port === undefined ? 'hash:net' : 'hash:ip,port',
      members: this.#members,
      origin: {
        note: port === undefined ? selection.text : `${selection.text}, named port ${port.name}/${port.protocol}`,
      },
    };
  }

  add(member: string): void {
    if (this.#members.has(member)) {
      this.#surplus.set(member, (this.#surplus.get(member) ?? 0) + 1);
      return;
    }
    this.#members.add(member);
    if (this.#isPublished && !this.#removed.delete(member)) this.#added.add(member);
  }

  delete(member: string): void {
    const surplus = this.#surplus.get(member);
    if (surplus !== undefined) {
      if (surplus === 1) this.#surplus.delete(member);
      else this.#surplus.set(member, surplus - 1);
      return;
    }
    this.#members.delete(member);
    if (this.#isPublished && !this.#added.delete(member)) this.#removed.add(member);
  }

  takeChange(): IpSetChange | undefined {
    if (!this.#isPublished) {
      this.#isPublished = true;
      return { kind: 'create', set: this.ipSet };
    }
    if (this.#added.size === 0 && this.#removed.size === 0) return undefined;
    const change = { kind: 'members', set: this.ipSet, added: [...this.#added], removed: [...this.#removed] } as const;
    this.#added.clear();
    this.#removed.clear();
    return change;
  }
}

function contributionOf(pod: Pod, port: NamedPort | undefined): Contribution {
  const entry = (ip: IpAddress, member: string) => ({ family: familyOf(ip), member });
  if (port === undefined) return pod.ips.map((ip) => entry(ip, ip));
  const numbers = pod.ports
    .filter((own) => own.name === port.name && own.protocol.toLowerCase() === port.protocol)
    .map((own) => own.port);
  return pod.ips.flatMap((ip) => numbers.map((number) => entry(ip, `${ip},${port.protocol}:${number}`)));
}
