/** Pods: those of Deployments, the node of each, and its addresses. */
import type { Node, Pod } from '../cluster/objects.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { cidrContains, familyOf, formatCidr } from '../lib/ip.ts';
import { firstFree, hashNumber, hostsOf } from './allocate.ts';
import type { ClusterDefaults } from './defaults.ts';
import { FamilyValues } from './family-values.ts';
import type { FillReport } from './fill-report.ts';
import { describePlaced } from './fill-report.ts';
import { placeOf } from './keys.ts';
import { MadeObjects, Memory } from './memory.ts';
import type { ParsedDeployment, ParsedPod } from './parsed.ts';

interface Addresses {
  readonly taken: Set<IpAddress>;
  /** Pod CIDRs in which nothing is free any more. */
  readonly full: Set<Cidr>;
}

export class PodFiller {
  readonly #defaults: ClusterDefaults;
  readonly #made = new MadeObjects<ParsedPod>();
  readonly #nodeNames = new Memory<string>();
  readonly #ips = new FamilyValues<IpAddress>(familyOf);
  readonly #pods = new MadeObjects<Pod>();

  constructor(defaults: ClusterDefaults) {
    this.#defaults = defaults;
  }

  /** The stated pods, which are sorted, and those of the Deployments, sorted too; a stated pod wins over a Deployment's of its name. */
  expand(
    stated: readonly ParsedPod[],
    deployments: readonly ParsedDeployment[],
    report: FillReport,
  ): readonly ParsedPod[] {
    if (deployments.length === 0) {
      this.#made.endRound();
      return stated;
    }
    const pods = new Map(stated.map((pod) => [placeOf(pod), pod]));
    for (const deployment of deployments) {
      for (let index = 0; index < deployment.replicas; index += 1) {
        const name = `${deployment.name}-${index}`;
        const key = `${deployment.namespace}/${name}`;
        const other = pods.get(key);
        if (other === undefined)
          pods.set(
            key,
            this.#made.of(key, [deployment], () => podOf(deployment, name)),
          );
        else
          report.add(
            'warning',
            deployment,
            `${describePlaced(other)} is stated by itself and wins over the pod of this name`,
          );
      }
    }
    this.#made.endRound();
    return [...pods.values()].toSorted((left, right) => (placeOf(left) < placeOf(right) ? -1 : 1));
  }

  /** `nodes` are sorted and at least one. */
  fill(parsed: readonly ParsedPod[], nodes: readonly Node[], report: FillReport): readonly Pod[] {
    const nodeByName = new Map(nodes.map((node) => [node.name, node]));
    const placed = parsed.map((pod) => ({ pod, node: this.#nodeOf(pod, nodes, nodeByName) }));
    const addresses: Addresses = { taken: this.#takenAddresses(placed, report), full: new Set() };
    const pods = placed.map(({ pod, node }) => {
      const key = placeOf(pod);
      const ips = this.#ipsOf(pod, node, addresses, report);
      const nodeName = node?.name ?? pod.nodeName;
      const make = () => ({ ...pod, ips, ...(nodeName === undefined ? {} : { nodeName }) });
      return this.#pods.of(key, [pod, nodeName, ...ips], make);
    });
    for (const memory of [this.#nodeNames, this.#ips, this.#pods]) memory.endRound();
    return pods;
  }

  #nodeOf(pod: ParsedPod, nodes: readonly Node[], byName: ReadonlyMap<string, Node>): Node | undefined {
    if (pod.nodeName !== undefined) return byName.get(pod.nodeName);
    const key = placeOf(pod);
    const known = this.#nodeNames.recall(key);
    const node = (known === undefined ? undefined : byName.get(known)) ?? nodes[hashNumber(key) % nodes.length];
    if (node !== undefined) this.#nodeNames.keep(key, node.name);
    return node;
  }

  /** Addresses that are stated or remembered; one that is stated twice is allowed, and a warning. */
  #takenAddresses(
    placed: readonly { readonly pod: ParsedPod; readonly node: Node | undefined }[],
    report: FillReport,
  ): Set<IpAddress> {
    const owners = new Map<IpAddress, ParsedPod>();
    for (const { pod } of placed.filter(({ pod: one }) => !one.hostNetwork && !isFinished(one))) {
      for (const ip of pod.ips.values) {
        const other = owners.get(ip);
        if (other !== undefined) report.add('warning', pod, `${ip} is also the address of ${describePlaced(other)}`);
        owners.set(ip, pod);
      }
    }
    const taken = new Set(placed.flatMap(({ pod }) => pod.ips.values));
    for (const { pod, node } of placed) {
      const isOnNode = (ip: IpAddress) => node?.podCidrs.some((cidr) => cidrContains(cidr, ip)) === true;
      for (const ip of this.#ips.remember(placeOf(pod), pod.ips, this.#familiesOf(pod), isOnNode)) {
        const other = owners.get(ip);
        if (other !== undefined)
          report.add('warning', other, `${ip} was given to ${describePlaced(pod)} before, which keeps it`);
        taken.add(ip);
      }
    }
    return taken;
  }

  /** A pod in the node's network has the node's addresses. */
  #ipsOf(pod: ParsedPod, node: Node | undefined, addresses: Addresses, report: FillReport): readonly IpAddress[] {
    const isUnstated = !pod.ips.whole && pod.ips.values.length === 0;
    if (pod.hostNetwork && isUnstated && pod.phase !== 'Pending') return node?.addresses ?? [];
    return this.#ips.fill(placeOf(pod), pod.ips, this.#familiesOf(pod), (family) =>
      this.#giveIp(pod, node, { ...addresses, family }, report),
    );
  }

  /** A pending pod has no address yet, and one of the node's network has none of its own. */
  #familiesOf(pod: ParsedPod): readonly IpFamily[] {
    return pod.phase === 'Pending' || pod.hostNetwork ? [] : this.#defaults.ipFamilies;
  }

  #giveIp(
    pod: ParsedPod,
    node: Node | undefined,
    wanted: Addresses & { readonly family: IpFamily },
    report: FillReport,
  ): IpAddress | undefined {
    const { family, taken, full } = wanted;
    const cidr = node?.podCidrs.find((one) => one.family === family);
    if (cidr === undefined) return undefined;
    const ip = full.has(cidr) ? undefined : firstFree(placeOf(pod), hostsOf(cidr), (one) => taken.has(one));
    if (ip !== undefined) taken.add(ip);
    if (ip !== undefined) return ip;
    full.add(cidr);
    report.exhausted(pod, 'pod address', `${formatCidr(cidr)} of Node ${node?.name}`);
    return undefined;
  }
}

function podOf(deployment: ParsedDeployment, name: string): ParsedPod {
  const { namespace, location, template } = deployment;
  return {
    kind: 'Pod',
    namespace,
    name,
    ...template,
    ips: { values: [], whole: false },
    phase: 'Running',
    terminating: false,
    ready: true,
    deployment: deployment.name,
    ...(location === undefined ? {} : { location }),
  };
}

function isFinished(pod: ParsedPod): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}
