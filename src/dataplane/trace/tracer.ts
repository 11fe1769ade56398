/**
 * One node's netfilter as a function: tables in the kernel's order at each hook, conntrack between raw and the rest,
 * NAT for the first packet of a connection only, routing after each change of destination.
 */
import type { IpAddress, IpFamily } from '../../lib/ip.ts';
import type { Dataplane } from '../dataplane.ts';
import type { BuiltinChain, Match, TableName } from '../rule.ts';
import type { FlightOptions } from './flight.ts';
import { AddressNumbers, Flight } from './flight.ts';
import type { MatchContext } from './match.ts';
import { compileMatch } from './match.ts';
import type { Packet } from './packet.ts';
import { SetLookup } from './set-lookup.ts';
import type { Trace, TraceStep, Verdict } from './step.ts';
import type { WalkPlace } from './table-walk.ts';
import { TableWalker } from './table-walk.ts';

/** The way out of a node to an address that is not its own. */
export interface Route {
  readonly outInterface: string;
  /** The bridge port behind `outInterface` that leads to the address. */
  readonly outPort?: string;
  /** The node's address on that side: what MASQUERADE gives. */
  readonly sourceAddress?: IpAddress;
}

/** What netfilter asks the rest of the node. */
export interface Host {
  /** The node's own addresses; loopback is always its own. */
  isOwnAddress(address: IpAddress): boolean;
  route(destination: IpAddress): Route;
}

export interface TraceOptions extends FlightOptions {
  /** Keep every step. */
  readonly record?: boolean;
}

export class NodeTracer {
  readonly #host: Host;
  readonly #walkers: Readonly<Record<IpFamily, TableWalker>>;
  readonly #context: MatchContext;

  /** `dataplane` may be live: what is traced is its state of the moment. */
  constructor(dataplane: Dataplane, host: Host) {
    this.#host = host;
    this.#context = {
      sets: new SetLookup(dataplane.ipSets),
      numbers: new AddressNumbers(),
      isLocal: (address) => isLoopback(address) || host.isOwnAddress(address),
    };
    this.#walkers = {
      ipv4: new TableWalker(dataplane, 'ipv4', this.#context),
      ipv6: new TableWalker(dataplane, 'ipv6', this.#context),
    };
  }

  /** A packet that arrives by `inInterface` (and bridge port `inPort`). */
  receive(packet: Packet, options: TraceOptions = {}): Trace {
    return this.#begin(packet, options).receive();
  }

  /** A packet that a program of the node sends. */
  send(packet: Packet, options: TraceOptions = {}): Trace {
    return this.#begin(packet, options).send();
  }

  /** One hook alone. */
  traceHook(hook: BuiltinChain, packet: Packet, options: TraceOptions = {}): Trace {
    return this.#begin(packet, options).one(hook);
  }

  /** Whether one condition holds for a packet behind conntrack: for telling why a rule did not match. */
  matches(match: Match, packet: Packet, options: FlightOptions = {}): boolean {
    const flight = new Flight(packet, options);
    flight.isTracked = true;
    return compileMatch(match, this.#context)(flight);
  }

  #begin(packet: Packet, options: TraceOptions): Passage {
    const flight = new Flight(packet, options);
    return new Passage(flight, {
      walker: this.#walkers[packet.family],
      host: this.#host,
      isLocal: (address) => this.#context.isLocal(address),
      record: options.record === true,
    });
  }
}

interface Surroundings {
  readonly walker: TableWalker;
  readonly host: Host;
  readonly record: boolean;
  isLocal(address: IpAddress): boolean;
}

/** Tables by hook, in the kernel's order of priorities. */
const tablesOf: Readonly<Record<BuiltinChain, readonly TableName[]>> = {
  PREROUTING: ['raw', 'mangle', 'nat'],
  INPUT: ['mangle', 'filter', 'nat'],
  FORWARD: ['mangle', 'filter'],
  OUTPUT: ['raw', 'mangle', 'nat', 'filter'],
  POSTROUTING: ['mangle', 'nat'],
};

