/** A cluster's certificate authority and what it signs, made by openssl into one folder. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/backends/exec.ts';

export interface KeyPair {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
}

export interface Subject {
  readonly user: string;
  readonly groups?: readonly string[];
}

/** Makes the authority, once for a folder. */
export async function makeAuthority(folder: string): Promise<KeyPair> {
  mkdirSync(folder, { recursive: true });
  const authority = pairIn(folder, 'ca');
  if (existsSync(authority.certificate)) return authority;
  const extensions = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ];
  await request(authority, '/CN=sluice-e2e', ['-x509', '-days', '30', ...extensions]);
  return authority;
}

/** A client certificate: Kubernetes reads the user from the common name, the groups from the organizations. */
export async function signClient(authority: KeyPair, folder: string, name: string, subject: Subject): Promise<KeyPair> {
  const groups = (subject.groups ?? []).map((group) => `/O=${group}`).join('');
  return sign(authority, pairIn(folder, name), `${groups}/CN=${subject.user}`, 'extendedKeyUsage=clientAuth');
}

/** A server certificate for host names and addresses. */
export async function signServer(
  authority: KeyPair,
  folder: string,
  name: string,
  hosts: readonly string[],
): Promise<KeyPair> {
  const names = hosts.map((host) => `${/^[\d.]+$|:/.test(host) ? 'IP' : 'DNS'}:${host}`).join(',');
  return sign(authority, pairIn(folder, name), `/CN=${name}`, `extendedKeyUsage=serverAuth\nsubjectAltName=${names}`);
}

/** An RSA key for service account tokens. */
export async function makeSigningKey(file: string): Promise<void> {
  if (!existsSync(file)) await run(['openssl', 'genrsa', '-out', file, '2048']);
}

async function sign(authority: KeyPair, pair: KeyPair, subject: string, extensions: string): Promise<KeyPair> {
  const [asked, extensionFile] = [`${pair.certificate}.csr`, `${pair.certificate}.ext`];
  await request({ certificate: asked, key: pair.key }, subject, []);
  writeFileSync(extensionFile, `${extensions}\n`);
  const by = ['-CA', authority.certificate, '-CAkey', authority.key, '-set_serial', serialNumber()];
  const input = ['-in', asked, '-extfile', extensionFile, '-days', '30'];
  await run(['openssl', 'x509', '-req', ...by, ...input, '-out', pair.certificate]);
  return pair;
}

/** By chance: a file that counts would be written by two at once. */
function serialNumber(): string {
  return `0x01${randomBytes(15).toString('hex')}`;
}

async function request(pair: KeyPair, subject: string, extra: readonly string[]): Promise<void> {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await run([
    'openssl',
    'req',
    '-new',
    ...curve,
    '-keyout',
    pair.key,
    '-subj',
    subject,
    ...extra,
    '-out',
    pair.certificate,
  ]);
}

function pairIn(folder: string, name: string): KeyPair {
  return { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}-key.pem`) };
}
