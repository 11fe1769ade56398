/** Access to a cluster by a kubeconfig file: certificates, tokens, passwords, exec plugins, OIDC. */
import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import type { User } from '@kubernetes/client-node/dist/config_types.js';
import { listOf } from './api-object.ts';
import type { ClusterAccess, Credentials, TlsOptions } from './cluster-access.ts';
import { KubeConfigError } from './kube-api-error.ts';
import type { Kubeconfig, KubeconfigUser, Secret } from './kubeconfig-file.ts';
import { readKubeconfig } from './kubeconfig-file.ts';

/** Throws KubeConfigError where the file cannot be used. */
export function kubeconfigAccess(file: string): ClusterAccess {
  return new KubeconfigAccess(file);
}

/** What client-node's authenticators have in common. */
interface Authenticator {
  applyAuthentication(user: User, options: RequestOptions): Promise<void>;
}

class KubeconfigAccess implements ClusterAccess {
  readonly #file: string;
  #config: Kubeconfig;
  #authenticator: Promise<Authenticator> | undefined;

  constructor(file: string) {
    this.#file = file;
    this.#config = readKubeconfig(file);
  }

  get server(): string {
    return this.#config.server;
  }

  async credentials(): Promise<Credentials> {
    const { ca, servername, isInsecure, user } = this.#config;
    const plugin = await this.#askPlugin(user);
    const cert = plugin.cert ?? contentOf(user.cert);
    const key = plugin.key ?? contentOf(user.key);
    const tls: TlsOptions = {
      ...(ca === undefined ? {} : { ca: contentOf(ca) }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
      ...(isInsecure ? { rejectUnauthorized: false } : {}),
    };
    const impersonation = user.impersonate === undefined ? {} : { 'impersonate-user': user.impersonate };
    return { tls, headers: { ...headersOf(user), ...plugin.headers, ...impersonation } };
  }

  /** The file itself may have been written anew: whoever made it last knows better than what we remember. */
  forget(): void {
    this.#authenticator = undefined;
    try {
      this.#config = readKubeconfig(this.#file);
    } catch (error) {
      if (!(error instanceof KubeConfigError)) throw error;
    }
  }

  async #askPlugin(user: KubeconfigUser): Promise<Partial<TlsOptions> & Pick<Credentials, 'headers'>> {
    if (user.exec === undefined && user.authProvider === undefined) return { headers: {} };
    this.#authenticator ??= authenticatorFor(user);
    const options: RequestOptions = { headers: {} };
    try {
      await (await this.#authenticator).applyAuthentication(clientNodeUser(user), options);
    } catch (error) {
      const reason = (error instanceof Error ? error.message : String(error)).trim();
      const name = user.exec === undefined ? 'OIDC' : String(user.exec['command']);
      throw new KubeConfigError(`${this.#file}: users: ${name} gave no credentials: ${reason}`, { cause: error });
    }
    const { cert, key } = options;
    return {
      ...(typeof cert === 'string' ? { cert } : {}),
      ...(typeof key === 'string' ? { key } : {}),
      headers: Object.fromEntries(Object.entries(options.headers ?? {}).map(([name, value]) => [name, String(value)])),
    };
  }
}

/** Loaded only for who needs them: the index of client-node costs 90 MB, OIDC 75 MB, an exec plugin 2 MB. */
async function authenticatorFor({ exec }: KubeconfigUser): Promise<Authenticator> {
  if (exec !== undefined) {
    const { ExecAuth } = await import('@kubernetes/client-node/dist/exec_auth.js');
    return new ExecAuth();
  }
  const { OpenIDConnectAuth } = await import('@kubernetes/client-node/dist/oidc_auth.js');
  return new OpenIDConnectAuth();
}

/** Plugins are told what is expected of them by KUBERNETES_EXEC_INFO, which client-node leaves out. */
function clientNodeUser({ name, exec, authProvider }: KubeconfigUser): User {
  if (exec === undefined) return { name, authProvider };
  const info = { apiVersion: exec['apiVersion'], kind: 'ExecCredential', spec: { interactive: false } };
  const env = [...listOf(exec['env']), { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }];
  return { name, exec: { ...exec, args: listOf(exec['args']), env } };
}

function headersOf({ token, tokenFile, username, password }: KubeconfigUser): Credentials['headers'] {
  const bearer = tokenFile === undefined ? token : textIn(tokenFile);
  if (bearer !== undefined) return { authorization: `Bearer ${bearer}` };
  if (username === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}` };
}

function textIn(file: string): string {
  return read(file).toString('utf8').trim();
}

function contentOf<T extends Secret | undefined>(secret: T): Buffer | (T extends undefined ? undefined : never);
function contentOf(secret: Secret | undefined): Buffer | undefined {
  if (secret === undefined) return undefined;
  return 'content' in secret ? secret.content : read(secret.file);
}

function read(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KubeConfigError(`${file}: cannot be read: ${reason}; the kubeconfig names it`, { cause: error });
  }
}
