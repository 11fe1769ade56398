/** A pod's own access to its cluster: environment and service account, as kubelet provides them. */
import { readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { ClusterAccess } from './cluster-access.ts';
import { KubeConfigError } from './kube-api-error.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const accountDirectory = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Undefined outside of a pod. kubelet replaces token and CA before they expire, so both are read for every request. */
export function inClusterAccess(environment: Environment, directory = accountDirectory): ClusterAccess | undefined {
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT'];
  if (host === undefined || port === undefined || host === '' || port === '') return undefined;
  const read = (name: string): string => readAccountFile(join(directory, name));
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    async credentials() {
      return { tls: { ca: read('ca.crt') }, headers: { authorization: `Bearer ${read('token').trim()}` } };
    },
    forget: () => undefined,
  };
}

function readAccountFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const expected = "expected the service account that kubelet mounts (the pod's automountServiceAccountToken)";
    throw new KubeConfigError(`${path}: cannot be read: ${reason}; ${expected}`, { cause: error });
  }
}
