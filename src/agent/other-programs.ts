/** Looks for programs beside us: what answers on loopback, and which processes share our network namespace. */
import { readdir, readFile, readlink } from 'node:fs/promises';
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

/** The first process of this network namespace that `isIt` (its name, at most 15 characters, and its arguments); another namespace has rules of its own. */
export async function findProcess(
  procDirectory: string,
  isIt: (name: string, args: readonly string[]) => boolean,
): Promise<string | undefined> {
  const own = await linkOf(join(procDirectory, 'self', 'ns', 'net'));
  const pids = (await readdir(procDirectory)).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const [name, command] = await Promise.all([
      textOf(procDirectory, pid, 'comm'),
      textOf(procDirectory, pid, 'cmdline'),
    ]);
    if (!isIt(name.trim(), command.split('\0'))) continue;
    const netns = await linkOf(join(procDirectory, pid, 'ns', 'net'));
    if (netns !== undefined && netns === own) return pid;
  }
  return undefined;
}

/** Empty: the process has just gone. */
function textOf(procDirectory: string, pid: string, file: string): Promise<string> {
  return readFile(join(procDirectory, pid, file), 'utf8').catch(() => '');
}

/** Undefined: the process has just gone, or is not ours to look at. */
function linkOf(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined);
}
