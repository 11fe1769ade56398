/** A kubeconfig file as the one cluster and user that its current context names. Errors name file and field. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import type { Json } from './api-object.ts';
import { listOf, recordOf, textOf } from './api-object.ts';
import { KubeConfigError } from './kube-api-error.ts';

/** A file, or its contents in the kubeconfig itself. */
export type Secret = { readonly file: string } | { readonly content: Buffer };

export interface Kubeconfig {
  readonly server: string;
  readonly ca?: Secret;
  readonly servername?: string;
  readonly isInsecure: boolean;
  readonly user: KubeconfigUser;
}

export interface KubeconfigUser {
  readonly name: string;
  readonly cert?: Secret;
  readonly key?: Secret;
  readonly token?: string;
  /** Read for every request; wins over `token`. */
  readonly tokenFile?: string;
  readonly username?: string;
  readonly password?: string;
  readonly impersonate?: string;
  /** A program that yields credentials (client.authentication.k8s.io). */
  readonly exec?: Json;
  /** `oidc`, in the old form. */
  readonly authProvider?: Json;
}

/** Throws KubeConfigError. */
export function readKubeconfig(file: string): Kubeconfig {
  const root = recordOf(parseFile(file));
  const problem = (text: string): never => {
    throw new KubeConfigError(`${file}: ${text}`);
  };
  const contextName = textOf(root['current-context']) ?? problem('current-context: missing, expected the name of one');
  const context = entryOf(root, 'context', contextName) ?? problem(`contexts: no context "${contextName}"`);
  const clusterName = textOf(context['cluster']) ?? problem(`contexts: "${contextName}" names no cluster`);
  const cluster = entryOf(root, 'cluster', clusterName) ?? problem(`clusters: no cluster "${clusterName}"`);
  const userName = textOf(context['user']);
  const user = userName === undefined ? {} : entryOf(root, 'user', userName);
  if (user === undefined) return problem(`users: no user "${userName}"`);
  if (cluster['proxy-url'] !== undefined) problem(`clusters: "${clusterName}" has a proxy-url, which is not supported`);
  const server = serverOf(cluster) ?? problem(`clusters: "${clusterName}" has no server, expected an https URL`);
  const ca = secretOf(cluster, 'certificate-authority', file);
  const servername = textOf(cluster['tls-server-name']);
  return {
    server,
    ...(ca === undefined ? {} : { ca }),
    ...(servername === undefined ? {} : { servername }),
    isInsecure: cluster['insecure-skip-tls-verify'] === true,
    user: userOf(userName ?? '', user, file),
  };
}

function userOf(name: string, user: Json, file: string): KubeconfigUser {
  const cert = secretOf(user, 'client-certificate', file);
  const key = secretOf(user, 'client-key', file);
  const token = textOf(user['token']);
  const tokenFile = textOf(user['tokenFile']);
  const username = textOf(user['username']);
  const impersonate = textOf(user['as']);
  return {
    name,
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(token === undefined ? {} : { token }),
    ...(tokenFile === undefined ? {} : { tokenFile: besides(file, tokenFile) }),
    ...(username === undefined ? {} : { username, password: textOf(user['password']) ?? '' }),
    ...(impersonate === undefined ? {} : { impersonate }),
    ...pluginOf(user, file),
  };
}

/** A program's path with a slash in it is beside the file, as kubectl has it. */
function pluginOf(user: Json, file: string): Pick<KubeconfigUser, 'exec' | 'authProvider'> {
  if (user['exec'] !== undefined) {
    const exec = recordOf(user['exec']);
    const command = textOf(exec['command']);
    if (command === undefined) throw new KubeConfigError(`${file}: users: exec.command: missing, expected a program`);
    return { exec: { ...exec, command: command.includes('/') ? besides(file, command) : command } };
  }
  if (user['auth-provider'] === undefined) return {};
  const authProvider = recordOf(user['auth-provider']);
  if (authProvider['name'] === 'oidc') return { authProvider };
  const expected = 'expected oidc (the others have left Kubernetes with 1.26; use an exec plugin)';
  throw new KubeConfigError(`${file}: users: auth-provider: "${textOf(authProvider['name'])}", ${expected}`);
}

function parseFile(file: string): unknown {
  try {
    return parse(readFileSync(file, 'utf8'), { logLevel: 'error' });
  } catch (error) {
    const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    throw new KubeConfigError(`${file}: cannot be read: ${reason}; expected a kubeconfig file`, { cause: error });
  }
}

/** `clusters: [{name, cluster: {...}}]` */
function entryOf(root: Json, kind: 'context' | 'cluster' | 'user', name: string): Json | undefined {
  const entry = listOf(root[`${kind}s`]).find((item) => recordOf(item)['name'] === name);
  return entry === undefined ? undefined : recordOf(recordOf(entry)[kind]);
}

function serverOf(cluster: Json): string | undefined {
  const server = textOf(cluster['server']);
  return server === undefined || !/^https?:\/\/./.test(server) ? undefined : server.replace(/\/+$/, '');
}

function secretOf(json: Json, field: string, file: string): Secret | undefined {
  const content = textOf(json[`${field}-data`]);
  if (content !== undefined) return { content: Buffer.from(content, 'base64') };
  const path = textOf(json[field]);
  return path === undefined ? undefined : { file: besides(file, path) };
}

function besides(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}
