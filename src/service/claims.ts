/** Which Service has a frontend that several claim: the oldest, then the first by name. The others do without it, and only without it. */
import type { Protocol, Service } from '../cluster/objects.ts';
import { describeObject, keyOf } from '../cluster/objects.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import { type IpAddress, type IpFamily, joinHostPort } from '../lib/ip.ts';
import type { PlannedPort, PlannedService } from './plan.ts';
import { problemAt } from './problem.ts';

/** `10.96.0.9:80/TCP` */
export function addressFrontend(address: IpAddress, protocol: Protocol, port: number): string {
  return `${joinHostPort(address, port)}/${protocol}`;
}

/** `nodePort 30080/TCP (ipv4)`; a health check is a TCP port of the node too. */
export function nodePortFrontend(family: IpFamily, protocol: Protocol, nodePort: number): string {
  return `nodePort ${nodePort}/${protocol} (${family})`;
}

interface Claimant {
  /** `namespace/name` */
  readonly key: string;
  /** Without a creationTimestamp it is the youngest. */
  readonly createdAtMs: number;
}

/** Every frontend of every Service, and who has it. */
export class FrontendClaims {
  readonly #owners = new Map<string, Claimant>();
  /** The other claimants of the few that are contested, in the order in which they would follow. */
  readonly #waiting = new Map<string, readonly Claimant[]>();

  /** The Service as it was and as it is. Answers the Services for which somebody else has a frontend now than before. */
  replace(before: PlannedService | undefined, after: PlannedService | undefined): ReadonlySet<string> {
    const affected = new Set<string>();
    const [old, now] = [claimsOf(before), claimsOf(after)];
    const isSameAge = before?.service.createdAtMs === after?.service.createdAtMs;
    for (const [frontend, claimant] of old) {
      if (!isSameAge || !now.has(frontend)) this.#remove(claimant, frontend, affected);
    }
    for (const [frontend, claimant] of now) {
      if (!isSameAge || !old.has(frontend)) this.#add(claimant, frontend, affected);
    }
    return affected;
  }

  /** The plan with the frontends marked that other Services have, and a diagnostic for each. */
  resolve(planned: PlannedService): { readonly planned: PlannedService; readonly diagnostics: readonly Diagnostic[] } {
    const yielded = new Map<string, string>();
    const { service, ports, healthCheck, ...rest } = planned;
    const key = keyOf(service);
    for (const frontend of frontendsOf(planned)) {
      const owner = this.#owners.get(frontend);
      if (owner !== undefined && owner.key !== key) yielded.set(frontend, owner.key);
    }
    if (yielded.size === 0) return { planned, diagnostics: [] };
    const hasCheck = healthCheck !== undefined && !healthCheckFrontends(planned).some((one) => yielded.has(one));
    return {
      planned: {
        ...rest,
        service,
        ports: ports.map((port) => ({ ...port, yielded })),
        ...(hasCheck ? { healthCheck } : {}),
      },
      diagnostics: [...yielded].map(([frontend, owner]) => this.#problem(service, frontend, { owner, ports })),
    };
  }

  #remove({ key }: Claimant, frontend: string, affected: Set<string>): void {
    const others = this.#claimantsOf(frontend).filter((one) => one.key !== key);
    this.#set(frontend, others, affected);
  }

  #add(claimant: Claimant, frontend: string, affected: Set<string>): void {
    const others = this.#claimantsOf(frontend);
    if (others.length === 0) this.#owners.set(frontend, claimant);
    else this.#set(frontend, [...others, claimant].sort(byPrecedence), affected);
  }

  #claimantsOf(frontend: string): readonly Claimant[] {
    const owner = this.#owners.get(frontend);
    return owner === undefined ? [] : [owner, ...(this.#waiting.get(frontend) ?? [])];
  }

  #set(frontend: string, [owner, ...others]: readonly Claimant[], affected: Set<string>): void {
    // Those who wait are told who has it, so they are affected too.
    if (owner !== this.#owners.get(frontend)) for (const { key } of [owner ?? [], others].flat()) affected.add(key);
    if (owner === undefined) this.#owners.delete(frontend);
    else this.#owners.set(frontend, owner);
    if (others.length === 0) this.#waiting.delete(frontend);
    else this.#waiting.set(frontend, others);
  }

  #problem(service: Service, frontend: string, claim: Claim): Diagnostic {
    const age = this.#owners.get(frontend)?.createdAtMs ?? Infinity;
    const why = age < claimantOf(service).createdAtMs ? 'is older' : 'comes first by name';
    const message = `${frontend} is also claimed by Service ${claim.owner}, which ${why} and has it; ${describeObject(service)} is not served there`;
    return problemAt(service, pathOf(service, frontend, claim.ports), message);
  }
}

interface Claim {
  readonly owner: string;
  readonly ports: readonly PlannedPort[];
}

function claimantOf(service: Service): Claimant {
  return { key: keyOf(service), createdAtMs: service.createdAtMs ?? Infinity };
}

function claimsOf(planned: PlannedService | undefined): ReadonlyMap<string, Claimant> {
  if (planned === undefined) return noClaims;
  const claimant = claimantOf(planned.service);
  return new Map(frontendsOf(planned).map((frontend) => [frontend, claimant]));
}

const noClaims: ReadonlyMap<string, Claimant> = new Map();

function byPrecedence(one: Claimant, other: Claimant): number {
  if (one.createdAtMs !== other.createdAtMs) return one.createdAtMs < other.createdAtMs ? -1 : 1;
  return one.key < other.key ? -1 : 1;
}

function frontendsOf(planned: PlannedService): readonly string[] {
  return [...planned.ports.flatMap(portFrontends), ...healthCheckFrontends(planned)];
}

function portFrontends(planned: PlannedPort): readonly string[] {
  const { clusterIp, externalIps, loadBalancerIps, protocol, port, nodePort, family } = planned;
  const addresses = [clusterIp, ...externalIps, ...loadBalancerIps];
  const frontends = addresses.map((address) => addressFrontend(address, protocol, port));
  return nodePort === 0 ? frontends : [...frontends, nodePortFrontend(family, protocol, nodePort)];
}

function healthCheckFrontends({ healthCheck, ports }: PlannedService): readonly string[] {
  if (healthCheck === undefined) return [];
  const families = new Set(ports.map(({ family }) => family));
  return [...families].map((family) => nodePortFrontend(family, 'TCP', healthCheck.nodePort));
}

/** Where in the Service the frontend is written. */
function pathOf(service: Service, frontend: string, ports: readonly PlannedPort[]): string {
  for (const { clusterIp, protocol, port, nodePort, family, path } of ports) {
    const isAt = (address: IpAddress): boolean => addressFrontend(address, protocol, port) === frontend;
    if (isAt(clusterIp)) return clusterIpPath(service);
    const external = service.externalIps.findIndex(isAt);
    if (external >= 0) return `spec.externalIPs[${external}]`;
    const ingress = service.loadBalancerIngress.findIndex(({ ip }) => isAt(ip));
    if (ingress >= 0) return `status.loadBalancer.ingress[${ingress}].ip`;
    if (nodePort !== 0 && nodePortFrontend(family, protocol, nodePort) === frontend) return `${path}.nodePort`;
  }
  return 'spec.healthCheckNodePort';
}

/** Manifests may state the one or the other. */
function clusterIpPath({ location }: Service): string {
  const isSingle = location?.lines.has('spec.clusterIP') === true && !location.lines.has('spec.clusterIPs');
  return isSingle ? 'spec.clusterIP' : 'spec.clusterIPs';
}
