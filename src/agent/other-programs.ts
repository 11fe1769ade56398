/** Looks for programs beside us: what answers on loopback, and which processes share our network namespace. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

export interface LocalAnswer {
  readonly status: number;
  readonly body: string;
}

const timeoutMs = 1000;
/** More tells nothing new about who answers. */
const mostBytes = 200_000;

/** What a port of 127.0.0.1 answers; undefined: nobody does, or not within a second. */
export function askLoopback(port: number, path: string): Promise<LocalAnswer | undefined> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path, timeout: timeoutMs }, (response) => {
      let body = '';
      const finish = (): void => resolve({ status: response.statusCode ?? 0, body });
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length < mostBytes) return;
        finish();
        sent.destroy();
      });
      response.on('end', finish);
      response.on('error', () => resolve(undefined));
    });
    // A body that never ends is no answer either.
    const timer = setTimeout(() => sent.destroy(), 2 * timeoutMs);
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(undefined));
    sent.on('close', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    sent.end();
  });
}

/**
 * The first process of this network namespace that `isIt` (its name, at most 15 characters, and its arguments); another namespace has rules of its own.
 * At once, not beside other things: a start has nothing else to do, and the files of a few hundred processes are read in milliseconds.
 */
export function findProcess(
  procDirectory: string,
  isIt: (name: string, args: () => readonly string[]) => boolean,
): string | undefined {
  const own = linkOf(join(procDirectory, 'self', 'ns', 'net'));
  return readdirSync(procDirectory).find((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const args = () => textOf(procDirectory, pid, 'cmdline').split('\0');
    if (!isIt(textOf(procDirectory, pid, 'comm').trim(), args)) return false;
    const netns = linkOf(join(procDirectory, pid, 'ns', 'net'));
    return netns !== undefined && netns === own;
  });
}

/** Empty: the process has just gone. */
function textOf(procDirectory: string, pid: string, file: string): string {
  return unlessGone(() => readFileSync(join(procDirectory, pid, file), 'utf8')) ?? '';
}

/** Undefined: the process has just gone, or is not ours to look at. */
function linkOf(path: string): string | undefined {
  return unlessGone(() => readlinkSync(path));
}

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}
