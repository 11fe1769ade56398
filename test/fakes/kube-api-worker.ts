/** The fake API server as a process, for a network namespace of its own: says its port, then does what its input lines say. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { FakeKubeApi } from './kube-api.ts';
import type { NewObject } from './kube-store.ts';

export type KubeApiCommand =
  | { readonly do: 'put'; readonly path: string; readonly object: NewObject }
  | { readonly do: 'delete'; readonly path: string; readonly key: string }
  | { readonly do: 'forbid' | 'allow'; readonly path: string }
  /** Its objects can be changed meanwhile; \`listen\` brings it back at the same port. */
  | { readonly do: 'stop' | 'listen' };

const [cert, key] = process.argv.slice(2);
const tls =
  cert === undefined || key === undefined
    ? {}
    : { tls: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') } };
const api = await FakeKubeApi.start(tls);
const { port } = api;
process.stdout.write(`${api.url}\n`);
for await (const line of createInterface(process.stdin)) {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the test
  await obey(JSON.parse(line) as KubeApiCommand);
  process.stdout.write('done\n');
}
await api.stop();

async function obey(command: KubeApiCommand): Promise<void> {
  switch (command.do) {
    case 'put':
      api.store.put(command.path, command.object);
      break;
    case 'delete':
      api.store.delete(command.path, command.key);
      break;
    case 'forbid':
      api.forbidden.add(command.path);
      break;
    case 'allow':
      api.forbidden.delete(command.path);
      break;
    case 'stop':
      await api.stop();
      break;
    default:
      await api.listen(port);
  }
}
