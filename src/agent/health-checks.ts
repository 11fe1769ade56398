/**
 * Tells load balancers whether this node has endpoints of a Service with externalTrafficPolicy Local: an HTTP server on
 * the Service's healthCheckNodePort, with the answers that kube-proxy gives (kube-proxy.md 2.6).
 */
import { Hono } from 'hono';
import type { ClusterObject } from '../cluster/objects.ts';
import { describeObject } from '../cluster/objects.ts';
import type { Clock } from '../lib/clock.ts';
import type { Diagnostic } from '../lib/diagnostic.ts';
import type { IpAddress, IpFamily } from '../lib/ip.ts';
import { sameValue } from '../lib/same-value.ts';
import { ipFamilies } from '../dataplane/dataplane.ts';
import type { Listener } from '../server/listen.ts';
import { listenOn } from '../server/listen.ts';
import type { PlannedService } from '../service/plan.ts';
import { answersEverywhere, nodePortAddressesOf } from '../service/nodeport-addresses.ts';
import type { NodePortOptions } from '../service/nodeport-addresses.ts';
import type { Logger } from '../telemetry/logger.ts';
import { messageOf } from './failure.ts';
import { Reconciler } from './reconciler.ts';

export interface HealthChecksOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What was decided is in the kernel, or has not been waiting for long. */
  readonly isHealthy: () => boolean;
}

/** What a balancer is told. */
interface Check {
  readonly service: ClusterObject & { readonly namespace: string };
  readonly nodePort: number;
  /** Absent: the Service has no address of the family. */
  readonly localEndpoints: Readonly<Partial<Record<IpFamily, number>>>;
}

/** One socket that should be open. */
interface Place {
  readonly key: string;
  readonly family: IpFamily;
  readonly host: string;
  readonly port: number;
}

const anyAddress: Readonly<Record<IpFamily, string>> = { ipv4: '0.0.0.0', ipv6: '::' };

export class HealthChecks {
  readonly #options: HealthChecksOptions;
  readonly #rounds: Reconciler;
  /** By Service. */
  readonly #checks = new Map<string, Check>();
  readonly #open = new Map<string, Listener>();
  readonly #problems = new Map<string, Diagnostic>();
  #node: NodePortOptions | undefined;

  constructor(options: HealthChecksOptions) {
    this.#options = options;
    this.#rounds = new Reconciler({
      clock: options.clock,
      collectMs: 0,
      minBackoffMs: 1000,
      maxBackoffMs: 10_000,
      reconcile: () => this.#bring(),
      onFailure: throwUnlessTold,
    });
  }

  /** Sockets that could not be opened; they are tried again. */
  get diagnostics(): readonly Diagnostic[] {
    return [...this.#problems.values()];
  }

  /** These Services are in the kernel like this now; undefined: gone. */
  written(
    services: Iterable<readonly [key: string, planned: PlannedService | undefined]>,
    node: NodePortOptions,
  ): void {
    const isOtherNode = !sameValue(placesOf(node), this.#node === undefined ? undefined : placesOf(this.#node));
    this.#node = node;
    let isChanged = isOtherNode && this.#checks.size > 0;
    for (const [key, planned] of services) {
      const check = planned === undefined ? undefined : checkOf(planned);
      isChanged ||= check !== undefined || this.#checks.has(key);
      if (check === undefined) this.#checks.delete(key);
      else this.#checks.set(key, check);
    }
    if (isChanged) this.#rounds.markDirty();
  }

  /** Until `signal` aborts; then nobody answers, and balancers look for another node. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#rounds.run(signal);
    } finally {
      await Promise.all([...this.#open.values()].map((listener) => listener.close()));
      this.#open.clear();
    }
  }

  /** Closes first: a port may go from one Service to another. */
  async #bring(): Promise<void> {
    const wanted = new Map(this.#places().map((place) => [idOf(place), place]));
    for (const [id, listener] of this.#open) {
      if (wanted.has(id)) continue;
      this.#open.delete(id);
      await listener.close();
    }
    for (const id of this.#problems.keys()) if (!wanted.has(id)) this.#problems.delete(id);
    for (const [id, place] of wanted) if (!this.#open.has(id)) await this.#listen(id, place);
    if (this.#problems.size > 0) throw new UnopenedError('some health checks have no socket');
  }

  async #listen(id: string, place: Place): Promise<void> {
    const { family, host, port, key } = place;
    try {
      const app = this.#appOf(key, family);
      this.#open.set(id, await listenOn(app, { host, port, ipv6Only: family === 'ipv6' }));
      this.#problems.delete(id);
    } catch (error) {
      this.#fail(id, place, `nobody answers the load balancer's health checks here: ${messageOf(error)}`);
    }
  }

  #fail(id: string, { key, port }: Place, message: string): void {
    const service = this.#checks.get(key)?.service;
    if (service === undefined) return;
    const { location } = service;
    if (this.#problems.get(id)?.message !== message) {
      this.#options.logger.warn({ part: 'services', service: key, port, message }, 'health check was not opened');
    }
    this.#problems.set(id, {
      severity: 'error',
      object: describeObject(service),
      path: 'spec.healthCheckNodePort',
      message,
      ...(location === undefined ? {} : { file: location.file, line: location.line }),
    });
  }

  #places(): readonly Place[] {
    return [...this.#checks].flatMap(([key, { nodePort, localEndpoints }]) =>
      ipFamilies
        .filter((family) => localEndpoints[family] !== undefined)
        .flatMap((family) => this.#hostsOf(family).map((host) => ({ key, family, host, port: nodePort }))),
    );
  }

  #hostsOf(family: IpFamily): readonly (IpAddress | string)[] {
    if (this.#node === undefined) return [];
    if (answersEverywhere(this.#node, family)) return [anyAddress[family]];
    return nodePortAddressesOf(this.#node, family);
  }

  #appOf(key: string, family: IpFamily): Hono {
    const app = new Hono();
    app.all('*', () => answerOf(this.#checks.get(key), family, this.#options.isHealthy()));
    return app;
  }
}

/** What decides which sockets there are. */
function placesOf({ nodePortAddresses, localhostNodePorts, nodeAddresses }: NodePortOptions): NodePortOptions {
  return { nodePortAddresses, localhostNodePorts, nodeAddresses };
}

/** What could not be opened is tried again. */
class UnopenedError extends Error {
  override readonly name = 'UnopenedError';
}

function throwUnlessTold(error: unknown): void {
  if (!(error instanceof UnopenedError)) throw error;
}

function checkOf({ service, ports, healthCheck }: PlannedService): Check | undefined {
  if (healthCheck === undefined) return undefined;
  const { nodePort, localEndpoints } = healthCheck;
  const families = ipFamilies.filter((family) => ports.some((port) => port.family === family));
  return {
    service,
    nodePort,
    localEndpoints: Object.fromEntries(families.map((family) => [family, localEndpoints[family]])),
  };
}

function answerOf(check: Check | undefined, family: IpFamily, serviceProxyHealthy: boolean): Response {
  if (check === undefined) return new Response('no such Service\n', { status: 404 });
  const { namespace, name } = check.service;
  const localEndpoints = check.localEndpoints[family] ?? 0;
  const body = { service: { namespace, name }, localEndpoints, serviceProxyHealthy };
  return new Response(JSON.stringify(body, null, '\t'), {
    status: localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
    headers: {
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      'x-load-balancing-endpoint-weight': String(localEndpoints),
    },
  });
}

/** A socket belongs to its Service: the same port of another one is opened anew. */
function idOf({ key, host, port }: Place): string {
  return `${key} ${host} ${port}`;
}
