/** Services: ClusterIPs, node ports and health check ports. */
import type { Service, ServiceCidr, ServicePort } from '../cluster/objects.ts';
import type { Cidr, IpAddress, IpFamily } from '../lib/ip.ts';
import { familyOf, formatCidr } from '../lib/ip.ts';
import { firstFree, hostsOf, numbersBetween } from './allocate.ts';
import type { ClusterDefaults } from './defaults.ts';
import { defaultNodePorts } from './defaults.ts';
import { FamilyValues } from './family-values.ts';
import type { FillReport } from './fill-report.ts';
import { describePlaced } from './fill-report.ts';
import { placeOf } from './keys.ts';
import { MadeObjects, Memory } from './memory.ts';
import type { ParsedService, TrafficDistribution } from './parsed.ts';

const nodePorts = numbersBetween(defaultNodePorts.first, defaultNodePorts.last);

/** A Service, and what its endpoints are to be like: the families that they are wanted of, and the hints. */
export interface FilledService {
  readonly service: Service;
  readonly families: readonly IpFamily[];
  readonly trafficDistribution?: TrafficDistribution;
}

export class ServiceFiller {
  readonly #defaults: ClusterDefaults;
  readonly #clusterIps = new FamilyValues<IpAddress>(familyOf);
  readonly #nodePorts = new Memory<number>();
  readonly #services = new MadeObjects<Service>();

  constructor(defaults: ClusterDefaults) {
    this.#defaults = defaults;
  }

  /** Both are sorted. ClusterIPs come from the ServiceCIDRs, first one first; where none has the family, from the defaults. */
  fill(
    parsed: readonly ParsedService[],
    serviceCidrs: readonly ServiceCidr[],
    report: FillReport,
  ): readonly FilledService[] {
    const takenIps = this.#takenIps(parsed, report);
    const ranges = serviceCidrs.flatMap(({ cidrs }) => cidrs);
    const takenPorts = this.#takenPorts(parsed);
    const filled = parsed.map((service) => {
      const families = this.#familiesOf(service, report);
      const clusterIps = this.#clusterIps.fill(placeOf(service), service.clusterIps, families, (family) =>
        this.#giveClusterIp(service, { family, ranges, taken: takenIps }, report),
      );
      const numbers = portOwners(service).map((owner) => this.#portOf(service, owner, takenPorts, report));
      const make = () => filledService(service, clusterIps, numbers);
      const { trafficDistribution } = service;
      return {
        service: this.#services.of(placeOf(service), [service, ...clusterIps, ...numbers], make),
        families,
        ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
      };
    });
    for (const memory of [this.#clusterIps, this.#nodePorts, this.#services]) memory.endRound();
    return filled;
  }

  /** As the API server decides: what is stated, else the primary family, or all with a dual-stack policy. */
  #familiesOf(service: ParsedService, report?: FillReport): readonly IpFamily[] {
    const { type, clusterIps, ipFamilies, ipFamilyPolicy } = service;
    const { ipFamilies: enabled } = this.#defaults;
    if (type === 'ExternalName') return [];
    const stated = ipFamilies.length > 0 ? ipFamilies : clusterIps.values.map(familyOf);
    if (ipFamilyPolicy === undefined || ipFamilyPolicy === 'SingleStack') {
      return stated.length > 0 ? stated : enabled.slice(0, 1);
    }
    const isShort = ipFamilyPolicy === 'RequireDualStack' && enabled.length < 2;
    if (isShort) report?.add('error', service, `RequireDualStack, but only ${enabled.join()} is enabled`);
    return [...new Set([...stated, ...enabled])];
  }

  #takenIps(parsed: readonly ParsedService[], report: FillReport): Set<IpAddress> {
    const owners = new Map<IpAddress, ParsedService>();
    for (const service of parsed) {
      for (const ip of service.clusterIps.values) {
        const other = owners.get(ip);
        if (other !== undefined)
          report.add('warning', service, `${ip} is also the ClusterIP of ${describePlaced(other)}`);
        owners.set(ip, service);
      }
    }
    const taken = new Set(owners.keys());
    for (const service of parsed) {
      const families = this.#familiesOf(service);
      for (const ip of this.#clusterIps.remember(placeOf(service), service.clusterIps, families)) taken.add(ip);
    }
    return taken;
  }

  #giveClusterIp(
    service: ParsedService,
    { family, ranges, taken }: ClusterIpChoice,
    report: FillReport,
  ): IpAddress | undefined {
    const stated = ranges.filter((cidr) => cidr.family === family);
    const usable = stated.length > 0 ? stated : [this.#defaults.serviceCidr[family]];
    for (const range of usable) {
      const ip = firstFree(placeOf(service), hostsOf(range), (one) => taken.has(one));
      if (ip === undefined) continue;
      taken.add(ip);
      return ip;
    }
    report.exhausted(service, 'ClusterIP', usable.map(formatCidr).join(', '));
    return undefined;
  }

  #takenPorts(parsed: readonly ParsedService[]): Set<number> {
    const owners = parsed.flatMap(portOwners);
    const taken = new Set(owners.map((owner) => owner.stated).filter((port) => port !== 0));
    for (const { key, stated, isWanted } of owners) {
      const known = this.#nodePorts.recall(key);
      if (stated === 0 && isWanted && known !== undefined) taken.add(this.#nodePorts.keep(key, known));
    }
    return taken;
  }

  #portOf(service: ParsedService, owner: PortOwner, taken: Set<number>, report: FillReport): number {
    if (owner.stated !== 0 || !owner.isWanted) return owner.stated;
    const port = this.#nodePorts.kept(owner.key) ?? firstFree(owner.key, nodePorts, (one) => taken.has(one));
    if (port === undefined) {
      report.exhausted(service, 'node port', `${defaultNodePorts.first}-${defaultNodePorts.last}`);
      return 0;
    }
    taken.add(port);
    return this.#nodePorts.keep(owner.key, port);
  }
}

interface ClusterIpChoice {
  readonly family: IpFamily;
  /** Stated by ServiceCIDRs, of both families. */
  readonly ranges: readonly Cidr[];
  readonly taken: Set<IpAddress>;
}

/** Something that has a port on every node: the ports of a Service in order, then its health check. */
interface PortOwner {
  readonly key: string;
  /** 0: not stated. */
  readonly stated: number;
  readonly isWanted: boolean;
}

function portOwners(service: ParsedService): readonly PortOwner[] {
  const { type, allocateNodePorts, externalTrafficPolicy, ports, healthCheckNodePort } = service;
  const key = placeOf(service);
  const isWanted = type === 'NodePort' || (type === 'LoadBalancer' && allocateNodePorts);
  const owners = ports.map(({ name, port, protocol, nodePort }) => ({
    key: `${key} ${name} ${port}/${protocol}`,
    stated: nodePort,
    isWanted,
  }));
  const hasHealthCheck = type === 'LoadBalancer' && externalTrafficPolicy === 'Local';
  return [...owners, { key: `${key} health`, stated: healthCheckNodePort, isWanted: hasHealthCheck }];
}

function filledService(parsed: ParsedService, clusterIps: readonly IpAddress[], numbers: readonly number[]): Service {
  const { ipFamilies: _families, ipFamilyPolicy: _policy, allocateNodePorts: _allocate, ...rest } = parsed;
  const { trafficDistribution: _distribution, ...service } = rest;
  const ports: readonly ServicePort[] = parsed.ports.map((port, index) => ({ ...port, nodePort: numbers[index] ?? 0 }));
  return { ...service, clusterIps, ports, healthCheckNodePort: numbers[parsed.ports.length] ?? 0 };
}