/** One packet's way through one node. */
class Passage {
  readonly #flight: Flight;
  readonly #surroundings: Surroundings;
  readonly #path: TraceStep[] = [];
  /** conntrack asks the nat table once for each side of a connection. */
  readonly #natDone = { destination: false, source: false };

  constructor(flight: Flight, surroundings: Surroundings) {
    this.#flight = flight;
    this.#surroundings = surroundings;
  }

  receive(): Trace {
    const refused = this.#hook('PREROUTING');
    if (refused !== undefined) return this.#end(refused);
    return this.#isForHost() ? this.#deliver() : this.#forward();
  }

  send(): Trace {
    const flight = this.#flight;
    // The output interface of all of OUTPUT is the first route's, also after DNAT; POSTROUTING sees the new one.
    this.#route();
    const refused = this.#hook('OUTPUT');
    if (refused !== undefined) return this.#end(refused);
    this.#route();
    const stopped = this.#hook('POSTROUTING');
    if (stopped !== undefined) return this.#end(stopped);
    if (!this.#isForHost()) return this.#end('accept', 'interface');
    flight.inInterface = 'lo';
    flight.outInterface = undefined;
    return this.receive();
  }

  one(hook: BuiltinChain): Trace {
    return this.#end(this.#hook(hook) ?? 'accept');
  }

  #deliver(): Trace {
    const refused = this.#hook('INPUT');
    return this.#end(refused ?? 'accept', 'local');
  }

  #forward(): Trace {
    const flight = this.#flight;
    this.#route();
    const refused = this.#hook('FORWARD');
    if (refused !== undefined) return this.#end(refused);
    flight.inInterface = undefined; // POSTROUTING has none; the bridge port stays known
    const stopped = this.#hook('POSTROUTING');
    return stopped === undefined ? this.#end('accept', 'interface') : this.#end(stopped);
  }

  #isForHost(): boolean {
    return this.#surroundings.isLocal(this.#flight.destination);
  }

  #route(): void {
    const flight = this.#flight;
    if (this.#isForHost()) {
      flight.outInterface = 'lo';
      flight.outPort = undefined;
      flight.egressAddress = flight.destination;
      return;
    }
    const route = this.#surroundings.host.route(flight.destination);
    // A packet routed to a bridge is given to a port after POSTROUTING; only a bridged one has a port to leave by.
    const isBridged = flight.inPort !== undefined && flight.inInterface === route.outInterface;
    flight.outInterface = route.outInterface;
    flight.outPort = isBridged ? route.outPort : undefined;
    flight.egressAddress = route.sourceAddress;
  }

  /** Undefined: every table let it pass. */
  #hook(hook: BuiltinChain): 'drop' | 'reject' | undefined {
    for (const table of tablesOf[hook]) {
      if (table !== 'raw') this.#flight.isTracked = true;
      if (table === 'nat' && !this.#enterNat(hook)) continue;
      const verdict = this.#surroundings.walker.walk(this.#placeOf(table, hook), this.#flight);
      if (verdict === 'drop' || verdict === 'reject') return verdict;
    }
    return undefined;
  }

  #enterNat(hook: BuiltinChain): boolean {
    if (this.#flight.state !== 'NEW') return false;
    const side = hook === 'PREROUTING' || hook === 'OUTPUT' ? 'destination' : 'source';
    if (this.#natDone[side]) return false;
    this.#natDone[side] = true;
    return true;
  }

  #placeOf(table: TableName, hook: BuiltinChain): WalkPlace {
    return this.#surroundings.record ? { table, hook, path: this.#path } : { table, hook };
  }

  #end(verdict: Verdict, exit: Trace['exit'] = 'none'): Trace {
    const isAccepted = verdict === 'accept';
    return { verdict, path: this.#path, packet: this.#flight.snapshot(), exit: isAccepted ? exit : 'none' };
  }
}

function isLoopback(address: IpAddress): boolean {
  return address === '::1' || address.startsWith('127.');
}
