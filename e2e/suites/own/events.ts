/** Events on what the installed agents refuse. */
import type { Cluster } from '../../cluster/cluster.ts';
import { until } from '../../cluster/until.ts';

const namespace = 'contest';
const inNamespace = ['-n', namespace] as const;

/** Two Services with one external IP: the API server takes both, one frontend has one owner, and the other Service is told so. */
export async function contestedServiceHasEvent(
  cluster: Pick<Cluster, 'kubectl'>,
  tell: (line: string) => void,
): Promise<void> {
  const { kubectl } = cluster;
  const apply = async (object: object): Promise<unknown> => kubectl(['apply', '-f', '-'], JSON.stringify(object));
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  try {
    for (const name of ['elder', 'younger']) {
      await apply({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name, namespace },
        spec: { selector: { app: name }, ports: [{ port: 80 }], externalIPs: ['198.51.100.77'] },
      });
      // Their ages are told in whole seconds.
      await new Promise((resolve) => setTimeout(resolve, 1100));
    }
    const path = '{range .items[*]}{.regarding.kind} {.regarding.name} {.reportingController}: {.note}{"\\n"}{end}';
    const events = async (): Promise<readonly string[]> =>
      (await kubectl([...inNamespace, 'get', 'events.events.k8s.io', `-o=jsonpath=${path}`]))
        .split('\n')
        .filter((line) => line.includes('sluice.io/agent'));
    await until('an Event on the younger Service', async () => (await events()).length > 0, { timeoutMs: 30_000 });
    const found = await events();
    for (const line of found) tell(line);
    const wanted = found.filter((line) => line.startsWith('Service younger ') && line.includes('contest/elder'));
    if (found.length !== 1 || wanted.length !== 1)
      throw new Error(`expected one Event on the younger: ${found.join(' | ')}`);
  } finally {
    await kubectl(['delete', 'namespace', namespace, '--wait', '--timeout=120s']);
  }
}
