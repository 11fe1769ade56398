/** Kubeconfig files. JSON is YAML, and needs no quoting rules. */
import { writeFileSync } from 'node:fs';
import type { KeyPair } from './certificates.ts';

export type Credentials = { readonly clientCertificate: KeyPair } | { readonly tokenFile: string };

/** Writes a kubeconfig with one cluster, one user and one context; everything by path, nothing embedded. Returns `file`. */
export function writeKubeconfig(file: string, server: string, authority: string, credentials: Credentials): string {
  const user =
    'tokenFile' in credentials
      ? { tokenFile: credentials.tokenFile }
      : {
          'client-certificate': credentials.clientCertificate.certificate,
          'client-key': credentials.clientCertificate.key,
        };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'e2e',
    clusters: [{ name: 'e2e', cluster: { server, 'certificate-authority': authority } }],
    users: [{ name: 'e2e', user }],
    contexts: [{ name: 'e2e', context: { cluster: 'e2e', user: 'e2e' } }],
  };
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  return file;
}
