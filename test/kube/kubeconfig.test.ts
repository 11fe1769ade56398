import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { inClusterAccess } from '../../src/kube/in-cluster.ts';
import { KubeConfigError } from '../../src/kube/kube-api-error.ts';
import { kubeconfigAccess } from '../../src/kube/kubeconfig.ts';

const directory = mkdtempSync(join(tmpdir(), 'sluice-kubeconfig-test-'));
afterAll(() => rmSync(directory, { recursive: true }));

let files = 0;

function fileWith(text: string): string {
  files += 1;
  const file = join(directory, `config-${files}`);
  writeFileSync(file, text);
  return file;
}

function kubeconfig(user: object, cluster: object = {}): string {
  return fileWith(
    JSON.stringify({
      'current-context': 'here',
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: { server: 'https://192.0.2.1:6443/', ...cluster } }],
      users: [{ name: 'u', user }],
    }),
  );
}

const data = (text: string) => Buffer.from(text).toString('base64');

describe('a kubeconfig', () => {
  test.each([
    ['a token', { token: 'abc' }, { authorization: 'Bearer abc' }],
    ['a password', { username: 'me', password: 'secret' }, { authorization: `Basic ${data('me:secret')}` }],
    ['somebody else', { token: 'abc', as: 'robot' }, { authorization: 'Bearer abc', 'impersonate-user': 'robot' }],
    ['nobody', {}, {}],
  ])('by %s', async (_name, user, headers) => {
    const access = kubeconfigAccess(kubeconfig(user));
    expect(access.server).toBe('https://192.0.2.1:6443');
    expect((await access.credentials()).headers).toEqual(headers);
  });

  test('a token file beside it wins over a token, and is read every time', async () => {
    writeFileSync(join(directory, 'token'), 'first\n');
    const access = kubeconfigAccess(kubeconfig({ token: 'old', tokenFile: 'token' }));
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer first' });
    writeFileSync(join(directory, 'token'), 'second\n');
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer second' });
  });

  test('certificates: data wins over files, files are beside the kubeconfig and read every time', async () => {
    writeFileSync(join(directory, 'client.pem'), 'CERT');
    const cluster = {
      'certificate-authority-data': data('CA'),
      'certificate-authority': '/nowhere',
      'tls-server-name': 'api',
    };
    const access = kubeconfigAccess(
      kubeconfig({ 'client-certificate': 'client.pem', 'client-key-data': data('KEY') }, cluster),
    );
    const text = async () => {
      const { tls } = await access.credentials();
      return [String(tls.ca), String(tls.cert), String(tls.key), tls.servername, tls.rejectUnauthorized];
    };
    expect(await text()).toEqual(['CA', 'CERT', 'KEY', 'api', undefined]);
    writeFileSync(join(directory, 'client.pem'), 'NEW');
    expect((await text())[1]).toBe('NEW');
  });

  test('insecure-skip-tls-verify is taken at its word', async () => {
    const access = kubeconfigAccess(kubeconfig({}, { 'insecure-skip-tls-verify': true }));
    expect((await access.credentials()).tls.rejectUnauthorized).toBe(false);
  });

  test('a plugin is asked once, told what is expected, and asked again after a refusal', async () => {
    const plugin = join(directory, 'plugin.sh');
    writeFileSync(
      plugin,
      `#!/bin/sh
echo x >> "${directory}/asked"
case "$KUBERNETES_EXEC_INFO" in *client.authentication.k8s.io/v1*) ;; *) echo "no exec info" >&2; exit 1 ;; esac
echo "{\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"$1-$(wc -l < "${directory}/asked" | tr -d ' ')\\"}}"
`,
    );
    chmodSync(plugin, 0o755);
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin.sh', args: ['t'] };
    const access = kubeconfigAccess(kubeconfig({ exec }));
    const token = async () => (await access.credentials()).headers['Authorization'];
    expect([await token(), await token()]).toEqual(['Bearer t-1', 'Bearer t-1']);
    access.forget();
    expect(await token()).toBe('Bearer t-2');
  });

  test('a plugin that fails is named', async () => {
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'false' };
    await expect(kubeconfigAccess(kubeconfig({ exec })).credentials()).rejects.toThrow(/false gave no credentials/);
  });

  test.each([
    ['no file', () => join(directory, 'nowhere'), /nowhere: cannot be read: ENOENT.*expected a kubeconfig file/],
    ['not YAML', () => fileWith('a: ]['), /cannot be read: .*expected a kubeconfig file/],
    ['nothing', () => fileWith(''), /current-context: missing/],
    ['no such context', () => fileWith('current-context: x'), /no context "x"/],
    ['no server', () => kubeconfig({}, { server: '192.0.2.1' }), /"c" has no server, expected an https URL/],
    ['a proxy', () => kubeconfig({}, { 'proxy-url': 'socks5://x' }), /proxy-url, which is not supported/],
    ['an old plugin', () => kubeconfig({ 'auth-provider': { name: 'gcp' } }), /"gcp", expected oidc/],
  ])('%s is one clear message', (_name, make, message) => {
    expect(() => kubeconfigAccess(make())).toThrow(KubeConfigError);
    expect(() => kubeconfigAccess(make())).toThrow(message);
  });

  test('a certificate that is not there is named when it is needed', async () => {
    const access = kubeconfigAccess(kubeconfig({ 'client-certificate': 'gone.pem' }));
    await expect(access.credentials()).rejects.toThrow(/gone\.pem: cannot be read/);
  });

  test('written anew while it is in use', async () => {
    const file = kubeconfig({ token: 'one' });
    const access = kubeconfigAccess(file);
    writeFileSync(file, 'half a file: ][');
    access.forget();
    expect((await access.credentials()).headers).toEqual({ authorization: 'Bearer one' });
  });
});

describe('inside of a pod', () => {
  const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };

  test('the service account, read every time', async () => {
    const account = join(directory, 'account');
    mkdirSync(account);
    writeFileSync(join(account, 'ca.crt'), 'CA');
    writeFileSync(join(account, 'token'), 'one\n');
    const access = inClusterAccess(environment, account);
    expect(access?.server).toBe('https://10.96.0.1:443');
    expect(await access?.credentials()).toEqual({ tls: { ca: 'CA' }, headers: { authorization: 'Bearer one' } });
    writeFileSync(join(account, 'token'), 'two');
    expect((await access?.credentials())?.headers).toEqual({ authorization: 'Bearer two' });
  });

  test('an IPv6 address is put in brackets', () => {
    expect(inClusterAccess({ ...environment, KUBERNETES_SERVICE_HOST: 'fd00::1' })?.server).toBe(
      'https://[fd00::1]:443',
    );
  });

  test('outside of one there is no access', () => {
    expect(inClusterAccess({})).toBeUndefined();
  });

  test('without a service account the message says what to mount', async () => {
    await expect(inClusterAccess(environment, '/nowhere')?.credentials()).rejects.toThrow(
      /nowhere\/ca\.crt.*automountServiceAccountToken/,
    );
  });
});
