/** A real etcd and a real kube-apiserver, with certificates and kubeconfigs, in a network namespace or on the machine's loopback. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/backends/exec.ts';
import { binary, buildAll } from '../build/build.ts';
import type { KeyPair, Subject } from './certificates.ts';
import { makeAuthority, makeSigningKey, signClient, signServer } from './certificates.ts';
import type { Daemon } from './daemon.ts';
import { endOfLog, startDaemon } from './daemon.ts';
import type { Estate } from './estate.ts';
import { openEstate } from './estate.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { freePort, inPlace } from './network.ts';
import { until } from './until.ts';

export interface ControlPlaneOptions {
  /** Takes keys, kubeconfigs, logs and etcd's data; made if it does not exist, never removed. */
  readonly directory: string;
  /** Network namespace to run in, which the caller made (`lo` up). Default: the machine's own, on free loopback ports. */
  readonly netns?: string;
  /** Address that the API server is reached by. Default 127.0.0.1. */
  readonly address?: string;
  /** What the caller's estate is cleared of; default: an estate of its own, cleared by `stop` and when this process ends. */
  readonly estate?: Estate;
  /** Default 10.96.0.0/16; two of them, separated by a comma, make a dual-stack cluster. */
  readonly serviceCidr?: string;
  /** A controller manager will run. Default false: then pods are admitted without a service account. */
  readonly hasControllers?: boolean;
  /** More flags of kube-apiserver; a flag given twice counts as given last. */
  readonly apiServerFlags?: readonly string[];
  /** Default: nothing is told. */
  readonly progress?: (line: string) => void;
}

export interface ControlPlane {
  /** `https://ADDRESS:PORT`. */
  readonly url: string;
  readonly netns?: string;
  readonly authority: KeyPair;
  /** Kubeconfig files: cluster administrator by client certificate, and by a bearer token in a file. */
  readonly adminKubeconfig: string;
  readonly tokenKubeconfig: string;
  readonly token: string;
  readonly directory: string;
  /** Logs of all parts, `NAME.log` each. */
  readonly logs: string;
  /** The private key that service account tokens are signed with. */
  readonly signingKey: string;
  /** Writes a kubeconfig for a user who is known by a client certificate; its path. */
  kubeconfigFor(name: string, subject: Subject): Promise<string>;
  /** kubectl as administrator, with text on standard input; its standard output. */
  readonly kubectl: (args: readonly string[], input?: string) => Promise<string>;
  stopApiServer(): Promise<void>;
  /** Returns when it is ready. */
  startApiServer(): Promise<void>;
  restartApiServer(): Promise<void>;
  stopEtcd(): Promise<void>;
  /** Returns when the API server is ready again, if it runs. */
  startEtcd(): Promise<void>;
  /** Ends both, and removes what was made outside `directory`. */
  stop(): Promise<void>;
}

interface Parts {
  etcd: Daemon | undefined;
  apiServer: Daemon | undefined;
}

interface Setup {
  readonly options: ControlPlaneOptions;
  readonly estate: Estate;
  readonly directory: string;
  readonly logs: string;
  readonly pki: string;
  readonly address: string;
  readonly ports: { readonly etcd: number; readonly etcdPeer: number; readonly api: number };
  readonly authority: KeyPair;
  readonly admin: KeyPair;
  readonly server: KeyPair;
  readonly token: string;
}

let started = 0;

