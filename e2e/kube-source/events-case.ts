/** Events on refused objects, as the real API server takes them. */
import { EventRecorder } from '../../src/kube/event-recorder.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import { kubeconfigAccess } from '../../src/kube/kubeconfig.ts';
import type { ClusterState } from '../../src/cluster/state.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { systemClock } from '../../src/telemetry/system-clock.ts';
import { until } from '../cluster/until.ts';
import type { Stage } from './cases.ts';

/** Two agents refuse one policy of the cluster; throws unless that becomes one Event, with what they said. */
export async function refuseByTwo({ plane, kubeconfig }: Stage, state: ClusterState, policy: string): Promise<void> {
  const stop = new AbortController();
  const logger = createLogger('error');
  const client = new KubeClient({ access: kubeconfigAccess(kubeconfig), userAgent: 'sluice-e2e' });
  const common = { client, clock: systemClock, now: () => new Date(), logger, pauseMs: 10 };
  const recorders = ['n1', 'n2'].map((nodeName) => new EventRecorder({ ...common, nodeName }));
  const running = Promise.all(recorders.map((recorder) => recorder.run(stop.signal)));
  const message = 'is not known here, and so on';
  const refusal = { severity: 'error', object: `NetworkPolicy ${policy}`, path: 'spec.egress[0]', message } as const;
  try {
    for (const recorder of recorders) recorder.update([refusal], () => state.networkPolicies.get(policy));
    const [namespace = '', name = ''] = policy.split('/');
    const notes = async (): Promise<readonly string[]> => {
      const chosen = ['-n', namespace, `--field-selector=regarding.name=${name}`, '-o', 'jsonpath={.items[*].note}'];
      return (await plane.kubectl(['get', 'events.events.k8s.io', ...chosen]))
        .split('\n')
        .filter((line) => line !== '');
    };
    await until('the Event', async () => (await notes()).length > 0, { timeoutMs: 20_000 });
    const found = await notes();
    if (found.join('|') !== `spec.egress[0]: ${message}`)
      throw new Error(`expected one Event, got ${found.join(' | ')}`);
  } finally {
    stop.abort();
    await running;
    client.close();
  }
}
