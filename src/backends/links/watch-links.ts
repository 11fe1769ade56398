/** Word of every change of links, addresses, routes and neighbours, by `ip monitor`. */
import { setTimeout as sleep } from 'node:timers/promises';
import { EventFlag } from '../../lib/event-flag.ts';
import { CommandError, streamLines } from '../exec.ts';
import type { Argv } from '../exec.ts';

export interface WatchOptions {
  /** How long to go on collecting after a first event. */
  readonly collectMs?: number;
  /** Pause before a monitor that ended is started again. */
  readonly restartMs?: number;
  /** How lines of a program are followed; for tests that look into another network namespace. */
  readonly lines?: (argv: Argv, signal: AbortSignal) => AsyncIterable<string>;
  /** Whether pods are behind this bridge. Neighbours elsewhere come and go without meaning. Default: of every device that may be. */
  readonly isPodBridge?: (device: string) => boolean;
}

/**
 * Yields at the start and after each monitor that ended, because what changed in between is not known; else once per burst of
 * events. Ends when `signal` aborts.
 */
export async function* watchLinks(
  signal: AbortSignal,
  options: WatchOptions = {},
): AsyncGenerator<void, void, undefined> {
  const { collectMs = 5, restartMs = 1_000, lines = streamLines, isPodBridge = () => true } = options;
  const events = new EventFlag();
  const following = follow(signal, { events, restartMs, lines, isPodBridge });
  try {
    while (!signal.aborted) {
      yield;
      await events.next(signal);
      await pause(collectMs, signal);
      events.lower();
    }
  } finally {
    await following;
  }
}

/** Tells news from noise: a neighbour's state changes all the time, its MAC hardly ever. */
export class NeighbourFilter {
  readonly #macs = new Map<string, string>();
  readonly #isPodBridge: (device: string) => boolean;

  constructor(isPodBridge: (device: string) => boolean = () => true) {
    this.#isPodBridge = isPodBridge;
  }

  /** `line` of `ip -o monitor ... label`. */
  isNews(line: string): boolean {
    if (!line.startsWith('[NEIGH]')) return true;
    const [, deleted, who = '', mac] = /^\[NEIGH\](Deleted )?(.*?dev \S+)(?: lladdr (\S+))?/.exec(line) ?? [];
    // A port has learnt a MAC where no address stands before the device: that concerns a bridge in any case.
    const [, device = ''] = /^\S+ dev (\S+)$/.exec(who) ?? [];
    if (device !== '' && !this.#isPodBridge(device)) return false;
    if (deleted !== undefined) {
      this.#macs.delete(who);
      return false;
    }
    if (mac === undefined || this.#macs.get(who) === mac) return false;
    this.#macs.set(who, mac);
    return true;
  }
}

interface FollowOptions {
  readonly events: EventFlag;
  readonly restartMs: number;
  readonly lines: NonNullable<WatchOptions['lines']>;
  readonly isPodBridge: (device: string) => boolean;
}

const monitor: Argv = ['ip', '-o', 'monitor', 'link', 'address', 'route', 'neigh', 'label'];

async function follow(signal: AbortSignal, { events, restartMs, lines, isPodBridge }: FollowOptions): Promise<void> {
  while (!signal.aborted) {
    try {
      await raiseOnNews(lines(monitor, signal), events, new NeighbourFilter(isPodBridge));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      await pause(restartMs, signal);
      events.raise();
    }
  }
}

async function raiseOnNews(lines: AsyncIterable<string>, events: EventFlag, filter: NeighbourFilter): Promise<void> {
  for await (const line of lines) if (filter.isNews(line)) events.raise();
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    // Aborted: the caller looks at the signal.
  }
}