/** Starts a control plane and returns when the API server is ready: 5 to 10 s. Builds its programs first where they are missing. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  await buildAll(['etcd', 'kube-apiserver', 'kubectl'], options.progress ?? (() => undefined));
  started += 1;
  const estate = options.estate ?? (await openEstate(`control-plane-${process.pid}-${started}`));
  try {
    const setup = await prepare(options, estate);
    const parts: Parts = { etcd: startEtcd(setup), apiServer: startApiServer(setup) };
    await untilReady(setup, parts);
    return controlPlaneOf(setup, parts);
  } catch (error) {
    if (options.estate === undefined) await estate.clear();
    throw error;
  }
}

async function prepare(options: ControlPlaneOptions, estate: Estate): Promise<Setup> {
  const { directory, address = '127.0.0.1', netns } = options;
  const [logs, pki] = [join(directory, 'logs'), join(directory, 'pki')];
  mkdirSync(logs, { recursive: true });
  const authority = await makeAuthority(pki);
  const hosts = [...new Set([address, '127.0.0.1', '10.96.0.1', 'localhost', 'kubernetes', 'kubernetes.default.svc'])];
  const server = await signServer(authority, pki, 'kube-apiserver', hosts);
  const admin = await signClient(authority, pki, 'admin', { user: 'admin', groups: ['system:masters'] });
  await makeSigningKey(join(pki, 'service-accounts.key'));
  const token = randomBytes(16).toString('hex');
  writeFileSync(join(pki, 'token'), token, { mode: 0o600 });
  writeFileSync(join(pki, 'tokens.csv'), `${token},token-admin,token-admin,"system:masters"\n`, { mode: 0o600 });
  const ports =
    netns === undefined
      ? { etcd: await freePort(), etcdPeer: await freePort(), api: await freePort() }
      : { etcd: 2379, etcdPeer: 2380, api: 6443 };
  return { options, estate, directory, logs, pki, address, ports, authority, admin, server, token };
}

function startEtcd({ options, estate, directory, logs, ports }: Setup): Daemon {
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;
  const flags = {
    'data-dir': join(directory, 'etcd'),
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': `default=${peer}`,
    'quota-backend-bytes': '4000000000',
    'log-level': 'warn',
  };
  const argv = inPlace(options, [binary('etcd'), '--unsafe-no-fsync', ...flagsOf(flags)]);
  return startDaemon(estate, argv, { name: 'etcd', log: join(logs, 'etcd.log') });
}

function startApiServer(setup: Setup): Daemon {
  const { options, estate, logs, pki, address, ports, authority, server } = setup;
  const signingKey = join(pki, 'service-accounts.key');
  const flags = {
    'etcd-servers': `http://127.0.0.1:${ports.etcd}`,
    'bind-address': options.netns === undefined ? '127.0.0.1' : '0.0.0.0',
    'secure-port': String(ports.api),
    ...(address.startsWith('127.') ? { 'endpoint-reconciler-type': 'none' } : { 'advertise-address': address }),
    'client-ca-file': authority.certificate,
    'tls-cert-file': server.certificate,
    'tls-private-key-file': server.key,
    'token-auth-file': join(pki, 'tokens.csv'),
    'authorization-mode': 'Node,RBAC',
    'allow-privileged': 'true',
    'service-cluster-ip-range': options.serviceCidr ?? '10.96.0.0/16',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': signingKey,
    'service-account-signing-key-file': signingKey,
    'kubelet-preferred-address-types': 'InternalIP',
    ...(options.hasControllers === true ? {} : { 'disable-admission-plugins': 'ServiceAccount' }),
    // Suites run many clients at once, from one user.
    'max-requests-inflight': '1600',
    'max-mutating-requests-inflight': '800',
  };
  const argv = inPlace(options, [binary('kube-apiserver'), ...flagsOf(flags), ...(options.apiServerFlags ?? [])]);
  return startDaemon(estate, argv, { name: 'kube-apiserver', log: join(logs, 'kube-apiserver.log') });
}

async function untilReady(setup: Setup, parts: Parts): Promise<void> {
  const { options, authority, admin, address, ports } = setup;
  const trust = ['--cacert', authority.certificate, '--cert', admin.certificate, '--key', admin.key];
  const url = `https://${address}:${ports.api}/readyz`;
  const argv = inPlace(options, ['curl', '--silent', '--show-error', '--fail', '--max-time', '5', ...trust, url]);
  await until('the API server to be ready', async () => (await run(argv)).stdout.trim() === 'ok', {
    timeoutMs: 120_000,
    hopeless: () => whyHopeless(parts),
  });
}

function whyHopeless(parts: Parts): string | undefined {
  const ended = [parts.etcd, parts.apiServer].find((daemon) => daemon?.isRunning() === false);
  return ended === undefined ? undefined : `${ended.name} has ended:\n${endOfLog(ended.log)}`;
}

function controlPlaneOf(setup: Setup, parts: Parts): ControlPlane {
  const { options, estate, directory, logs, pki, address, ports, authority, admin, token } = setup;
  const url = `https://${address}:${ports.api}`;
  const kubeconfig = (name: string): string => join(directory, `${name}.kubeconfig`);
  const write = (name: string, credentials: Parameters<typeof writeKubeconfig>[3]): string =>
    writeKubeconfig(kubeconfig(name), url, authority.certificate, credentials);
  const adminKubeconfig = write('admin', { clientCertificate: admin });
  const stopOne = async (part: keyof Parts): Promise<void> => {
    const daemon = parts[part];
    parts[part] = undefined;
    // An API server waits for watches to end, a minute if need be.
    await daemon?.stop(3000);
  };
  const startApi = async (): Promise<void> => {
    parts.apiServer ??= startApiServer(setup);
    await untilReady(setup, parts);
  };
  return {
    url,
    ...(options.netns === undefined ? {} : { netns: options.netns }),
    authority,
    adminKubeconfig,
    tokenKubeconfig: write('token', { tokenFile: join(pki, 'token') }),
    token,
    directory,
    logs,
    signingKey: join(pki, 'service-accounts.key'),
    kubeconfigFor: async (name, subject) =>
      write(name, { clientCertificate: await signClient(authority, pki, name, subject) }),
    kubectl: async (args, input) => {
      const argv = inPlace(options, [binary('kubectl'), `--kubeconfig=${adminKubeconfig}`, ...args]);
      return (await run(argv, { timeoutMs: 300_000, ...(input === undefined ? {} : { input }) })).stdout;
    },
    stopApiServer: async () => stopOne('apiServer'),
    startApiServer: startApi,
    restartApiServer: async () => {
      await stopOne('apiServer');
      await startApi();
    },
    stopEtcd: async () => stopOne('etcd'),
    startEtcd: async () => {
      parts.etcd ??= startEtcd(setup);
      if (parts.apiServer !== undefined) await untilReady(setup, parts);
    },
    stop: async () => {
      await stopOne('apiServer');
      await stopOne('etcd');
      if (options.estate === undefined) await estate.clear();
    },
  };
}

function flagsOf(flags: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
}
