/** What the agents of a lab found worth a warning, each message once with how often it came and its first line. */
import { readFile } from 'node:fs/promises';
import { runDirectory } from '../../src/lab/run-directory.ts';

export async function agentWarnings(lab: string, nodes: readonly string[]): Promise<readonly string[]> {
  const texts = await Promise.all(nodes.map((node) => readFile(runDirectory(lab).log(`agent-${node}`), 'utf8')));
  const lines = texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => /"level":"?(?:40|50|60|warn|error|fatal)"?/.test(line));
  const byMessage = Map.groupBy(lines, (line) => /"msg":"([^"]*)"/.exec(line)?.[1] ?? line);
  return [...byMessage].map(([message, own]) => `${own.length} x ${message}: ${(own[0] ?? '').slice(0, 400)}`);
}
