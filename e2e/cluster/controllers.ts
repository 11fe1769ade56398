/** kube-controller-manager and kube-scheduler beside the control plane. */
import { join } from 'node:path';
import { binary } from '../build/build.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Daemon } from './daemon.ts';
import { startDaemon } from './daemon.ts';
import type { Estate } from './estate.ts';
import { inPlace } from './network.ts';
import type { Topology } from './topology.ts';

/** Starts both; they need no waiting for, pods that wait for them do. */
export async function startControllers(
  estate: Estate,
  controlPlane: ControlPlane,
  topology: Topology,
): Promise<readonly Daemon[]> {
  const { authority, signingKey, logs } = controlPlane;
  const start = (name: string, argv: readonly [string, ...string[]]): Daemon =>
    startDaemon(estate, inPlace(controlPlane, argv), { name, log: join(logs, `${name}.log`) });
  const managerConfig = await controlPlane.kubeconfigFor('controller-manager', {
    user: 'system:kube-controller-manager',
  });
  const schedulerConfig = await controlPlane.kubeconfigFor('scheduler', { user: 'system:kube-scheduler' });
  const managerFlags = [
    `--kubeconfig=${managerConfig}`,
    `--root-ca-file=${authority.certificate}`,
    `--service-account-private-key-file=${signingKey}`,
    `--cluster-signing-cert-file=${authority.certificate}`,
    `--cluster-signing-key-file=${authority.key}`,
    `--cluster-cidr=${topology.podCidr}`,
    `--service-cluster-ip-range=${topology.serviceCidr}`,
    // Nodes are registered with their pod CIDR, because the routes between them are made before.
    '--allocate-node-cidrs=false',
    '--use-service-account-credentials=true',
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    // Suites make and delete hundreds of namespaces.
    '--concurrent-namespace-syncs=20',
    '--kube-api-qps=200',
    '--kube-api-burst=400',
  ];
  return [
    start('kube-controller-manager', [binary('kube-controller-manager'), ...managerFlags]),
    start('kube-scheduler', [
      binary('kube-scheduler'),
      `--kubeconfig=${schedulerConfig}`,
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
    ]),
  ];
}
